"""Why a sign-in came to nothing: the codes, what each means to visitors, and to the operator.

Rules:
- A code is stable, and so is its status. Apps compare the codes, the README lists them.
- What the provider says in words is not passed on: it may name somebody. Of its own code no more
  than letters, digits and `_` get through.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from ..cognito.api import Failure, printable
from ..cognito.verifier import InvalidToken
from ..web.requests import excerpt

Code = Literal[
    "access_denied",
    "provider_error",
    "attempt_expired",
    "bad_request",
    "issuer_mismatch",
    "code_rejected",
    "token_refused",
    "sign_in_too_old",
    "session_too_large",
    "provider_unavailable",
    "provider_misconfigured",
    "duplicate_cookie",
]


class Trouble(NamedTuple):
    """What a code means. `words`: for the page. `mend`: for the operator; empty: nobody's fault."""

    status: int
    words: str
    mend: str = ""


TROUBLES: Final[Mapping[Code, Trouble]] = {
    "access_denied": Trouble(403, "You were not signed in."),
    "provider_error": Trouble(
        502,
        "The sign-in service answered with an error.",
        "see the app client's settings, the pool's Lambda triggers and its required attributes",
    ),
    "attempt_expired": Trouble(
        400,
        "The sign-in took too long, or your browser blocks this site's cookies. Or it began at "
        "another address of this site, such as one with www. in front, or 127.0.0.1 in place of "
        "localhost.",
    ),
    "bad_request": Trouble(400, "This address does not belong to a sign-in."),
    "issuer_mismatch": Trouble(
        400,
        "This answer comes from another sign-in service.",
        "domain and user_pool_id have to be of one pool; else somebody mixes up two providers",
    ),
    "code_rejected": Trouble(400, "This sign-in has expired, or was used already."),
    "token_refused": Trouble(
        502,
        "The answer of the sign-in service could not be verified.",
        "user_pool_id and client_id have to be those of domain, and this machine's clock right",
    ),
    "sign_in_too_old": Trouble(
        403, "This page asks for a fresh sign-in, and yours was too long ago."
    ),
    "session_too_large": Trouble(
        500,
        "Your account has too much in its tokens to be signed in here.",
        "have fewer claims and groups in the tokens, or keep sessions in a store: StoredSession",
    ),
    "provider_unavailable": Trouble(503, "The sign-in service cannot be reached just now."),
    "provider_misconfigured": Trouble(502, "The sign-in service does not accept this site."),
    "duplicate_cookie": Trouble(
        409,
        "Your browser keeps two sign-in cookies for this site, and the wrong one cannot be deleted "
        "from here. Delete the cookies of this site, and those of its domain, in your browser's "
        "settings. Then sign in again.",
    ),
}
_BUSY: Final = "the user pool itself is down or overloaded, which passes; attempts are kept"
_DENIED: Final = frozenset(  # OpenID Connect Core 3.1.2.6: with `prompt=none` nobody is there
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
# Cognito's sentences. The rest of one may hold a name, or what a Lambda function has written.
_SENTENCES: Final[Mapping[str, str]] = {
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
    """A sign-in comes to nothing. `uses_up`: the attempt with it.

    `why`: more of it, for the log. `pool_error`: the pool's own code. `mend`: what an operator can
    do; empty: nothing, or that was told already.
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
        super().__init__(code)
        self.code: Code = code
        self.why = why
        self.pool_error = pool_error
        self.mend = TROUBLES[code].mend if mend is None else mend
        self.uses_up = uses_up

    @property
    def kind(self) -> tuple[str, str]:
        """What makes it the same as an earlier one; there are few kinds, whatever is sent."""
        error = self.pool_error or ""
        return self.code, error if error in _KNOWN else error and "another"


def refusal_by_pool(error: str, description: str) -> Refusal:
    """The pool has sent the browser back with an error (RFC 6749 4.1.2.1)."""
    name = printable(error)
    if name in _DENIED:
        return Refusal("access_denied", pool_error=name)
    if name in _PASSING:
        return Refusal("provider_unavailable", pool_error=name, mend=_BUSY, uses_up=False)
    mend = _MENDS.get(name)
    for sentence, meaning in _SENTENCES.items():
        match = re.match(sentence, description)
        if match is not None:
            mend = match.expand(meaning)
    return Refusal("provider_error", pool_error=name, mend=mend)


def refusal_by_endpoint(failure: Failure) -> Refusal:
    """The token endpoint sells no tokens. What an operator can mend is told by `cognito.pace`."""
    error = failure.code or None
    if failure.is_outage:
        return Refusal("provider_unavailable", failure.reason, pool_error=error, uses_up=False)
    if failure.ends_session:  # invalid_grant
        return Refusal("code_rejected", pool_error=error)
    return Refusal("provider_misconfigured", failure.reason, pool_error=error)


def refusal_of_token(error: InvalidToken, issuer: str, client_id: str) -> Refusal:
    """A token that the pool has issued does not verify. The ids are those that count."""
    if not error.claimed:
        return Refusal("token_refused", error.reason)
    expected = client_id if error.reason == "wrong_client" else issuer
    claims = f"claims to be of {excerpt(error.claimed)}, and {expected!r} counts"
    return Refusal("token_refused", f"{error.reason}, its token {claims}")
