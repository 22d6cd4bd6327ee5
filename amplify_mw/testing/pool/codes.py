"""The authorization codes of the local user pool's domain.

Rules:
- A code is good for five minutes and for one attempt, successful or not.
- A code used a second time ends the tokens of the first (RFC 6749 10.5).
- A code requested with a challenge needs its verifier (RFC 7636 4.6); one without takes none
  (RFC 9700 2.1.1).
- Nothing here locks; `LocalUserPool` does.
"""

import base64
import hashlib
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

from .authorization import AuthorizationRequest
from .ledger import Ledger, LocalUser, SignIn

CODE_LIFETIME: Final = 300  # seconds


class BadCode(Exception):
    """The code does not fit the redirect URI or the verifier: `str()` says why."""


@dataclass(frozen=True, slots=True)
class _Code:
    """The sign-in and the request behind a code."""

    request: AuthorizationRequest
    username: str
    sub: str
    auth_time: int
    origin: str | None
    acr: str | None
    ends_at: float


class Codes:
    """The codes on a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._codes: dict[str, _Code] = {}
        self._redeemed: dict[str, str] = {}  # by code: the origin_jti of its tokens

    def new(
        self,
        request: AuthorizationRequest,
        user: LocalUser,
        auth_time: int,
        origin: str | None = None,
        acr: str | None = None,
    ) -> str:
        """A code for a user's sign-in at `auth_time`. `origin`: the id of its SSO session.

        `acr`: the kind of the sign-in.
        """
        code = str(uuid4())
        ends_at = self._ledger.clock() + CODE_LIFETIME
        self._codes[code] = _Code(request, user.username, user.sub, auth_time, origin, acr, ends_at)
        return code

    def redeem(
        self, code: str, redirect_uri: str, code_verifier: str | None
    ) -> tuple[SignIn, str | None]:
        """The sign-in behind a code, and its request's `nonce`. Raises `BadCode`."""
        if code in self._redeemed:
            self._ledger.revoke(self._redeemed[code])
            raise BadCode("The code has been used")
        found = self._codes.pop(code, None)
        if found is None or self._ledger.clock() >= found.ends_at:
            raise BadCode("The code is unknown or has expired")
        if redirect_uri != found.request.redirect_uri:
            raise BadCode("The redirect_uri is not the one that the code went to")
        if not _is_proven(found.request.code_challenge, code_verifier):
            raise BadCode("The code_verifier does not fit the code_challenge")
        user = self._ledger.users.get(found.username)
        if user is None or user.sub != found.sub or not user.enabled:
            raise BadCode("The user is no longer there")
        sign_in = self._ledger.begin(user, found.request.scope, found.auth_time)
        sign_in = replace(sign_in, resource=found.request.resource, acr=found.acr)
        self._ledger.begin_session(sign_in, found.origin)
        self._redeemed[code] = sign_in.origin_jti
        return sign_in, found.request.nonce


def _is_proven(challenge: str | None, verifier: str | None) -> bool:
    if challenge is None or verifier is None:
        return challenge is verifier
    digest = hashlib.sha256(verifier.encode(errors="replace")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
