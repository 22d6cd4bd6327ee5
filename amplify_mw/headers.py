"""What a response's headers gain when its visit ends, and what a request's header says.

Rules:
- A response that clears or sets the session's cookies is never stored by a cache: its
  `Cache-Control` becomes `no-store`, whatever the app had said.
- If the app itself sets one of those cookies, what the library would do on its own is left undone
  and nothing else is touched. What the app asked for (a session started or ended) replaces it.
- Where the user was asked for, `Vary` names `Cookie`, once; a signed-in answer that says nothing
  of caches becomes `private`, or `no-store` where a guard stands before it.
- A response that begins or ends a session makes the browser forget what it has fetched ahead for
  whoever was signed in before (`Clear-Site-Data`); one that renews a session does not. "cookies" is
  never among what it clears: that is all cookies of the domain and its subdomains, with the lines
  of the very response. What the app says there is kept, and added to.
- The app's own list is never changed in place; other headers keep their order and spelling.

Both shells share this: WSGI spells headers in `str`, ASGI in `bytes`; a `Spelling` holds the words.
"""

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, AnyStr, Final, Generic
from urllib.parse import quote

from .cookies import CookieLine
from .mounts import server_mount

CLEAR_SITE_DATA: Final = "Clear-Site-Data"
_FETCHED_AHEAD: Final = ('"prefetchCache"', '"prerenderCache"')
FETCHED_AHEAD: Final = ", ".join(_FETCHED_AHEAD)


@dataclass(frozen=True, slots=True, eq=False)
class Spelling(Generic[AnyStr]):
    """The words that are compared and written, in the shell's own string type (`write`).

    Names are compared in lower case; `spell` gives them the case that the shell's servers expect.
    """

    write: Callable[[str], AnyStr]
    spell: Callable[[AnyStr], AnyStr]
    vary: AnyStr
    cookie: AnyStr
    any: AnyStr
    comma: AnyStr
    cache_control: AnyStr
    set_cookie: AnyStr
    equals: AnyStr
    blank: AnyStr
    setting: AnyStr  # "Set-Cookie", as it is written
    lengths: Container[int]  # of "Vary" and "Cache-Control": few other headers are compared at all
    vary_cookie: tuple[AnyStr, AnyStr]  # whole headers, as answers gain them
    cache_private: tuple[AnyStr, AnyStr]
    cache_no_store: tuple[AnyStr, AnyStr]
    clear_site_data: AnyStr
    fetched_ahead: tuple[AnyStr, ...]  # what `Clear-Site-Data` calls it
    between: AnyStr
    clearing: AnyStr  # "Clear-Site-Data", as it is written

    @classmethod
    def of(
        cls, write: Callable[[str], AnyStr], spell: Callable[[AnyStr], AnyStr]
    ) -> "Spelling[AnyStr]":
        """The words, each written by `write`."""
        return cls(
            write=write,
            spell=spell,
            vary=write("vary"),
            cookie=write("Cookie"),
            any=write("*"),
            comma=write(","),
            cache_control=write("cache-control"),
            set_cookie=write("set-cookie"),
            equals=write("="),
            blank=write(" \t"),
            setting=spell(write("set-cookie")),
            lengths=frozenset({len("vary"), len("cache-control")}),
            vary_cookie=(spell(write("vary")), write("Cookie")),
            cache_private=(spell(write("cache-control")), write("private")),
            cache_no_store=(spell(write("cache-control")), write("no-store")),
            clear_site_data=write(CLEAR_SITE_DATA.lower()),
            fetched_ahead=tuple(write(kind) for kind in _FETCHED_AHEAD),
            between=write(", "),
            clearing=spell(write(CLEAR_SITE_DATA.lower())),
        )


_IN_PATH: Final = "/!$&'()*+,:;=@~"  # RFC 3986 3.3
HOP_COOKIE: Final = "amplify-hop"
MOST_HOPS: Final = 20  # one after the other, for browsers that call each a visit of another site's
_HOP: Final = re.compile(
    rb"(?:\A|[;,])[ \t]*" + re.escape(HOP_COOKIE).encode() + rb"[ \t]*=([^;,]*)"
)
# What browsers said before there was `Sec-Purpose`.
_OLDER_PURPOSES: Final = ("Purpose", "X-Purpose", "X-Moz")
_AHEAD: Final = re.compile(r"pre(?:fetch|view)", re.IGNORECASE)
_OWN_SITES: Final = {"same-origin", "none"}  # "none": typed, or from a bookmark
TEXT: Final[Spelling[str]] = Spelling.of(str, str.title)
OCTETS: Final[Spelling[bytes]] = Spelling.of(lambda text: text.encode("latin-1"), bytes.lower)


