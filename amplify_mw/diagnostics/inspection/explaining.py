"""All checks of a credential, in the order in which a request meets them.

Rules:
- What is explained is the request that was judged: both take it from `environ_with`.
"""

from typing import Final

from ...models.check import Check
from ...web.authorization import MAX_SENT
from .alone import token_in
from .cookies import cookie_checks
from .judgement import Judgement
from .judging import environ_with, read_as
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
_NOT_READ: Final = "if programs may send access tokens, write bearer=True"


def explain_all(
    found: Recognised, looking: Looking, judgement: Judgement, now: float
) -> tuple[list[Check], dict[str, bytes]]:
    """All checks, and the tokens by their names."""
    if judgement.read_as == "nothing":
        return [], {}
    checks: list[Check] = []
    if found.kind in _BARE:
        checks.append(Check("read_as", "ok", _READ_AS[judgement.read_as]))
    tokens: dict[str, bytes] = {}
    environ = environ_with(found, looking)
    token, header = token_in(found), environ.get("HTTP_AUTHORIZATION")
    if header is not None and not looking.config.bearer:
        checks.append(Check("bearer", "wrong", "not read", "bearer=True", _NOT_READ))
    if token is not None and read_as(found, looking) != "cookie":
        tokens["token"] = token
        is_header = judgement.read_as != "token"
        uses = ("access",) if is_header and looking.config.bearer else ("id", "access")
        subject = Subject(looking, now, MAX_SENT, uses, machines=True)
        checks += token_checks(token, subject)
    elif header is not None and looking.config.bearer:
        checks.append(Check("bearer", "wrong", "malformed", "Bearer, and one token"))
    cookies = _cookie_checks(environ.get("HTTP_COOKIE"), looking, now, tokens)
    checks += cookies[2:] if found.kind in _BARE else cookies  # a name that was not given
    if judgement.read_as == "request":
        checks += request_checks(environ, looking.config, judgement.verdict, now)
    if judgement.word == "signed_in":
        checks = [_forgiven(check) for check in checks]
    return checks, tokens


def _forgiven(check: Check) -> Check:
    """A fault that signs nobody out: of another kind of session, or of a token not needed."""
    return check._replace(outcome="warning") if check.outcome == "wrong" else check


def _cookie_checks(
    cookie: str | None, looking: Looking, now: float, tokens: dict[str, bytes]
) -> list[Check]:
    """The checks of a request's cookies. Their tokens are added to `tokens`."""
    if cookie is None:
        return []
    header, cookies = cookie.encode("latin-1"), looking.engine.authenticator.cookie
    checks = cookie_checks(header, cookies)
    value = cookies.read(header)
    if value is None:
        return checks
    tokens |= tokens_of(value, looking)
    return checks + session_checks(value, looking, now)
