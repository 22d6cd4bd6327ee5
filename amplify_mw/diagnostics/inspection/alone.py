"""An answer from the bytes alone, without a configuration.

Rules:
- A token is refused if every configuration would refuse it. All else cannot be told.
- Nothing is fetched, opened or imported for it: this is the quick half.
"""

import re
from typing import Final

from ...cognito.invalid import InvalidToken, shown
from ...cognito.jwt import parse_segment, parse_token
from ...models.check import Check
from ...web.authorization import MALFORMED, MAX_SENT, bearer_token
from ...web.cookies import MAX_CHUNKS, UNREADABLE, ChunkReader
from .cookies import USUAL_NAMES, cookie_checks
from .facts import counted
from .judgement import Judgement
from .recognition import Recognised
from .tokens import Subject, token_checks

_ID: Final = re.compile(rb"[A-Za-z0-9_-]{43}")
NO_CONFIGURATION: Final = (
    "without a configuration: write --config amplify_outputs.json, or --config module:attribute"
)


def explain_alone(found: Recognised, now: float) -> tuple[Judgement, list[Check], dict[str, bytes]]:
    """The judgement, the checks, and the tokens by their names."""
    token = token_in(found)
    if token is not None:
        subject = Subject(None, now, MAX_SENT)
        return _judge(token), token_checks(token, subject), {"token": token}
    judgement = Judgement("unknown", why=nothing_said(found) or NO_CONFIGURATION)
    cookies = found.field("cookie") if found.kind == "request" else found.value
    if found.kind in ("cookies", "request") and cookies:
        checks, tokens = _of_cookies(cookies, now)
        return judgement, checks, tokens
    if found.kind == "authorization":
        return judgement, bearer_checks(found.value), {}
    return judgement, bare_checks(found.value) if found.kind == "cookie_value" else [], {}


def _of_cookies(header: bytes, now: float) -> tuple[list[Check], dict[str, bytes]]:
    """The checks of cookies, with those of the value in one of a usual name; and its token."""
    checks = cookie_checks(header, None)
    for name in USUAL_NAMES:
        value = ChunkReader(name.encode(), MAX_CHUNKS).read(header)
        if isinstance(value, bytes) and value.count(b".") == 2:
            subject = Subject(None, now, MAX_SENT)
            return checks + token_checks(value, subject), {"token": value}
        if isinstance(value, bytes) and value != UNREADABLE:
            return checks + bare_checks(value), {}
    return checks, {}


def nothing_said(found: Recognised) -> str:
    """Why there is nothing to judge."""
    if found.kind == "nothing":
        return "there was nothing to read: give it on standard input, or by --file"
    if found.kind == "answer":
        return (
            "answers never say the reason; the log does, at DEBUG, and events do. Paste the Cookie "
            "header of the request"
        )
    if found.kind == "text":
        return "it is no credential, and no line of the log that names a reason: see those at DEBUG"
    return ""


def _judge(token: bytes) -> Judgement:
    """A token's, without a configuration."""
    try:
        header = parse_token(token)[0]
    except InvalidToken as error:
        return Judgement("refused", error.reason, 401, read_as="token")
    if header.get("alg") != "RS256":
        return Judgement("refused", "unsupported_algorithm", 401, read_as="token")
    if "crit" in header or type(header.get("kid")) is not str:
        return Judgement("refused", "malformed_token", 401, read_as="token")
    return Judgement("unknown", why=NO_CONFIGURATION, read_as="token")


def token_in(found: Recognised) -> bytes | None:
    """The token in the input, alone or in a Bearer header."""
    if found.kind == "token":
        return found.value
    header = found.value if found.kind == "authorization" else found.field("authorization")
    token = None if header is None else bearer_token(header)
    return None if token == MALFORMED else token


def bearer_checks(header: bytes) -> list[Check]:
    """The form of an Authorization header without a token that can be read."""
    token, form = bearer_token(header), "Bearer, a space, and one token"
    if token is None:
        return [Check("bearer", "warning", "another scheme, or a token without one", form)]
    return [Check("bearer", "wrong", "malformed", form)] if token == MALFORMED else []


def bare_checks(value: bytes) -> list[Check]:
    """The form of a value, without a key: a sealed session by its header, an id by its length."""
    segments = value.split(b".", 5)
    if _ID.fullmatch(value):
        return [Check("value", "ok", "43 characters of base64url: the id of a stored session")]
    if len(segments) != 5:
        return [
            Check("value", "unknown", counted(len(value)), "a token, a sealed session or an id")
        ]
    try:
        header = parse_segment(segments[0], "header")
    except InvalidToken as error:
        return [Check("jwe", "wrong", error.actual, error.expected)]
    is_own = (header.get("alg"), header.get("enc")) == ("dir", "A256GCM") and not segments[1]
    said = ", ".join(f"{name} {shown(header.get(name))}" for name in ("alg", "enc", "kid"))
    if is_own:
        return [Check("jwe", "ok", f"{said}: a sealed session")]
    return [Check("jwe", "wrong", said, "alg 'dir', enc 'A256GCM': another program's")]
