r"""Recognising the input: a token, a cookie, headers, a request, a log line.

    recognise(b"eyJ...")                     a token
    recognise(b"Bearer eyJ...")              an Authorization header
    recognise(b"amplify-session=...")        cookies; `Cookie:` lines are joined
    recognise(b"GET /account HTTP/1.1\n...") a request, from DevTools or `curl -v`
    recognise(b"curl 'https://...' -H ...")  a request, copied "as cURL"
    recognise(b"cookie\na=b\nhost\n...")     a table of header fields, from DevTools
    recognise(b"wrong_client")               a reason; a line of the log or the audit with one, too

Rules:
- By content alone, without an option. Any bytes are something; nothing raises.
- At most `MAX_READ` bytes are looked at. Every step takes linear time.
- A hand-over has the form of a sealed session's value: only the keys tell (`handed_over`).
- Anything else is text if it has a space, and the bare value of a session's cookie if not: a value
  has none (RFC 6265bis 4.1.1).
"""

import json
import re
import shlex
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from ...reasons import explain

MAX_READ: Final = 1024 * 1024  # bytes
_MAX_FIELDS: Final = 1_000
Kind: TypeAlias = Literal[
    "nothing",
    "token",
    "authorization",
    "cookie_value",
    "cookies",
    "request",
    "reason",
    "answer",
    "text",
    "handover",
]
Fields: TypeAlias = list[tuple[str, bytes]]

NAMES: Final[dict[Kind, str]] = {
    "nothing": "nothing",
    "token": "a token (JWT)",
    "authorization": "an Authorization header",
    "cookie_value": "the value of a cookie",
    "cookies": "a Cookie header",
    "request": "the head of a request",
    "reason": "a reason",
    "answer": "JSON, such as the body of an answer",
    "text": "text",
    "handover": "a hand-over to a job",
}
_LONGEST_COMMAND: Final = 65_536
_NO_ADDRESS: Final = frozenset(("-e", "--referer", "-x", "--proxy"))
_REQUEST_LINE: Final = re.compile(
    rb"([A-Za-z]{1,16}) ((?:/|\*|https?://)\S{0,65536})(?: HTTP/[0-9.]{1,3})?"
)
_PSEUDO: Final = re.compile(rb":(method|path|authority|scheme):[ \t]*(.*)", re.DOTALL)
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}):[ \t]*(.*)", re.DOTALL)
_TITLE: Final = re.compile(rb":?[A-Za-z][A-Za-z0-9-]{0,99}:?")
_GONE: Final = re.compile(rb"(?i);[ \t]*max-age[ \t]*=[ \t]*(?:0|-[0-9]+)[ \t]*(?:;|\Z)")
_CARET: Final = re.compile(r"\^(\r?\n|.)")
_DOLLAR: Final = re.compile(r" \$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_PAIR: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,1024}[ \t]*=")
_BEARER: Final = re.compile(rb"(?i)bearer[ \t]")
_WORD: Final = re.compile(rb"[a-z][a-z_]{2,40}")
_LOG_LINE: Final = re.compile(
    rb"(?:\w{1,30} refused|answered ([0-9]{3})|(sign-in failed)|attributes): ([a-z][a-z_]{2,40})"
)
_NOTICE: Final = re.compile(rb"(?:was refused|signed in by them) \(([a-z][a-z_]{2,40})\)")
_OWN_WORDS: Final = {"sign-out by another site's page": "cross_site"}
_UNENCODED: Final = re.compile(rb"[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){2}")
_JWT: Final = b"eyJ"  # base64url of `{"`


class Recognised(NamedTuple):
    """The input, taken apart.

    `value`: the token, the cookie's value, the `Cookie` or the `Authorization` header's, or the
    reason. `fields`: a request's header fields, names in lower case. `is_cut`: there was more.
    `status`: of the answer, if the line with the reason tells it.
    """

    kind: Kind
    value: bytes = b""
    method: str = "GET"
    target: str = "/"
    fields: tuple[tuple[str, bytes], ...] = ()
    is_cut: bool = False
    status: int | None = None

    def __repr__(self) -> str:
        return f"<Recognised {self.kind}>"

    def field(self, name: str) -> bytes | None:
        """A header field's value; None if it was not sent. Several are joined."""
        found = [value for key, value in self.fields if key == name]
        separator = b"; " if name == "cookie" else b","  # RFC 9113 8.2.3, RFC 9110 5.3
        return separator.join(found) if found else None