def with_default_cookies(
    headers: list[tuple[AnyStr, AnyStr]],
    lines: Sequence[CookieLine],
    words: Spelling[AnyStr],
    *,
    forgets: bool = False,
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` with the cookies set, unless the app itself sets one of them.

    `forgets`: the browser is to drop what it has fetched ahead.
    """
    own = [value for name, value in headers if name.lower() == words.set_cookie]
    if own:
        names = _names(lines, words)
        if any(_cookie_of(value, words) in names for value in own):
            return headers
    return _uncached(headers, lines, words, forgets=forgets)


def with_cookies(
    headers: list[tuple[AnyStr, AnyStr]],
    lines: Sequence[CookieLine],
    words: Spelling[AnyStr],
    *,
    forgets: bool = False,
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` with the cookies set, in the place of what the app itself sets by their names.

    `forgets`: as above.
    """
    names = _names(lines, words)
    others = [
        (name, value)
        for name, value in headers
        if name.lower() != words.set_cookie or _cookie_of(value, words) not in names
    ]
    return _uncached(others, lines, words, forgets=forgets)


def _names(lines: Sequence[CookieLine], words: Spelling[AnyStr]) -> set[AnyStr]:
    return {words.write(line.name) for line in lines}


def _cookie_of(value: AnyStr, words: Spelling[AnyStr]) -> AnyStr:
    """The name of the cookie that a `Set-Cookie` sets."""
    return value.partition(words.equals)[0].strip(words.blank)


def _uncached(
    headers: list[tuple[AnyStr, AnyStr]],
    lines: Sequence[CookieLine],
    words: Spelling[AnyStr],
    *,
    forgets: bool,
) -> list[tuple[AnyStr, AnyStr]]:
    if forgets:
        headers = _forgetting(headers, words)
    if not lines:
        return headers
    kept = [header for header in headers if header[0].lower() != words.cache_control]
    kept.append(words.cache_no_store)
    kept += [(words.setting, words.write(line.value)) for line in lines]
    return kept


def _forgetting(
    headers: list[tuple[AnyStr, AnyStr]], words: Spelling[AnyStr]
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` that clear what was fetched ahead, and what the app clears itself."""
    result = list(headers)
    own = [index for index, (name, _) in enumerate(result) if name.lower() == words.clear_site_data]
    if not own:
        result.append((words.clearing, words.between.join(words.fetched_ahead)))
        return result
    said = [result[index][1] for index in own]
    name, value = result[own[0]]
    kinds = [value.strip(words.blank)] if value.strip(words.blank) else []
    kinds += [kind for kind in words.fetched_ahead if not any(kind in text for text in said)]
    result[own[0]] = (name, words.between.join(kinds))
    return result


def varied(
    headers: Iterable[tuple[AnyStr, AnyStr]],
    words: Spelling[AnyStr],
    *,
    signed_in: bool,
    no_store: bool = False,
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` of an answer that depends on the cookie.

    `no_store`: what becomes of a signed-in one that says nothing of caches; else it is `private`.
    """
    result = list(headers)
    varies = cached = False
    for name, _ in result:
        if len(name) in words.lengths:
            lowered = name.lower()
            if lowered == words.vary:
                varies = True
            elif lowered == words.cache_control:
                cached = True
    if varies:
        _name_cookie(result, words)
    else:
        result.append(words.vary_cookie)
    if signed_in and not cached:
        result.append(words.cache_no_store if no_store else words.cache_private)
    return result


def _name_cookie(headers: list[tuple[AnyStr, AnyStr]], words: Spelling[AnyStr]) -> None:
    """Name `Cookie` in the first `Vary` of `headers`, unless one of them does."""
    varying = [index for index, (name, _) in enumerate(headers) if name.lower() == words.vary]
    if not any(_names_cookie(headers[index][1], words) for index in varying):
        name, value = headers[varying[0]]
        value = value.strip(words.blank)
        headers[varying[0]] = (name, value + words.comma + words.cookie if value else words.cookie)


def _names_cookie(vary: AnyStr, words: Spelling[AnyStr]) -> bool:
    fields = [field.strip(words.blank).lower() for field in vary.split(words.comma)]
    return words.any in fields or words.cookie.lower() in fields


def request_header(request: object, name: str) -> list[str]:
    """The values of a request's header `name`, in the order they came; none without a request.

    `request`: a WSGI environ, or an ASGI header list. `name`: as in `Sec-Fetch-Site`. A WSGI server
    joins repeated headers into one value.

    >>> request_header({"HTTP_SEC_FETCH_SITE": "same-origin"}, "Sec-Fetch-Site")
    ['same-origin']
    >>> request_header([(b"origin", b"null"), (b"origin", b"https://a.example")], "Origin")
    ['null', 'https://a.example']
    """
    if isinstance(request, dict):
        value = request.get("HTTP_" + name.upper().replace("-", "_"))
        return [] if value is None else [value]
    wanted = name.lower().encode("ascii")
    pairs: Iterable[tuple[bytes, bytes]] = request if isinstance(request, Iterable) else ()
    return [value.decode("latin-1") for key, value in pairs if key.lower() == wanted]


def came_by_hop(request: object, cookies: bytes | None) -> bool:
    """Whether a page of ours has just brought a browser here that another site had sent.

    Such a request looks like the site's own, and is not: whoever set the link made it. It is told
    by the hop's cookie, unless the visitor has done something meanwhile (`Sec-Fetch-User`).
    """
    return has_hopped(cookies) and not request_header(request, "Sec-Fetch-User")


def has_hopped(cookies: bytes | None) -> bool:
    """Whether a request brings the cookie of a hop to this very path.

    Where a server has joined `Cookie` fields, a comma begins one, too: to miss it would leave a
    request that another site has made as one of the site's own.
    """
    return cookies is not None and _HOP.search(cookies) is not None


def may_hop(sec_fetch_site: str, cookies: bytes | None) -> bool:
    """Whether a hop may bring the cookies that another site's link has left out.

    The request that a hop makes is the site's own for every browser. One that calls it another
    site's is hopped `MOST_HOPS` times; as is another link to this path within seconds.
    """
    return sec_fetch_site == "cross-site" and hops(cookies) < MOST_HOPS


def hops(cookies: bytes | None) -> int:
    """How many hops to this very path there were, each within seconds of the one before.

    >>> hops(b"theme=dark; amplify-hop=2"), hops(b"amplify-hop=many"), hops(None)
    (2, 20, 0)
    """
    values = () if cookies is None else map(bytes.strip, _HOP.findall(cookies))
    return max(map(_as_count, values), default=0)


def _as_count(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) < 3 else MOST_HOPS


def is_speculative(request: object) -> bool:
    """Whether a browser asks ahead for what nobody has opened yet: a prefetch, a prerender.

    Browsers call such a request typed (`Sec-Fetch-Site: none`), whoever's page has caused it, and
    they keep the cookies that it sets. Any purpose counts: it says that this is no visit.

    >>> is_speculative({"HTTP_SEC_PURPOSE": "prefetch;prerender"}), is_speculative({})
    (True, False)
    """
    if request_header(request, "Sec-Purpose"):
        return True
    said = [value for name in _OLDER_PURPOSES for value in request_header(request, name)]
    return any(map(_AHEAD.search, said))


def request_path(request: Mapping[str, Any]) -> str:
    """The path of a request as its URL spells it. `request`: a WSGI environ or an ASGI scope.

    >>> request_path({"SCRIPT_NAME": "/app", "PATH_INFO": "/a b"})
    '/app/a%20b'
    >>> request_path({"path": "/caf\u00e9", "raw_path": b"/caf%C3%A9"})
    '/caf%C3%A9'
    """
    if "PATH_INFO" in request or "SCRIPT_NAME" in request:
        path = server_mount(request.get("SCRIPT_NAME", "")) + request.get("PATH_INFO", "")
        return quote(path.encode("latin-1", "replace"), safe=_IN_PATH) or "/"
    raw: bytes | None = request.get("raw_path")
    if raw:
        return raw.decode("latin-1")
    return quote(request.get("path", "/"), safe=_IN_PATH, errors="replace")


def page_of(request: object) -> str:
    """What a refused request says of the page that made it, and what to do if that is one's own.

    For the log: what a client has sent is escaped and cut.

    >>> print(page_of({"HTTP_ORIGIN": "https://b.example"}))
    Origin 'https://b.example'; if that page is one of your own, write its origin into origins=[...]
    """
    origins = request_header(request, "Origin")
    sites = request_header(request, "Sec-Fetch-Site")
    said = [f"Origin {excerpt(value)}" for value in origins[:2]]
    said += [f"Sec-Fetch-Site {excerpt(value)}" for value in sites[:2]]
    mend = "if that page is one of your own, write its origin into origins=[...]"
    if "null" in origins:
        mend = (
            "a page in a sandbox, or one with Referrer-Policy: no-referrer; if it is one of your "
            "own, answer it with Referrer-Policy: same-origin, or write its target into "
            "csrf_exempt=[...]"
        )
    return f"{', '.join(said) or 'neither Origin nor Sec-Fetch-Site'}; {mend}"


def excerpt(text: str, longest: int = 100) -> str:
    r"""What a client has sent, fit for a line of a log: escaped, in quotes, cut.

    >>> print(excerpt("a\nb"), excerpt("a" * 9, longest=3))
    'a\nb' 'aaa'...
    """
    return ascii(text[:longest]) + ("..." if len(text) > longest else "")


def is_foreign(request: object, origins: Container[str]) -> bool:
    """Whether a browser says that another site's page made this request.

    `request`: as `request_header` takes it. `origins`: the site's own. A request without `Origin`
    and `Sec-Fetch-Site` is no browser's, or an old one's own page.
    """
    sent = request_header(request, "Origin")
    if sent and all(origin in origins for origin in sent):
        return False
    sites = request_header(request, "Sec-Fetch-Site")
    return not _OWN_SITES.issuperset(sites) if sites else bool(sent)
