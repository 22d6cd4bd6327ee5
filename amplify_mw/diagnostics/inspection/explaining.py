"""All checks of a credential, in the order of a request.

Rules:
- Explained is the request judged: both take it from `environ_with`.
"""

from collections.abc import Iterator
from typing import Any, Final

from ...models.check import Check
from ...web.authorization import MAX_SENT
from .alone import bearer_checks, token_in
from .cookies import cookie_checks
from .handed_over import explain_handed_over
from .judgement import Judgement
from .judging import environ_with, judge
from .looking import Looking
from .recognition import Recognised
from .requests import request_checks
from .sessions import session_checks, tokens_of
from .tokens import Subject, token_checks

_READ_AS: Final = {
    "cookie": "the session's cookie",
    "header": "an Authorization header",
    "token": "a token by itself",
}
_BARE: Final = ("token", "cookie_value")
_OF_NAMES: Final = (("cookies", "ok"), ("cookie", "ok"))
_NOT_READ: Final = "if programs may send access tokens, write bearer=True"


def explain_all(
    found: Recognised, looking: Looking, *, elsewhere: bool, with_tokens: bool
) -> tuple[Judgement, list[Check], dict[str, bytes]]:
    """The judgement, all checks, and the tokens by their names.

    `elsewhere`: as `judge` has it. `with_tokens`: look for those of a session, too.
    """
    handed = explain_handed_over(found, looking)
    if handed is not None:
        return handed
    judgement = judge(found, looking, elsewhere=elsewhere)
    if judgement.read_as == "nothing":
        return judgement, [], {}
    now, checks = looking.clock(), list[Check]()
    environ, token = environ_with(found, looking), token_in(found)
    tokens = {} if token is None else {"token": token}
    if found.kind in _BARE:
        checks.append(Check("read_as", "ok", _READ_AS[judgement.read_as]))
    if judgement.read_as != "cookie":
        header = environ.get("HTTP_AUTHORIZATION")
        checks += _token_checks(token, header, looking, now)
    # A token that no cookie here would bring is no session: its checks would lead astray.
    cookie = None if judgement.read_as == "token" else environ.get("HTTP_COOKIE")
    value, cookies = _cookie_checks(cookie, looking, now)
    if with_tokens and value is not None:
        tokens |= tokens_of(value, looking)
    if found.kind in _BARE:  # its name was not given
        cookies = [check for check in cookies if check[:2] not in _OF_NAMES]
    checks += cookies
    if judgement.read_as == "request":
        checks += request_checks(environ, looking.config, judgement.verdict, now)
    if judgement.word == "signed_in":
        checks = [_forgiven(check) for check in checks]
    return judgement, checks, tokens


def _token_checks(
    token: bytes | None, header: str | None, looking: Looking, now: float
) -> Iterator[Check]:
    """The checks of a token by itself, or in a Bearer header."""
    is_read = looking.config.bearer
    if header is not None and not is_read:
        yield Check("bearer", "wrong", "not read", "bearer=True", _NOT_READ)
    if token is not None:
        uses = ("access",) if header is not None and is_read else ("id", "access")
        yield from token_checks(token, Subject(looking, now, MAX_SENT, uses, machines=True))
    elif header is not None and is_read:
        yield from bearer_checks(header.encode("latin-1"))


def _forgiven(check: Check) -> Check:
    """A harmless fault: of another kind of session, or of a token not needed."""
    return check._replace(outcome="warning") if check.outcome == "wrong" else check


def _cookie_checks(cookie: str | None, looking: Looking, now: float) -> tuple[Any, list[Check]]:
    """The session's value in a request's cookies, and the checks of these."""
    if cookie is None:
        return None, []
    header, cookies = cookie.encode("latin-1"), looking.engine.authenticator.cookie
    value = cookies.read(header)
    of_session = [] if value is None else session_checks(value, looking, now)
    return value, cookie_checks(header, cookies) + of_session
