r"""Which paths need whom, and the answers the library gives itself.

Rules:
- A pattern is a path, or a path and everything below it (`/api/*`, which covers `/api` too). A
  slash at the end makes no difference.
- A path is protected if any normalisation of it matches, public or ignored only if all do:
  percent-decoding again and again, `\` for `/`, doubled slashes, dot segments, in any mixture; a
  slash put in front (waitress passes on `GET account`, Flask reads `/account`); a line feed taken
  from the end (the `$` of Starlette's and Bottle's routes matches before one); of what has no slash
  in front, the path of a URL (uvicorn and hypercorn pass on `GET http://a/account`, Quart reads
  `/account`).
- A path that begins with a mount is read without it, too, again and again: the app may take it off.
- A path that would take too much work to read in all its ways is protected, if anything is: the
  work on any path is bounded.
- `ignore` wins over `public`, which wins over `protect`.
- An answer never says why a cookie was refused: all invalid cookies look the same from outside.
- `next` is a path of this very site, whatever was asked for.
- A page that is asked for ahead of a click is not sent to sign in: browsers throw an answer away
  that is no success, and ask again when somebody clicks.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from math import ceil
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlencode, urlparse, urlsplit

from .config import AmplifyConfig
from .errors import AuthError
from .mounts import PLAIN, Inside, is_below, server_mount, without

# What the sign-in route is told of a page to which a browser has sent two session cookies.
TWO_COOKIES: Final = {"cookies": "two"}
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 9.2.1
_MAX_WORK: Final = 80  # for all spellings of one path; see `_work`
_DETAILS: Final = {
    401: "Sign in to see this.",
    403: "This request is not allowed.",
    405: "This address does not support this method.",
    503: "We cannot check who is signed in right now. Try again in a moment.",
}


class Access(Enum):
    """What a path asks of its visitor."""

    OPEN = "open"
    PROTECTED = "protected"
    IGNORED = "ignored"


class AccessRules:
    """The compiled `protect`, `public` and `ignore` lists."""

    @classmethod
    def of_config(cls, config: AmplifyConfig, inside: Inside = PLAIN) -> "AccessRules | None":
        """The rules of a configuration; None if it has none. `inside`: the app they are for."""
        if not config.protect and not config.ignore:
            return None
        return cls(config.protect, config.public, config.ignore, config.mount, inside)

    def __init__(
        self,
        protect: Sequence[str],
        public: Sequence[str],
        ignore: Sequence[str],
        mounts: Sequence[str] = (),
        inside: Inside = PLAIN,
    ) -> None:
        """`mounts`: prefixes that paths may begin with.

        What is public or ignored is so below a mount, too, that the app is known to take off.
        """
        stripped = inside.stripped
        self._protect = Paths(protect)
        self._public = Paths([*public, *_mounted(public, stripped)])
        self._ignore = Paths([*ignore, *_mounted(ignore, stripped)])
        prefixes = (*mounts, *stripped, *inside.possible)
        self._mounts = tuple(dict.fromkeys(filter(None, prefixes)))
        self._taken_off = frozenset((*stripped, *inside.possible))
        self._splits = inside.splits
        self._unreadable = Access.PROTECTED if protect else Access.OPEN
        self.protects = bool(protect)

    def of(self, path: str | None) -> Access:
        """What `path` (below the mount, decoded once) asks of its visitor.

        None is a path that is no UTF-8: one framework drops such bytes, another replaces them.
        """
        if path is None:
            return self._unreadable
        if _is_plain(path) and not path.startswith(self._mounts):
            return self._decide([path])  # (`spellings` would say so, and takes longer)
        found = spellings(path, self._mounts)
        return self._unreadable if found is None else self._decide(found)

    def under(self, root: str, path: str) -> Access:
        """What a path asks whose server says `root` for its mount (ASGI: mostly, it is in both)."""
        mount = server_mount(root)
        if is_below(path, mount):
            readings = [without(path, mount)]
            is_exact = root == mount and (not self._taken_off or mount in self._taken_off)
            if not is_exact:  # an app that compares as it stands, or goes by its own, finds none
                readings.append(path)
        else:
            readings = [path]
            if not path.startswith("/"):  # a whole URL, whose path has the mount
                readings += [without(reading, mount) for reading in spellings(path) or ()]
            if path.startswith(mount):  # asgiref's and a2wsgi's adapters look no further
                readings.append("/" + path[len(mount) :])
            if self._splits and mount and mount in path:
                readings.append(path.split(mount, 1)[1])
        if len(readings) == 1:
            return self.of(readings[0])
        found = [spellings(reading, self._mounts) for reading in readings]
        if None in found:
            return self._unreadable
        return self._decide(set().union(*filter(None, found)))

    def _decide(self, spellings: Iterable[str]) -> Access:
        if all(map(self._ignore.match, spellings)):
            return Access.IGNORED
        if not any(map(self._protect.match, spellings)):
            return Access.OPEN
        return Access.OPEN if all(map(self._public.match, spellings)) else Access.PROTECTED


def _mounted(patterns: Sequence[str], mounts: Sequence[str]) -> list[str]:
    return [mount + pattern for mount in mounts for pattern in patterns]


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


def spellings(path: str, mounts: Sequence[str] = ()) -> set[str] | None:
    """Every way `path` may be read further down; None if that would be too much work to say."""
    if _is_plain(path) and not path.startswith(tuple(mounts)):
        return {path}
    found, pending, work = {path}, [path], 0
    if 2 * _work(path) > _MAX_WORK:  # it has to be read once, and whatever that gives
        return None
    while pending:
        text = pending.pop()
        work += _work(text)
        if work > _MAX_WORK:
            return None
        readings = set(_readings(text, mounts)) - found
        found |= readings
        pending += readings
    return found


def _work(text: str) -> int:
    """What reading a path in one more way costs, in about a tenth of what a plain path takes.

    A percent sign or a slash is a step of an interpreted loop; other characters go by at once.
    """
    return 4 + 2 * text.count("%") + text.count("/") + len(text) // 32


def _is_plain(path: str) -> bool:
    """Whether no normalisation has anything to do; a pattern takes ten times as long to say so."""
    return (
        path.startswith("/")
        and "//" not in path
        and "/." not in path
        and "%" not in path
        and "\\" not in path
        and "\n" not in path
    )


def _readings(text: str, mounts: Sequence[str]) -> Iterator[str]:
    """What one step of normalisation makes of a path, each where it has something to do."""
    if "%" in text:
        yield unquote(text)
    if "\\" in text:
        yield text.replace("\\", "/")
    if "//" in text:
        yield _collapse(text)
    if "/." in text or not text.startswith("/"):
        yield _resolve_dots(text)
    if text.endswith("\n"):
        yield text[:-1]
    if not text.startswith("/"):
        with suppress(ValueError):  # such as of `//[`, which is no URL
            yield urlparse(text).path
    for mount in mounts:
        if text.startswith(mount):
            yield without(text, mount)


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

    `path` is the public path with its `mount` (of the configured), decoded once; `query` is as it
    was sent.
    """

    method: str
    path: str
    query: str
    accept: str = ""
    sec_fetch_mode: str = ""
    sec_fetch_site: str = ""
    is_preflight: bool = False  # CORS: OPTIONS with Access-Control-Request-Method
    mount: str = ""
    is_speculative: bool = False  # `Sec-Purpose`: a prefetch or a prerender

    def __repr__(self) -> str:
        return f"<Asked {self.method} {self.path!r}>"

    @property
    def is_navigation(self) -> bool:
        """Whether a browser is opening a page (no script is fetching something, no guess made)."""
        return (
            self.method in ("GET", "HEAD")
            and "text/html" in self.accept.lower()
            and self.sec_fetch_mode in ("", "navigate")
            and not self.is_speculative
        )


