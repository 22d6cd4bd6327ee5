"""The user of the current request, and the user's attributes.

Rules:
- `get_current_user`, `get_current_principal`, `get_claim` and `user_or_none` never wait.
- Claims are those of verified tokens, read once a request and only if somebody asks.
- `fetch_user_attributes` may wait, and refuses to do so on an event loop's thread.
"""

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from ..authenticator import ASKED, Visit
from ..cognito.api import Failure
from ..engine.context import (
    bound,
    current_visit,
    refuse_ended,
    refuse_on_event_loop,
    signed_in_verdict,
)
from ..errors import NotAuthorizedException, OutsideRequestError, TokenExpiredException
from ..log import About, logger
from ..models import AuthUser
from ..sessions.verdicts import KnownMachine, Refused, SignedIn

if TYPE_CHECKING:
    from ..models.machine import Machine
else:
    Machine = object  # loaded later; tools that read annotations at run time see this


def get_current_user() -> AuthUser:
    """The signed-in user of this request (Amplify's `getCurrentUser`). Never waits.

    Raises `NotAuthorizedException` or `TokenExpiredException` when nobody is signed in,
    `NetworkError` when the user cannot be told now, `OutsideRequestError` outside a request. With
    `bearer=True` also `NotAuthorizedException` (`not_a_person`) for a machine's token, and
    `InvalidRequestException` for a header that cannot be used.
    """
    visit = bound()
    if visit is None:
        raise OutsideRequestError
    visit.depends = visit.depends or ASKED  # `visit.ask`, without its call
    verdict = visit.verdict
    if type(verdict) is SignedIn and not visit.stage:  # nearly always, and without another call
        return verdict.user
    return signed_in_verdict(visit).user


def get_current_principal() -> "AuthUser | Machine":
    """The signed-in user, or the machine that has sent its token in this request. Never waits.

    A machine is a program that has signed in as itself, by client credentials; it needs
    `AmplifyConfig(bearer=True)`. For everything else see `get_current_user`.
    """
    visit = bound()
    if visit is None:
        raise OutsideRequestError
    machine = known_machine(visit)
    return get_current_user() if machine is None else machine.machine


def get_claim(name: str, *, token_use: Literal["id", "access"] | None = None) -> Any:
    """A claim of the verified token of this request's user or machine, or None. Never waits.

    `token_use`: the token to look in, `"id"` or `"access"`. None (the default): the one that says
    who the user is, which is the ID token, or the access token where there is no other (a Bearer
    token). A value has JSON's type: text, a number, a bool, a list or a dict. For errors see
    `get_current_principal`.

    >>> from amplify_mw.testing import signed_in
    >>> with signed_in("ada", attributes={"custom:tenant": "a1"}):
    ...     get_claim("custom:tenant")
    'a1'
    """
    visit = current_visit()
    verdict = known_machine(visit) or signed_in_verdict(visit)
    known = getattr(visit, "claims", None)
    if known is None or known[0] is not verdict or known[1] != token_use:
        from ..needs import claims  # for sites that ask

        known = visit.claims = (verdict, token_use, claims(verdict, token_use))
    return known[2].get(name)


def known_machine(visit: Visit, by: str = "app") -> KnownMachine | None:
    """The verdict on a machine's token; None if the request brought none.

    `by`: the asking function, for the event of a refusal: the token may have expired meanwhile.
    """
    if visit.has_ended:
        refuse_ended(visit)
    verdict = visit.ask()
    if not isinstance(verdict, KnownMachine):
        return None
    if visit.stage and visit.now() >= verdict.expires_at:
        error = TokenExpiredException(reason="token_expired")
        from ..engine.reporting import report_verdict

        report_verdict(visit, error, at=by)
        try:
            raise error
        finally:
            del error  # likewise, no cycle: see `signed_in_verdict`
    return verdict


def user_or_none() -> AuthUser | None:
    """The signed-in user, or None for a visitor who is not signed in. Never waits.

    None: there is no session, or it is invalid, expired or ended; or it is a machine's request. For
    pages that are open to all.

    Raises `NetworkError` when the user cannot be told now: with None, the page would greet a
    signed-in user as a stranger, and might ask for a sign-in that cannot succeed either. Raises
    `OutsideRequestError` outside a request: there a middleware is missing, and with None every
    user would look signed out.
    """
    visit = bound()
    if visit is None:
        raise OutsideRequestError
    return user_in(visit)


def user_in(visit: Visit) -> AuthUser | None:
    """The user of a visit, or None; see `user_or_none`."""
    if visit.has_ended:
        refuse_ended(visit)
    verdict = visit.ask()
    if not isinstance(verdict, SignedIn) and issubclass(verdict.error, NotAuthorizedException):
        return None
    try:
        return signed_in_verdict(visit).user
    except NotAuthorizedException:  # the token has expired since the response began
        return None


def fetch_user_attributes() -> dict[str, str]:
    """The user's attributes, such as `{"email": "ada@example.com"}`; all values are text.

    Amplify's `fetchUserAttributes`. From Cognito's `GetUser` if the session has an access token
    with the scope `aws.cognito.signin.user.admin`, else from the ID token's claims. Cached for
    `attributes_ttl` seconds. Raises the errors of `get_current_user`, the `AuthError` for Cognito's
    answer, and `BlockingCallError` on an event loop.
    """
    refuse_on_event_loop("fetch_user_attributes")
    visit = current_visit()
    return attributes_result(visit.run(attributes_flow(visit)))


def attributes_flow(visit: Visit) -> Generator[Any, Any, Mapping[str, str] | Failure]:
    """The flow behind `fetch_user_attributes`. Raises at once when nobody is signed in."""
    return _attributes(visit, signed_in_verdict(visit))


def _attributes(
    visit: Visit, verdict: SignedIn
) -> Generator[Any, Any, Mapping[str, str] | Failure]:
    answer = yield from visit.home.fetch_attributes(visit, verdict, visit.now())
    if visit.verdict is not verdict and isinstance(visit.verdict, Refused):  # so says Cognito
        from ..engine.reporting import report_verdict

        detail = visit.verdict.detail
        report_verdict(visit, visit.verdict.exception(), at="app", detail=detail)
    return answer


def attributes_result(answer: Mapping[str, str] | Failure) -> dict[str, str]:
    """A new dictionary for the caller. Raises the `AuthError` of a failure."""
    if isinstance(answer, Failure):
        logger.debug("attributes: %s", answer.reason, about=About(answer.reason))
        raise answer.exception()
    return dict(answer)
