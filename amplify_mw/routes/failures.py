"""Failed sign-ins: every code, with its HTTP status, the text of its page, and the remedy.

Rules:
- A code is stable, and so is its status. Apps compare the codes, and docs/errors.md lists them.
- The provider's own text is never passed on, since it may contain a user's name. Its error code is
  cut to letters, digits and `_`.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

from ..cognito.api import Failure, printable
from ..cognito.invalid import InvalidToken
from ..errors import AuthError, NetworkError
from ..log import logger
from ..web.requests import excerpt


class Code(Enum):
    """Status, text of the page, and the remedy for the operator (empty: nothing to repair).

    A failure with a remedy is logged at WARNING, others at INFO, and one that `is_noise` at DEBUG:
    clients can cause any number of those.
    """

    ACCESS_DENIED = 403, "The sign-in was not completed."
    PROVIDER_ERROR = (
        502,
        "The sign-in service reported an error. Please try again.",
        "see the app client's settings, the pool's Lambda triggers and its required attributes",
    )
    ATTEMPT_EXPIRED = (
        400,
        "The sign-in took too long, or your browser blocks this site's cookies. It also fails if "
        "it began at another address of this site, for example one with www. in front, or "
        "127.0.0.1 in place of localhost.",
    )
    BAD_REQUEST = 400, "This link does not belong to a sign-in.", "", True
    ISSUER_MISMATCH = (
        400,
        "The answer came from a different sign-in service.",
        "domain and user_pool_id have to be of one pool; else somebody mixes up two providers",
    )
    CODE_REJECTED = 400, "This sign-in has expired or was already used. Please sign in again."
    TOKEN_REFUSED = (
        502,
        "The sign-in service's answer could not be verified. Please try again.",
        "user_pool_id and client_id have to be those of domain, and this machine's clock right",
    )
    SIGN_IN_TOO_OLD = 403, "This page needs a recent sign-in. Please sign in again."
    SIGN_IN_TOO_WEAK = (
        403,
        "This page needs a stronger sign-in, for example with a second factor. Please sign in "
        "again.",
        "the sign-in service gave tokens without an acr that was asked for: see its acr_values",
    )
    SIGN_IN_DENIED = (
        403,
        "Your account is not admitted to this site. If you think it should be, please contact "
        "this site.",
    )
    SIGN_IN_ERROR = (
        500,
        "Something went wrong at this site, so you are not signed in. Please try again.",
    )
    SESSION_TOO_LARGE = (
        500,
        "Your account has too much in its tokens to be signed in here. Please contact this site.",
        "have fewer claims and groups in the tokens, or keep sessions in a store: StoredSession",
    )
    PROVIDER_UNAVAILABLE = (
        503,
        "The sign-in service cannot be reached right now. Please try again in a moment.",
    )
    PROVIDER_MISCONFIGURED = (
        502,
        "The sign-in service does not accept this site. Please contact this site.",
    )
    DUPLICATE_COOKIE = (
        409,
        "Your browser keeps two sign-in cookies for this site, and this site cannot delete the "
        "wrong one. Delete the cookies of this site, and those of its domain, in your browser's "
        "settings. Then sign in again.",
    )

    def __init__(self, status: int, text: str, mend: str = "", is_noise: object = False) -> None:
        self.status = status
        self.text = text
        self.mend = mend
        self.is_noise: bool = bool(is_noise)

    def __str__(self) -> str:
        """The code as apps and logs see it, such as `access_denied`."""
        return self.name.lower()


_BUSY: Final = "the user pool itself is down or overloaded, which passes; attempts are kept"
_DENIED: Final = frozenset(  # OpenID Connect Core 3.1.2.6; the others come with `prompt=none`
    {
        *("access_denied", "login_required", "interaction_required"),
        *("account_selection_required", "consent_required"),
    }
)
_PASSING: Final = frozenset({"server_error", "temporarily_unavailable"})  # RFC 6749 4.1.2.1
_MENDS: Final[Mapping[str, str]] = {
    "invalid_scope": "allow the scopes that are asked for in the app client",
    "unauthorized_client": "allow the authorization code grant for the app client",
    "unsupported_response_type": "allow the authorization code grant for the app client",
}
_KNOWN: Final = _DENIED | _PASSING | _MENDS.keys() | {"invalid_request", "invalid_grant"}
# Beginnings of Cognito's messages. The rest may contain a name, or a Lambda function's own text.
_SENTENCES: Final[Mapping[str, str]] = {
    "invalid_scope$": _MENDS["invalid_scope"],  # Cognito's description of an invalid_request
    r"(PreSignUp|PostConfirmation|PreAuthentication|PostAuthentication|PreTokenGeneration"
    r"|UserMigration) ": r"its Lambda trigger \1 refused or failed: see that function's log",
    r"attributes required\b": (
        "an attribute that the pool requires did not come: see the provider's attribute mapping"
    ),
    r"Already found an entry for username\b": (
        "the user was linked to another just now, and can sign in at the second try"
    ),
}


class Refusal(Exception):
    """A failed sign-in. `uses_up`: its attempt cannot be tried again.

    `why`: details for the log. `pool_error`: the pool's own code. `mend`: the remedy, if not the
    code's own; empty if there is none, or it was logged already.
    """

    def __init__(
        self,
        code: Code,
        why: str = "",
        *,
        pool_error: str | None = None,
        mend: str | None = None,
        uses_up: bool = True,
    ) -> None:
        super().__init__(str(code))
        self.code = code
        self.why = why
        self.pool_error = pool_error
        self.mend: str = code.mend if mend is None else mend
        self.uses_up = uses_up

    @property
    def kind(self) -> tuple[str, str]:
        """Failures of one kind are logged once an hour. Clients cannot make up new kinds."""
        error = self.pool_error or ""
        return str(self.code), error if error in _KNOWN else error and "another"


def refusal_by_pool(error: str, description: str) -> Refusal:
    """The pool has sent the browser back with an error (RFC 6749 4.1.2.1)."""
    name = printable(error)
    if name in _DENIED:
        return Refusal(Code.ACCESS_DENIED, pool_error=name)
    if name in _PASSING:
        return Refusal(Code.PROVIDER_UNAVAILABLE, pool_error=name, mend=_BUSY, uses_up=False)
    mend = _MENDS.get(name)
    for sentence, meaning in _SENTENCES.items():
        match = re.match(sentence, description)
        if match is not None:
            mend = match.expand(meaning)
    return Refusal(Code.PROVIDER_ERROR, pool_error=name, mend=mend)


def refusal_by_endpoint(failure: Failure) -> Refusal:
    """The token endpoint gave no tokens. `cognito.pace` logs the remedy, if there is one."""
    error = failure.code or None
    if failure.is_outage:
        return Refusal(Code.PROVIDER_UNAVAILABLE, failure.reason, pool_error=error, uses_up=False)
    if failure.ends_session:  # invalid_grant
        return Refusal(Code.CODE_REJECTED, pool_error=error)
    return Refusal(Code.PROVIDER_MISCONFIGURED, failure.reason, pool_error=error)


def refusal_by_app(error: Exception) -> Refusal:
    """`on_sign_in` has raised. Of an error on purpose, the log gets the type: texts name people.

    On purpose are an `AuthError`, except one that says it cannot be checked now, and a
    `PermissionError`, except one of the operating system's. All others are logged with a traceback.
    """
    kind = type(error).__name__
    if isinstance(error, PermissionError):
        is_meant = error.errno is None
    else:
        is_meant = isinstance(error, AuthError) and not isinstance(error, NetworkError)
    if is_meant:
        return Refusal(Code.SIGN_IN_DENIED, f"on_sign_in raised {kind}")
    logger.error("on_sign_in has failed, which has ended a sign-in", exc_info=error)
    return Refusal(Code.SIGN_IN_ERROR, f"on_sign_in raised {kind}")


def refusal_of_token(error: InvalidToken, issuer: str, client_id: str) -> Refusal:
    """A token from the pool is invalid. `issuer`, `client_id`: the expected ones."""
    if not error.claimed:
        return Refusal(Code.TOKEN_REFUSED, error.reason)
    expected = client_id if error.reason == "wrong_client" else issuer
    claims = f"claims to be of {excerpt(error.claimed)}, and {expected!r} counts"
    return Refusal(Code.TOKEN_REFUSED, f"{error.reason}, its token {claims}")
