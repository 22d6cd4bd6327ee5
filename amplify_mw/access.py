r"""Which paths need whom, and the answers the library gives itself.

Rules:
- A pattern is a path, or a path and everything below it (`/api/*`, which covers `/api` too). A
  slash at the end makes no difference.
- A path is protected if any normalisation of it matches, public or ignored only if all do:
  percent-decoding again and again, `\` for `/`, doubled slashes, dot segments, in any mixture; a
  slash put in front (waitress passes on `GET account`, Flask reads `/account`); a line feed taken
  from the end (the `$` of Starlette's and Bottle's routes matches before one).
- A path that can be read in too many ways to try them all is protected, if anything is.
- `ignore` wins over `public`, which wins over `protect`.
- An answer never says why a cookie was refused: all invalid cookies look the same from outside.
- `next` is a path of this very site, whatever was asked for.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from math import ceil
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlencode, urlsplit

from .config import AmplifyConfig
from .errors import AuthError

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 9.2.1
_MAX_SPELLINGS: Final = 32
_MAX_SUSPICIOUS: Final = 4096  # characters
_SUSPICIOUS: Final = re.compile(r"\A(?!/)|//|/\.|[%\\\n]")
_DETAILS: Final = {
    401: "Sign in to see this.",
    403: "This request is not allowed.",
    405: "This address does not take this method.",
    503: "It cannot be told now who is signed in. Try again in a moment.",
}


class Access(Enum):
    """What a path asks of its visitor."""

    OPEN = "open"
    PROTECTED = "protected"
    IGNORED = "ignored"


class AccessRules:
    """The compiled `protect`, `public` and `ignore` lists."""

    @classmethod
    def of_config(cls, config: AmplifyConfig) -> "AccessRules | None":
        """The rules of a configuration; None if it has none."""
        if not config.protect and not config.ignore:
            return None
        return cls(config.protect, config.public, config.ignore)

    def __init__(
        self, protect: Sequence[str], public: Sequence[str], ignore: Sequence[str]
    ) -> None:
        self._protect = Paths(protect)
        self._public = Paths(public)
        self._ignore = Paths(ignore)
        self._unreadable = Access.PROTECTED if protect else Access.OPEN

    def of(self, path: str | None) -> Access:
        """What `path` (below the mount, decoded once) asks of its visitor.

        None is a path that is no UTF-8: one framework drops such bytes, another replaces them.
        """
        if path is None:
            return self._unreadable
        if not _SUSPICIOUS.search(path):
            return self._decide([path])
        found = spellings(path)
        return self._unreadable if found is None else self._decide(found)

    def _decide(self, spellings: Iterable[str]) -> Access:
        if all(map(self._ignore.match, spellings)):
            return Access.IGNORED
        if not any(map(self._protect.match, spellings)):
            return Access.OPEN
        return Access.OPEN if all(map(self._public.match, spellings)) else Access.PROTECTED


class Paths:
    """A list of patterns, as a set of paths and a tuple of prefixes."""

    def __init__(self, patterns: Sequence[str]) -> None:
        below = [pattern.removesuffix("*") for pattern in patterns if pattern.endswith("/*")]
        exact = [pattern.rstrip("/") for pattern in patterns if not pattern.endswith("/*")]
        self._below = tuple(below)
        self._exact = frozenset(exact + [prefix.rstrip("/") for prefix in below])

    def match(self, path: str) -> bool:
        """Whether a path is among them."""
        return path.startswith(self._below) or path.rstrip("/") in self._exact


def spellings(path: str) -> set[str] | None:
    """Every way `path` may be read further down; None if that cannot be said."""
    if len(path) > _MAX_SUSPICIOUS:
        return None
    found, pending = {path}, [path]
    while pending:
        text = pending.pop()
        readings = {read(text) for read in _READINGS} - found
        found |= readings
        pending += readings
        if len(found) > _MAX_SPELLINGS:
            return None
    return found


def _without_line_feed(path: str) -> str:
    return path.removesuffix("\n")


def _with_slashes(path: str) -> str:
    return path.replace("\\", "/")


def _collapse(path: str) -> str:
    while "//" in path:
        path = path.replace("//", "/")
    return path


def _resolve_dots(path: str) -> str:
    """RFC 3986 5.2.4; with a slash in front in any case."""
    kept: list[str] = []
    segments = path.removeprefix("/").split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


_READINGS: Final[Sequence[Callable[[str], str]]] = (
    *(unquote, _with_slashes, _collapse, _resolve_dots, _without_line_feed),
)


class Answer(NamedTuple):
    """A response the library makes itself."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        return f"<Answer {self.status}>"

    @property
    def status_line(self) -> str:
        """Such as `401 Unauthorized`."""
        return f"{self.status} {_phrase(self.status)}"

    @property
    def octets(self) -> list[tuple[bytes, bytes]]:
        """The headers as ASGI spells them."""
        return [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers]


