"""Bearer tokens: a program sends an access token of the pool with each request (RFC 6750).

Rules:
- Only an access token counts. A machine's is one of client credentials: it has no username, and its
  `sub` is its `client_id`. No cookie lets a machine in.
- A token starts, refreshes, extends, ends and clears no session. A verdict on one has no cookie.
- A value is a tuple of the token alone, and verdicts are cached under it: no value of a cookie is
  equal to it. A token in a cookie and one in a header never share a verdict.
- A malformed header is one refusal, for whatever reason.
"""

# Annotations stay unevaluated: nothing here is read at run time.
from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from .cognito.invalid import InvalidToken, wrong_token_use
from .cognito.keys import KeysUnavailable
from .credentials import Source
from .models.machine import Machine
from .sessions.token import keys_unavailable, refused, scopes_of, size_of, user_in
from .sessions.verdicts import MALFORMED_HEADER, KnownMachine, Resolution, SignedIn
from .web.authorization import MALFORMED, BearerRefusals, bearer_token
from .web.headers import OCTETS, TEXT, Spelling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cognito.verifier import VerifiedToken, Verifier
    from .effects import Flow

    Value: TypeAlias = tuple[bytes]

_MALFORMED: Final = (MALFORMED,)
_BY: Final = "Authorization"


class BearerSource(Source):
    """The Bearer token in the `Authorization` header."""

    name = "bearer"
    text: Spelling[str] = Spelling(TEXT.write, TEXT.spell, _BY, is_private=True)
    octets: Spelling[bytes] = Spelling(OCTETS.write, OCTETS.spell, _BY, is_private=True)

    def __init__(
        self,
        verifier: Verifier,
        login_url: str | None,
        origins: Sequence[str],
        metadata: str | None = None,
    ) -> None:
        """`login_url`: a page that is open to all. `origins`: the site's own.

        `metadata`: the address of the resource's metadata, for challenges.
        """
        refusals = BearerRefusals(login_url=login_url, origins=origins, metadata=metadata)
        super().__init__(self._resolve, refusals)
        self._verifier = verifier

    def read(self, header: bytes) -> Value | None:
        """The value of an `Authorization` header; None for one of another scheme."""
        token = bearer_token(header)
        return None if token is None else (token,)

    def _resolve(self, value: Value, now: float) -> Flow[Resolution]:
        """The verdict on a token."""
        if value == _MALFORMED:
            return Resolution(MALFORMED_HEADER)
        try:
            token = yield from self._verifier.verify(value[0], now, machines=True)
            if token.token_use != "access":  # noqa: S105  # no password
                raise wrong_token_use(token.token_use, expected="'access'")
        except KeysUnavailable as error:
            return Resolution(keys_unavailable(error))
        except InvalidToken as error:
            return Resolution(refused(error)._replace(clears=False))
        return Resolution(_person(token) if token.username else _machine(token))


def _person(token: VerifiedToken) -> SignedIn:
    user, scopes = user_in(token), scopes_of(token)
    return SignedIn(
        user=user,
        cookie=b"",
        issuer=token.issuer,
        pool=token.pool,
        id_token=None,
        access_token=token.encoded,
        scopes=scopes,
        expires_at=token.expires_at,
        fresh_until=token.fresh_until,
        size=len(token.encoded) + size_of(user.groups, scopes),
    )


def _machine(token: VerifiedToken) -> KnownMachine:
    scopes = scopes_of(token)
    return KnownMachine(
        Machine(token.client, scopes),
        pool=token.pool,
        access_token=token.encoded,
        expires_at=token.expires_at,
        fresh_until=token.fresh_until,
        size=len(token.encoded) + size_of((), scopes),
    )
