"""Where a session in Amplify's cookies is, and what its browser says of the sign-in.

Rules:
- A session is known by its user, who was verified, and by its refresh token: who learns what has
  become of it brings both. Without a refresh token the access token stands in its place.
- Records hold tokens as they are: they stay in this process's memory.
- A refresh leaves user and `signInDetails` of the cookies as they were; they are spelled anew.
- `signInDetails` that are no JSON are none of Amplify's. What the browser says in them is text that
  can be encoded, or nothing.
"""

import hashlib
import json
import math
import re
from functools import lru_cache
from typing import Final, NoReturn, TypeGuard

from ...models import SignInDetails
from ..bundle import Bundle
from ..codec import LoadedSession
from ..record import Record
from .wire import AmplifySet, js_value, sets_in, text_of

LABEL: Final = b"amplify_mw amplify cookies\0"
B64TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/=-]+")  # RFC 6750 2.1
_LONGEST_KNOWN: Final = 512  # bytes of `signInDetails`
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class AmplifyCodec:
    """A session in Amplify's cookies.

    It is known by its user (`owner`, who was verified), and by its refresh token or else its access
    token.
    """

    in_cookie = True

    def __init__(
        self, mine: AmplifySet, owner: str, details: SignInDetails | None, now: float
    ) -> None:
        if not B64TOKEN.fullmatch(mine.refresh_token):  # no token that Cognito ever gave
            mine = mine._replace(refresh_token=b"")
        known_by = f"{mine.client} {owner} ".encode()
        secret = mine.refresh_token or mine.access_token
        self.key = hashlib.sha256(LABEL + known_by + secret).digest()
        self.mine = mine
        self.owner = owner
        self.details = details
        self._now = now

    def successor(self, mine: AmplifySet, now: float) -> "AmplifyCodec":
        """Where the session goes on with newer tokens."""
        return AmplifyCodec(mine, self.owner, self.details, now)

    def loaded(self, *, is_newer: bool = False, value: bytes | None = None) -> LoadedSession:
        """The session as its cookies say it is. `value`: theirs, where it is at hand."""
        return LoadedSession(self, self._bundle(self.mine, 0), value or self.mine.value, is_newer)

    def close(self, bundle: Bundle, iv: bytes, expires_at: float) -> tuple[Record, bytes]:  # noqa: ARG002
        """The record that keeps a bundle, in this process's memory alone, and the value."""
        value = self.mine._replace(
            access_token=bundle.access_token,
            id_token=bundle.id_token,
            refresh_token=bundle.refresh_token or b"",
            sign_in_details=self._details,
        ).value
        return Record(value, bundle.turn, expires_at), value

    def open(self, record: Record) -> tuple[Bundle, bytes] | None:
        """The same from a record; None if it holds no tokens."""
        for found in sets_in(record.value):
            newer = found._replace(user=self.mine.user, sign_in_details=self._details)
            return self._bundle(newer, record.version), newer.value
        return None

    def cookie(self, sealed: bytes) -> bytes:
        """The value: just what was kept."""
        return sealed

    @property
    def _details(self) -> bytes:
        """What the browser said of the sign-in, as it will be written."""
        return js_value(self.mine.details).encode()

    def _bundle(self, mine: AmplifySet, turn: int) -> Bundle:
        """A set as a bundle, begun now: how long it may last is Cognito's business alone."""
        seen_at = float(math.floor(self._now))
        return Bundle(
            sid=self.key[:16],
            turn=turn,
            created_at=seen_at,
            seen_at=seen_at,
            id_token=mine.id_token,
            access_token=mine.access_token,
            refresh_token=mine.refresh_token or None,
        )


def sign_in_details(raw: bytes) -> SignInDetails | None:
    """What the browser says of the sign-in. Raises `ValueError` for what is no JSON."""
    if len(raw) <= _LONGEST_KNOWN:
        return _known_details(raw)
    return _details(raw)


def _details(raw: bytes) -> SignInDetails | None:
    if not raw:
        return None
    text = text_of(raw)
    try:
        said = _JSON.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(said, dict):
        return None
    login_id, flow = said.get("loginId"), said.get("authFlowType")
    return SignInDetails(login_id if _is_text(login_id) else None, flow if _is_text(flow) else None)


_known_details = lru_cache(maxsize=1024)(_details)


def _is_text(value: object) -> TypeGuard[str]:
    """Whether this is text that can be encoded: JSON may spell lone surrogates."""
    return isinstance(value, str) and not _SURROGATE.search(value)


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


_JSON: Final = json.JSONDecoder(parse_constant=_no_constant)