class Asked(NamedTuple):
    """What a request asked for, as far as an answer depends on it.

    `path` is the full path with the mount, decoded once; `query` is as it was sent.
    """

    method: str
    path: str
    query: str
    accept: str = ""
    sec_fetch_mode: str = ""
    sec_fetch_site: str = ""
    is_preflight: bool = False  # CORS: OPTIONS with Access-Control-Request-Method

    def __repr__(self) -> str:
        return f"<Asked {self.method} {self.path!r}>"

    @property
    def is_navigation(self) -> bool:
        """Whether a browser is opening a page (and not a script fetching something)."""
        return (
            self.method in ("GET", "HEAD")
            and "text/html" in self.accept.lower()
            and self.sec_fetch_mode in ("", "navigate")
        )


class Refusals:
    """The answers to those who may not pass."""

    def __init__(
        self, *, cookie_name: str, login_url: str | None, origins: Sequence[str] = ()
    ) -> None:
        self._challenge = f'Cookie realm="sign-in", cookie-name="{cookie_name}"'
        self._login_url = login_url
        self._login_path = _path_of_this_site(login_url, origins)

    def is_login_page(self, asked: Asked) -> bool:
        """Whether this is the login page itself, which nobody may be kept from."""
        return asked.path == self._login_path

    def to(self, asked: Asked, error: AuthError, *, signed_in: bool = False) -> Answer:
        """The answer to a request that `error` stopped.

        Who is signed in is not sent to sign in: that would go round in circles.
        """
        is_for_login = error.status_code == 401 and asked.is_navigation and not signed_in
        if is_for_login and self._login_url is not None:
            return self._to_login(asked)
        headers = []
        if error.status_code == 401:
            headers.append(("WWW-Authenticate", self._challenge))  # RFC 9110 15.5.2 asks for one
        if error.status_code == 503:
            headers.append(("Retry-After", str(max(1, ceil(error.retry_after or 2)))))
        answer = problem(error.status_code, headers=headers)
        return answer._replace(body=b"") if asked.method == "HEAD" else answer

    def _to_login(self, asked: Asked) -> Answer:
        url = str(self._login_url)
        joint = "&" if urlsplit(url).query else "?"
        location = url + joint + urlencode({"next": local_target(asked.path, asked.query)})
        headers = (
            ("Location", location),
            ("Content-Type", "text/plain"),
            ("Content-Length", "0"),
            ("Cache-Control", "no-store"),
            ("Vary", "Cookie, Accept"),
        )
        return Answer(302, headers, b"")


def _path_of_this_site(url: str | None, origins: Sequence[str]) -> str | None:
    """The path of `url`, mount and all, if it is on this very site."""
    parts = urlsplit(url or "")
    is_here = not parts.netloc or f"{parts.scheme}://{parts.netloc}".lower() in origins
    return unquote(parts.path) if is_here and parts.path else None


def _phrase(status: int) -> str:
    """What HTTP calls a status; "" if it has no name for it."""
    from http import HTTPStatus  # 2 ms: only answers of our own have a phrase

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def problem(
    status: int, detail: str | None = None, headers: Sequence[tuple[str, str]] = ()
) -> Answer:
    """An RFC 9457 problem document."""
    status = status if _phrase(status) else 500
    document = {
        "type": "about:blank",
        "title": _phrase(status),
        "status": status,
        "detail": detail or _DETAILS.get(status, "The request could not be authenticated."),
    }
    body = json.dumps(document).encode()
    own = (
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Vary", "Cookie, Accept"),
    )
    return Answer(status, (*own, *headers), body)


def local_target(path: str, query: str) -> str:
    """`path` and `query` as a target within this site.

    >>> local_target("/orders", "page=2")
    '/orders?page=2'
    >>> local_target("//evil.example", "")
    '/evil.example'
    """
    clean = "/" + path.replace("\\", "/").lstrip("/")
    target = quote(clean, safe="/~!$&'()*+,;=:@", errors="replace")
    if query:
        target += "?" + quote(query, safe="/~!$&'()*+,;=:@?%", errors="replace")
    return target
