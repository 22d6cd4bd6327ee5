"""Ending sign-ins at Cognito: requests out, responses in. Nothing here is sent.

Rules:
- `RevokeToken` ends one sign-in, `GlobalSignOut` all of a user.
- The single sign-on session of the pool ends with the sign-in that came through it if this is asked
  for (`LINKED`), where the pool tracks sessions. Elsewhere Cognito ignores the wish.
"""

from typing import Final

from ..effects import Request, Response
from .api import (
    FAILURES,
    UNKNOWN,
    AppClient,
    Failure,
    call,
    client_members,
    closer,
    misconfigured,
    read_failure,
    said,
)

_REVOCATION_FAILURES: Final = FAILURES["RevokeToken"]
_MISSING_SCOPE: Final = misconfigured(
    "end_session(everywhere=True) needs sign-ins with the scope aws.cognito.signin.user.admin"
)


def revoke_token(
    endpoint: str, client: AppClient, refresh_token: bytes, *, linked: bool = False
) -> Request:
    """Revoke a refresh token, with all tokens of its sign-in. `read_revoked` reads the answer.

    `linked`: with the single sign-on session, too, so that the sign-in page asks again.
    """
    more = {"RevokeAssociatedSessions": "LINKED"} if linked else {}
    body = {"Token": refresh_token.decode("ascii"), **client_members(client), **more}
    return call(endpoint, "RevokeToken", body)


def may_lack_linked(failure: Failure | None) -> bool:
    """Whether a refusal may mean that the endpoint does not know `RevokeAssociatedSessions`."""
    if failure is None or failure.code == "InvalidParameterException":
        return failure is not None
    return failure.reason == UNKNOWN.reason and failure.code not in _REVOCATION_FAILURES


def global_sign_out(endpoint: str, access_token: bytes) -> Request:
    """End every sign-in of an access token's user. `read_signed_out` reads the answer."""
    return call(endpoint, "GlobalSignOut", {"AccessToken": access_token.decode("ascii")})


def read_revoked(response: Response) -> Failure | None:
    """The failure in an answer to RevokeToken; None for a success."""
    failure = read_failure(response, _REVOCATION_FAILURES)
    return failure and closer(failure, response)


def read_signed_out(response: Response) -> Failure | None:
    """The failure in an answer to GlobalSignOut; None for a success."""
    failure = read_failure(response)
    if failure and failure.code == "NotAuthorizedException" and "scope" in said(response):
        return _MISSING_SCOPE._replace(code=failure.code)
    return failure
