"""Facts of a request: its headers, its path, the site it comes from.

Rules:
- A request is a WSGI environ or an ASGI scope; nothing in it is trusted.
- Text of a client is escaped and cut before it goes into a sentence (`excerpt`).
"""

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from .mounts import server_mount

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 9.2.1
_IN_PATH: Final = "/!$&'()*+,:;=@~"  # RFC 3986 3.3
HOP_COOKIE: Final = "amplify-hop"
MAX_HOPS: Final = 20  # in a row, for browsers that call each hop another site's
# Patterns are compiled on first use, which `re` remembers: most requests need none of them.
_HOP: Final = rb"(?:\A|[;,])[ \t]*" + HOP_COOKIE.encode() + rb"[ \t]*=([^;,]*)"
# The headers of browsers before `Sec-Purpose`.
_OLDER_PURPOSES: Final = ("Purpose", "X-Purpose", "X-Moz")
_AHEAD: Final = r"(?i)pre(?:fetch|view)"
_OWN_SITES: Final = {"same-origin", "none"}  # "none": typed, or from a bookmark


def request_header(request: object, name: str) -> list[str]:
    """The values of a request's header `name`, in the order they came; none without a request.

    `request`: a WSGI environ, an ASGI scope or its header list. `name`: as in `Sec-Fetch-Site`. A
    WSGI server joins repeated headers into one value.

    >>> request_header({"HTTP_SEC_FETCH_SITE": "same-origin"}, "Sec-Fetch-Site")
    ['same-origin']
    >>> request_header([(b"origin", b"null"), (b"origin", b"https://a.example")], "Origin")
    ['null', 'https://a.example']
    """
    pairs = header_list(request)
    if isinstance(pairs, dict):
        value = pairs.get("HTTP_" + name.upper().replace("-", "_"))
        return [] if value is None else [value]
    wanted = name.lower().encode("ascii")
    found: Iterable[tuple[bytes, bytes]] = pairs if isinstance(pairs, Iterable) else ()
    return [value.decode("latin-1") for key, value in found if key.lower() == wanted]


def header_list(request: object) -> object:
    """The header list of an ASGI scope; anything else as it is."""
    is_scope = isinstance(request, dict) and "headers" in request
    return request["headers"] if is_scope else request  # type: ignore[index]


def came_by_hop(request: object, cookies: bytes | None) -> bool:
    """Whether a hop page of ours made this request, after a link of another site.

    It looks like the site's own request, but the other site has chosen it. The hop's cookie shows
    that, unless the visitor has clicked since (`Sec-Fetch-User`).
    """
    return has_hopped(cookies) and not request_header(request, "Sec-Fetch-User")


def has_hopped(cookies: bytes | None) -> bool:
    """Whether a request brings the cookie of a hop to this very path.

    If a server has joined `Cookie` fields, a cookie may follow a comma, too. To miss it would make
    a request of another site look like the site's own.
    """
    return cookies is not None and re.search(_HOP, cookies) is not None


def may_hop(sec_fetch_site: str, cookies: bytes | None) -> bool:
    """Whether a hop may bring the cookies left out with another site's link.

    To browsers, a hop's request is the site's own. Should one call it another site's, it is hopped
    at most `MAX_HOPS` times, counting further links to this path within seconds.
    """
    return sec_fetch_site == "cross-site" and hops(cookies) < MAX_HOPS


def hops(cookies: bytes | None) -> int:
    """How many hops to this very path there were, each within seconds of the one before.

    >>> hops(b"theme=dark; amplify-hop=2"), hops(b"amplify-hop=many"), hops(None)
    (2, 20, 0)
    """
    values = () if cookies is None else map(bytes.strip, re.findall(_HOP, cookies))
    return max(map(_as_count, values), default=0)


def _as_count(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) < 3 else MAX_HOPS


def is_speculative(request: object) -> bool:
    """Whether a browser asks for a page nobody has opened yet: a prefetch, a prerender.

    Browsers call such a request typed (`Sec-Fetch-Site: none`), even if another site's page caused
    it, and keep the cookies it sets. Any purpose counts: it means this is no visit.

    >>> is_speculative({"HTTP_SEC_PURPOSE": "prefetch;prerender"}), is_speculative({})
    (True, False)
    """
    if request_header(request, "Sec-Purpose"):
        return True
    said = [value for name in _OLDER_PURPOSES for value in request_header(request, name)]
    return any(re.search(_AHEAD, value) for value in said)


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
        return raw.partition(b"?")[0].decode("latin-1")  # some put the query there, with its codes
    return quote(request.get("path", "/"), safe=_IN_PATH, errors="replace")


def page_of(request: object) -> str:
    """The page behind a refused request, by its headers, and the setting to allow it.

    For the log: text of a client is escaped and cut.

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
    r"""Text of a client, fit for a line of a log: escaped, in quotes, cut.

    >>> print(excerpt("a\nb"), excerpt("a" * 9, longest=3))
    'a\nb' 'aaa'...
    """
    return ascii(text[:longest]) + ("..." if len(text) > longest else "")


def is_foreign(request: object, origins: Container[str]) -> bool:
    """Whether another site's page made this request, according to the browser.

    `request`: as `request_header` takes it. `origins`: the site's own. A request without `Origin`
    and `Sec-Fetch-Site` is no browser's, or an old one's own page.
    """
    sent = request_header(request, "Origin")
    if sent and all(origin in origins for origin in sent):
        return False
    sites = request_header(request, "Sec-Fetch-Site")
    return not _OWN_SITES.issuperset(sites) if sites else bool(sent)