def recognise(data: bytes) -> Recognised:
    r"""Take the input apart.

    >>> recognise(b"> GET /a HTTP/2\r\n> Cookie: a=b\r\n> Cookie: c=d").field("cookie")
    b'a=b; c=d'
    >>> recognise(b"cookie refused: wrong_client, claims 'web' (GET '/account')").value
    b'wrong_client'
    """
    text = _as_bytes(data[:MAX_READ]).strip(b" \t\r\n\0")
    return _recognised(text)._replace(is_cut=len(data) > MAX_READ)


def _as_bytes(data: bytes) -> bytes:
    """The data without a byte order mark; UTF-16 with one as UTF-8."""
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):  # PowerShell's `>` writes it
        return data.decode("utf-16", "replace").encode()
    return data.removeprefix(BOM_UTF8)


def _recognised(text: bytes) -> Recognised:
    if not text:
        return Recognised("nothing")
    return (
        _reason(text)
        or _answer(text)
        or _curl(text)
        or _request(_lines(text))
        or _authorization(text)
        or _value(text)
    )


def _reason(text: bytes) -> Recognised | None:
    """A bare reason, or one in a line of the log."""
    if _WORD.fullmatch(text) and _is_reason(text):
        return Recognised("reason", text)
    found, notice = _LOG_LINE.search(text[:16_384]), _NOTICE.search(text[:16_384])
    if found and _is_reason(found[3]):
        status = int(found[1]) if found[1] else None
        return _with_status(found[3], _of_sign_in(found[3]) if found[2] else status)
    if notice and _is_reason(notice[1]):
        return Recognised("reason", notice[1])
    for words, reason in _OWN_WORDS.items():
        if words.encode() in text[:16_384]:
            return Recognised("reason", reason.encode())
    return None


def _is_reason(word: bytes) -> bool:
    return explain(word.decode("ascii")) is not None


def _of_sign_in(reason: bytes) -> int | None:
    """The status of a sign-in that fails for this: a request may be refused for it as well."""
    explanation = explain(reason.decode("ascii"))
    return None if explanation is None else explanation.statuses[-1]


def _with_status(reason: bytes, status: object) -> Recognised:
    is_one = type(status) is int and 400 <= status < 600
    return Recognised("reason", reason, status=status if is_one else None)  # type: ignore[arg-type]