class Refusals:
    """The answers to those who may not pass."""

    def __init__(
        self,
        *,
        cookie_name: str,
        login_url: str | None,
        origins: Sequence[str] = (),
        tells_of_two: bool = False,
    ) -> None:
        """`tells_of_two`: the login page wants to know of two cookies of one name."""
        self._challenge = f'Cookie realm="sign-in", cookie-name="{cookie_name}"'
        self._login_url = login_url
        self._tells_of_two = tells_of_two
        self._login_path = _path_of_this_site(login_url, origins)
        self._is_below = login_url is not None and login_url.startswith("/")

    def is_login_page(self, asked: Asked) -> bool:
        """Whether this is the login page itself, which nobody may be kept from."""
        mount = asked.mount if self._is_below else ""
        return self._login_path is not None and asked.path == mount + self._login_path

    def to(self, asked: Asked, error: AuthError, *, signed_in: bool = False) -> Answer:
        """The answer to a request that `error` stopped.

        Who is signed in is not sent to sign in: that would go round in circles.
        """
        is_for_login = error.status_code == 401 and asked.is_navigation and not signed_in
        if is_for_login and self._login_url is not None:
            return self._to_login(asked, error)
        headers = []
        if error.status_code == 401:
            headers.append(("WWW-Authenticate", self._challenge))  # RFC 9110 15.5.2 asks for one
        if error.status_code == 503:
            headers.append(("Retry-After", str(max(1, ceil(error.retry_after or 2)))))
        answer = problem(error.status_code, headers=headers)
        return answer._replace(body=b"") if asked.method == "HEAD" else answer

    def _to_login(self, asked: Asked, error: AuthError) -> Answer:
        url = (asked.mount if self._is_below else "") + str(self._login_url)
        joint = "&" if urlsplit(url).query else "?"
        query = {"next": local_target(asked.path, asked.query)}
        if self._tells_of_two and error.reason == "duplicate_cookie":
            query |= TWO_COOKIES
        location = url + joint + urlencode(query)
        headers = (
            ("Location", location),
            ("Content-Type", "text/plain"),
            ("Content-Length", "0"),
            ("Cache-Control", "no-store"),
            ("Vary", "Cookie, Accept"),
        )
        return Answer(302, headers, b"")


# A browser takes it for a no. There is no body, and no permission (Fetch, 4.8).
PREFLIGHT: Final = Answer(204, (("Cache-Control", "no-store"), ("Vary", "Cookie")), b"")


def _path_of_this_site(url: str | None, origins: Sequence[str]) -> str | None:
    """The path of `url`, if it is on this very site."""
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
