"""Refused credentials: what is reported of them, and notices of the likely mistake.

Rules:
- Every refusal becomes an event in `reporting.report_refusal`, those of guards, verbs and routes
  too. Count them there, or by `AmplifyConfig(on_event=...)`.
- A mistake that may concern the requests of all is a notice, once: tokens of another issuer or app
  client, a session cookie of another name, a Bearer header.
- Only a refused request is searched for mistakes.
- Ids are no secrets. Unverified ones are called claims. Text of a client is escaped and cut; no
  token, cookie value, code or state is told.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, Final

from ..authenticator import Authenticator, Visit
from ..errors import AuthError, Reason
from ..sessions.verdicts import Refused
from ..web.answers import Answer, Asked
from ..web.requests import excerpt, request_header
from .reporting import report_refusal, request_line

_USUAL: Final = "amplify-session"
_PREFIXES: Final = ("", "__Host-", "__Secure-")
_FRONT_END: Final = "CognitoIdentityServiceProvider"
_CLIENT: Final = re.compile(re.escape(_FRONT_END).encode() + rb"\.([^.=;,\s]{1,256})\.")
_DIFFERENT_USERS: Final = (
    "cookies of two kinds of session name different users, so that nobody is signed in by them "
    "(different_users): somebody has signed in by one kind and not out by the other; a sign-in "
    "here replaces both, a sign-out ends both; see `session=[...]`"
)
_OUTSIDE: Final = "user_of"
_MAX_LOOKED_AT: Final = 16_384  # bytes of cookies: servers take no more


def report_credential(
    visit: Visit, asking: Callable[[Any], Asked] | None = None, request: Any = None
) -> None:
    """Report a request's credential, if it was refused, and flaws in how cookies are set.

    `asking`: makes an `Asked` of `request`; None if there are only headers.
    """
    verdict, reporter = visit.verdict, visit.home.reporter
    complaint = visit.home.cookie.complaint(visit.cookies or b"")
    if complaint is not None and reporter.is_first(complaint):
        reporter.notice(complaint)
    if not isinstance(verdict, Refused):
        return
    if verdict.reason == "different_users" and reporter.is_first(verdict.reason):
        reporter.notice(_DIFFERENT_USERS, verdict.reason)
    asking_it = None if asking is None else partial(asking, request)
    if reporter.notes or reporter.is_heard():  # else the refusal of a flood's cookies is quicker
        visit.told = ()  # nothing yet; to find it unset would cost a microsecond
        at = "cookie" if visit.source.is_ambient else "header"
        detail = excerpt(verdict.claimed) if verdict.claimed else verdict.detail
        status = verdict.error.status_code
        report_refusal(visit, verdict.reason, status, at=at, detail=detail, asking=asking_it)
    if verdict.claimed:
        place = (lambda: _OUTSIDE) if asking_it is None else (lambda: request_line(asking_it()))
        notice_other_pool(visit.home, verdict.reason, verdict.claimed, place)


def notice_other_pool(
    home: Authenticator, reason: Reason, claimed: str, place: Callable[[], str]
) -> None:
    """Notice a token of another pool or app client. `place`: gives the place of its refusal."""
    expected: Iterable[str]
    if reason == "wrong_client":
        kind, expected, option = "app client", home.config.clients or (), "client_id"
    elif reason == "wrong_issuer":
        is_ours = claimed.rpartition("/")[2] in home.pools
        option = "issuers= or regions=" if is_ours else "user_pool_id"
        kind, expected = "issuer", home.issuers
    else:
        return
    claim = excerpt(claimed)
    if claimed and home.reporter.is_first(reason, claim):
        home.reporter.notice(
            f"a token was refused ({reason}): it claims to be of {kind} {claim}, and those that "
            f"count are of {_listed(expected)} ({place()}); correct {option}, or, if another site "
            "of this host name has set the cookie, give yours a name of its own",
            reason,
        )


def report_answer_to(visit: Visit, asked: Asked, answer: Answer, error: AuthError) -> None:
    """Report an answer in the app's place, and notice a likely mistake if nobody is signed in."""
    fault = error if answer.status == 500 else None  # no refusal of a user: a fault to be found
    report_refusal(*(visit, error.reason, answer.status), at="answer", asked=asked, error=fault)
    if error.status_code == 401 and visit.verdict.user is None and not visit.pinned:
        if visit.verdict is visit.home.nobody and visit.cookies is not None:
            _notice_other_cookie(visit, visit.cookies[:_MAX_LOOKED_AT], asked)
        if visit.home.bearer is None:
            _notice_bearer(visit, asked, error.reason)


def _notice_other_cookie(visit: Visit, cookies: bytes, asked: Asked) -> None:
    """Notice a session cookie of a name that is not read here."""
    home, names = visit.home, visit.home.cookie.names
    while visit.outer is not None:  # a middleware further out may read it
        visit = visit.outer
        names |= visit.home.cookie.names
    found = _others(names).search(cookies)
    if found is not None:
        name = found[1].decode("ascii")
        if home.reporter.is_first("cookie_name", name):
            home.reporter.notice(
                f"nobody is signed in, and a cookie {name!r} was sent; the session is read from "
                f"{_listed(names)} ({request_line(asked)}): if this site sets it, correct "
                "cookie=CookiePolicy(name=...) or session=",
                home.nobody.reason,
            )
    sent = {match.decode("latin-1") for match in _CLIENT.findall(cookies)}
    others = sorted(client for client in sent if f"{_FRONT_END}.{client}" not in names)
    if others and len(others) == len(sent) and home.reporter.is_first("front_end", others[0]):
        home.reporter.notice(
            "nobody is signed in, and cookies of Amplify JS were sent, which claim to be of app "
            f"client {excerpt(others[0])}; the session is read from {_listed(names)} "
            f"({request_line(asked)}): correct client_id, or write session=AmplifyCookies() to "
            "read them",
            home.nobody.reason,
        )


@lru_cache(maxsize=64)
def _others(names: frozenset[str]) -> re.Pattern[bytes]:
    """The pattern of a session cookie of another name: the usual one, or with another prefix."""
    own = {name for name in names if not name.startswith(_FRONT_END)}
    bare = {name.removeprefix("__Host-").removeprefix("__Secure-") for name in own} | {_USUAL}
    others = sorted({prefix + name for prefix in _PREFIXES for name in bare} - own)
    listed = "|".join(map(re.escape, others)).encode("ascii")
    return re.compile(rb"(?:\A|[;,])[ \t]*(" + listed + rb")(?:\.[0-9])?[ \t]*=")


def _notice_bearer(visit: Visit, asked: Asked, reason: Reason) -> None:
    sent = request_header(visit.headers, "Authorization")
    reporter = visit.home.reporter
    if any(value[:7].lower() == "bearer " for value in sent) and reporter.is_first("bearer"):
        names = _listed(visit.home.cookie.names)
        reporter.notice(
            "nobody is signed in, and a request brought an Authorization: Bearer header, which is "
            f"not read here; the session is read from {names} ({request_line(asked)}): if programs "
            "may send access tokens, write bearer=True",
            reason,
        )


def _listed(ids: Iterable[str]) -> str:
    """Ids of the configuration, in a line."""
    some = sorted(ids)
    return " or ".join(map(repr, some[:3])) + (" or others" if len(some) > 3 else "")