def _answer(text: bytes) -> Recognised | None:
    """A problem document (RFC 9457), or a line of a log or an audit in JSON."""
    if not text.startswith(b"{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    message = _within(found, "message")
    line = _reason(message.encode(errors="replace")) if isinstance(message, str) else None
    if line is not None and line.status is not None:
        return line
    reason = _within(found, "reason") or _within(found, "event", "reason")
    if isinstance(reason, str) and reason.isascii() and _is_reason(reason.encode()):
        status = _within(found, "status") or _within(found, "http", "response", "status_code")
        return _with_status(reason.encode(), status)
    return line or Recognised("answer")


def _within(value: Any, *names: str) -> Any:
    """A member of JSON objects in one another; None if there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _curl(text: bytes) -> Recognised | None:
    """A command of curl, as developer tools copy it."""
    if not text.startswith(b"curl ") or len(text) > _LONGEST_COMMAND:
        return None
    try:
        words = shlex.split(_for_posix(text.decode("latin-1")))
    except ValueError:
        return None
    method, target, fields = "", "/", list[tuple[str, bytes]]()
    for option, word in pairwise(words):
        name, colon, value = word.partition(":")
        if option in ("-H", "--header") and colon:
            fields.append((name.strip().lower(), value.strip().encode("latin-1")))
        elif option in ("-b", "--cookie") and "=" in word:
            fields.append(("cookie", word.encode("latin-1")))
        elif option in ("-X", "--request"):
            method = word
        elif word.startswith(("https://", "http://")) and option not in _NO_ADDRESS:
            target = word
    has_body = any(word.startswith(("--data", "-d")) for word in words)
    return Recognised("request", b"", method or ("POST" if has_body else "GET"), target, (*fields,))


def _for_posix(command: str) -> str:
    """A command with the quotes of POSIX: neither those of Windows (`^"`) nor of Bash (`$'`)."""
    if command.startswith('curl ^"'):
        return _CARET.sub(lambda found: found[1].strip(), command)
    return _DOLLAR.sub(_requoted, command.replace("\\\r\n", " "))


def _requoted(found: re.Match[str]) -> str:
    plain = found[1].encode("latin-1").decode("unicode_escape")
    return " " + shlex.quote(plain.encode("utf-8", "replace").decode("latin-1"))


def _lines(text: bytes) -> list[bytes]:
    """The lines up to the head's end. Of `curl -v`, only the sent ones."""
    lines = [line.rstrip(b"\r") for line in text.split(b"\n", _MAX_FIELDS)[:_MAX_FIELDS]]
    sent = [line[2:] for line in lines if line.startswith(b"> ")]
    if sent:
        return sent
    end = next((at for at, line in enumerate(lines) if not line.strip()), len(lines))
    return _titled(_unfolded(lines[:end]))


def _unfolded(lines: list[bytes]) -> list[bytes]:
    """The lines without those that continue another (RFC 9112 5.2)."""
    found: list[bytes] = []
    for line in lines:
        text = line.strip(b" \t")
        if found and line[:1] in (b" ", b"\t") and not _FIELD.fullmatch(text):
            found[-1] += b" " + text
        else:
            found.append(text)
    return found


def _titled(lines: list[bytes]) -> list[bytes]:
    """The lines of a table, as Chrome copies it: each name is above its value."""
    if len(lines) < 2 or not all(map(_TITLE.fullmatch, lines[::2])):
        return lines
    rows = zip(lines[::2], lines[1::2], strict=False)  # the last value may be missing
    return [b"%b: %b" % (name.rstrip(b":"), value) for name, value in rows]


def _request(lines: list[bytes]) -> Recognised | None:
    """A request's head, or some of its header fields."""
    method, target, fields = b"", b"", list[tuple[str, bytes]]()
    first = _REQUEST_LINE.fullmatch(lines[0]) if lines else None
    if first:
        method, target = first[1], first[2]
    for line in lines[1:] if first else lines:
        pseudo, field = _PSEUDO.fullmatch(line), _FIELD.fullmatch(line)
        if pseudo:
            method = pseudo[2] if pseudo[1] == b"method" else method
            target = pseudo[2] if pseudo[1] == b"path" else target
            if pseudo[1] == b"authority":
                fields.append(("host", pseudo[2].strip()))
        elif field:
            fields.append((field[1].decode("ascii").lower(), field[2].strip(b" \t")))
        elif not (first or fields):
            return None
    return _head(method.decode("latin-1"), target.decode("latin-1"), fields)


def _head(method: str, target: str, fields: Fields) -> Recognised | None:
    names = {name for name, _ in fields}
    if not method and names == {"set-cookie"}:
        return Recognised("cookies", _kept(value for _, value in fields))
    if not (method or names & {"cookie", "authorization", "host", "origin"}):
        return None
    found = Recognised("request", b"", method or "GET", target or "/", tuple(fields))
    if method or names - {"cookie", "authorization"} or len(names) > 1:
        return found
    if "cookie" in names:
        return Recognised("cookies", found.field("cookie") or b"")
    return Recognised("authorization", found.field("authorization") or b"")


def _kept(lines: Iterable[bytes]) -> bytes:
    """The cookies of a browser that got these `Set-Cookie` values: the last of a name counts."""
    kept: dict[bytes, bytes] = {}
    for line in lines:
        pair = line.partition(b";")[0].strip(b" \t")
        kept[pair.partition(b"=")[0]] = b"" if _GONE.search(line) else pair
    return b"; ".join(filter(None, kept.values()))


def _authorization(text: bytes) -> Recognised | None:
    return Recognised("authorization", text) if _BEARER.match(text) else None


def _value(text: bytes) -> Recognised:
    """A token, cookies, or the value of one."""
    if text.startswith(_JWT):
        text = _unwrapped(text)
        return Recognised("token" if _UNENCODED.fullmatch(text) else "cookie_value", text)
    if _PAIR.match(text):
        return Recognised("cookies", _joined(text.split(b"\n")))
    return Recognised("text" if b" " in text else "cookie_value", text)


def _unwrapped(text: bytes) -> bytes:
    """One token in several lines, as a terminal wraps it, in one."""
    first, *others = (line.strip(b" \t\r") for line in text.split(b"\n"))
    return text if any(line.startswith(_JWT) for line in others) else b"".join([first, *others])


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"; ".join(line.strip(b" \t\r;") for line in lines)
