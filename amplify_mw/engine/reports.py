"""What the log is told of requests that were refused.

Rules:
- Each refusal is a line at DEBUG, with its reason, method and path; a failed sign-in is one at
  INFO, or at WARNING if an operator can mend it.
- What an operator should know of everybody's requests is told at WARNING, once: tokens of another
  issuer or app client, a session cookie of another name, a Bearer header that nobody reads.
- Nothing is looked at for that but in a request that is refused anyway.
- Ids are no secrets. What has not been verified is told as a claim. What a client sent is escaped
  and cut; tokens, the values of cookies, codes and states are never told.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from ..authenticator import Authenticator, Visit
from ..errors import AuthError, Reason
from ..log import logger
from ..sessions.verdicts import Refused
from ..web.answers import Answer, Asked
from ..web.requests import excerpt, request_header

_LONGEST: Final = 120  # characters of a path
_USUAL: Final = "amplify-session"
_PREFIXES: Final = ("", "__Host-", "__Secure-")
_FRONT_END: Final = "CognitoIdentityServiceProvider"
_CLIENT: Final = re.compile(re.escape(_FRONT_END).encode() + rb"\.([^.=;,\s]{1,256})\.")
_DIFFERENT_USERS: Final = (
    "cookies of two kinds of session name different users, so that nobody is signed in by them "
    "(different_users): somebody has signed in by one kind and not out by the other; a sign-in "
    "here replaces both, a sign-out ends both; see `session=[...]`"
)
_MAX_LOOKED_AT: Final = 16_384  # bytes of cookies: servers take no more


def request_line(asked: Asked) -> str:
    r"""A request in a line of the log.

    >>> print(request_line(Asked("GET", "/a\nb", "code=secret")))
    GET '/a\nb'
    """
    method = asked.method
    is_plain = method.isascii() and method.isalpha() and len(method) <= 16
    path = excerpt(asked.path or "/", _LONGEST)
    return f"{method if is_plain else excerpt(method, 16)} {path}"


def tell_cookie(visit: Visit, asking: Callable[[Any], Asked], request: Any) -> None:
    """Tell why a cookie signed nobody in, and once what is wrong with how cookies are set.

    `asking`: gives what `request` asked for.
    """
    verdict = visit.verdict
    complaint = visit.home.cookie.complaint(visit.cookies or b"")
    if complaint is not None and visit.home.once.is_first(complaint):
        logger.warning("%s", complaint)
    if not isinstance(verdict, Refused):
        return
    if verdict.reason == "different_users" and visit.home.once.is_first(verdict.reason):
        logger.warning("%s", _DIFFERENT_USERS)
    line = request_line(asking(request))
    if verdict.claimed:
        claimed = excerpt(verdict.claimed)
        logger.debug("cookie refused: %s, claims %s (%s)", verdict.reason, claimed, line)
        tell_stranger(visit.home, verdict.reason, verdict.claimed, line)
    else:
        logger.debug("cookie refused: %s (%s)", verdict.reason, line)


def tell_stranger(home: Authenticator, reason: Reason, claimed: str, where: str) -> None:
    """Tell, once, that a token is another pool's or app client's. `where`: it was refused."""
    expected: Iterable[str]
    if reason == "wrong_client":
        what, expected, option = "app client", home.config.clients or (), "client_id"
    elif reason == "wrong_issuer":
        what, expected, option = "issuer", home.issuers, "user_pool_id"
    else:
        return
    claim = excerpt(claimed)
    if claimed and home.once.is_first(reason, claim):
        logger.warning(
            "a token was refused (%s): it claims to be of %s %s, and those that count are of %s "
            "(%s); correct %s, or, if another site of this host name has set the cookie, give "
            "yours a name of its own",
            *(reason, what, claim, _listed(expected), where, option),
        )


def tell_answer(visit: Visit, asked: Asked, answer: Answer, error: AuthError) -> None:
    """Tell of an answer in the app's place; and, if nobody is signed in, what may be behind it."""
    line = request_line(asked)
    if answer.status == 500:  # nobody's cookie: a fault to be found
        logger.error("answered 500: %s (%s)", error.reason, line, exc_info=error)
        return
    logger.debug("answered %d: %s (%s)", answer.status, error.reason, line)
    if error.status_code == 401 and visit.verdict.user is None and not visit.pinned:
        if visit.verdict is visit.home.nobody and visit.cookies is not None:
            _tell_other_cookie(visit, visit.cookies[:_MAX_LOOKED_AT], line)
        _tell_bearer(visit, line)


def _tell_other_cookie(visit: Visit, cookies: bytes, line: str) -> None:
    """Tell, once, that a session cookie was sent of a name that nobody reads here."""
    home, names = visit.home, visit.home.cookie.names
    while visit.outer is not None:  # a middleware further out may read it
        visit = visit.outer
        names |= visit.home.cookie.names
    found = _others(names).search(cookies)
    if found is not None:
        name = found[1].decode("ascii")
        if home.once.is_first("cookie_name", name):
            logger.warning(
                "nobody is signed in, and a cookie %r was sent; the session is read from %s (%s): "
                "if this site sets it, correct cookie=CookiePolicy(name=...) or session=",
                *(name, _listed(names), line),
            )
    sent = {match.decode("latin-1") for match in _CLIENT.findall(cookies)}
    others = sorted(client for client in sent if f"{_FRONT_END}.{client}" not in names)
    if others and len(others) == len(sent) and home.once.is_first("front_end", others[0]):
        logger.warning(
            "nobody is signed in, and cookies of Amplify JS were sent, which claim to be of app "
            "client %s; the session is read from %s (%s): correct client_id, or write "
            "session=AmplifyCookies() to read them",
            *(excerpt(others[0]), _listed(names), line),
        )


@lru_cache(maxsize=64)
def _others(names: frozenset[str]) -> re.Pattern[bytes]:
    """What finds a session cookie of another name: the usual one, and theirs by another prefix."""
    own = {name for name in names if not name.startswith(_FRONT_END)}
    bare = {name.removeprefix("__Host-").removeprefix("__Secure-") for name in own} | {_USUAL}
    others = sorted({prefix + name for prefix in _PREFIXES for name in bare} - own)
    listed = "|".join(map(re.escape, others)).encode("ascii")
    return re.compile(rb"(?:\A|[;,])[ \t]*(" + listed + rb")(?:\.[0-9])?[ \t]*=")


def _tell_bearer(visit: Visit, line: str) -> None:
    sent = request_header(visit.headers, "Authorization")
    if any(value[:7].lower() == "bearer " for value in sent) and visit.home.once.is_first("bearer"):
        logger.warning(
            "nobody is signed in, and a request brought an Authorization: Bearer header, which is "
            "not read here; the session is read from %s (%s)",
            *(_listed(visit.home.cookie.names), line),
        )


def _listed(ids: Iterable[str]) -> str:
    """Ids of the configuration, in a line."""
    some = sorted(ids)
    return " or ".join(map(repr, some[:3])) + (" or others" if len(some) > 3 else "")
