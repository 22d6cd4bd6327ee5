"""The secrets of the local user pool's app client.

Rules:
- A client has none for good, or one or two: the last one stays. Each is as good as the other.
- Secrets are compared in constant time, and all of them each time.
- They are kept as they are: `SECRET_HASH` is made from them.
"""

import hmac
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from string import ascii_lowercase, digits
from typing import Any, Final

from .secrecy import fingerprint, is_same

MOST: Final = 2
_LENGTH: Final = 52  # of Cognito's own, in characters


class TooMany(ValueError):
    """The client has two secrets already."""


class LastOne(ValueError):
    """The client would be left without a secret."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A secret, its id, and the time of its making in seconds."""

    id: str
    value: str = field(repr=False)
    created_at: int


class ClientSecrets:
    """The secrets of a client, oldest first. `given`: the first one; None for a public client."""

    def __init__(self, client_id: str, given: str | None, clock: Callable[[], float]) -> None:
        self.client_id = client_id
        self._given = given
        self._clock = clock
        self._active: tuple[ClientSecret, ...] = ()
        if given is not None:
            self._append(given)

    @property
    def active(self) -> tuple[ClientSecret, ...]:
        """The secrets of now, oldest first; none for a public client."""
        return self._active

    def is_one(self, shown: str) -> bool:
        """Whether this is one of the secrets."""
        return _is_among(shown, (secret.value for secret in self._active))

    def is_hash(self, shown: str, username: str) -> bool:
        """Whether this is a user's `SECRET_HASH`, made with one of the secrets."""
        message = (username + self.client_id).encode(errors="surrogatepass")
        digests = (hmac.digest(secret.value.encode(), message, "sha256") for secret in self._active)
        return _is_among(shown, (b64encode(digest).decode("ascii") for digest in digests))

    def add(self, value: str | None = None) -> ClientSecret:
        """Add a secret; by default a new one. Raises `TooMany`, and `ValueError` if it is known.

        A public client stays public: `LookupError`.
        """
        if not self._active:
            raise LookupError("the client has no secret, and stays a public one")
        if len(self._active) >= MOST:
            raise TooMany(f"the client has {MOST} secrets already; delete one first")
        if value is not None and self.is_one(value):
            raise ValueError("the client has this secret already")
        return self._append(value or _new_secret())

    def _append(self, value: str) -> ClientSecret:
        newest = self._active[-1].created_at if self._active else 0
        created_at = max(int(self._clock()), newest + 1)  # each id is another
        secret = ClientSecret(f"{self.client_id}--{created_at}", value, created_at)
        self._active = (*self._active, secret)
        return secret

    def delete(self, secret_id: str) -> None:
        """Delete a secret by its id. Raises `LookupError` and `LastOne`."""
        others = tuple(secret for secret in self._active if secret.id != secret_id)
        if len(others) == len(self._active):
            raise LookupError(f"the client has no secret with the id {secret_id!r}")
        if not others:
            raise LastOne("the last secret of a client cannot be deleted; add another first")
        self._active = others

    def exported(self) -> dict[str, Any] | None:
        """The secrets for a state file; None for a public client."""
        if self._given is None:
            return None
        return {"given": fingerprint(self._given), "active": [*map(asdict, self._active)]}

    def restore(self, kept: "KeptSecrets | None") -> None:
        """Take what was kept, unless the client was given another secret since."""
        if kept is not None and self._given is not None and kept[0] == fingerprint(self._given):
            self._active = kept[1]


KeptSecrets = tuple[str, tuple[ClientSecret, ...]]  # the first one's fingerprint, and those of then


def read_secrets(kept: Mapping[str, Any] | None) -> KeptSecrets | None:
    """What `exported` wrote. Raises `KeyError`, `TypeError` and the like if it is damaged."""
    if kept is None:
        return None
    active = tuple(
        ClientSecret(str(one["id"]), str(one["value"]), int(one["created_at"]))
        for one in kept["active"]
    )
    if not 1 <= len(active) <= MOST:
        raise ValueError("the client's secrets")
    return str(kept["given"]), active


def _is_among(shown: str, right: Iterable[str]) -> bool:
    return sum(is_same(shown, one) for one in right) > 0  # a sum leaves none out


def _new_secret() -> str:
    return "".join(secrets.choice(ascii_lowercase + digits) for _ in range(_LENGTH))
