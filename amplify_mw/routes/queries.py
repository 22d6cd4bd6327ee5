"""Requests to a sign-in route: the parameters of their query, and the page they came from.

Rules:
- A parameter may occur once. A query that breaks this, or is malformed or too long, is refused.
- Only known parameters reach the provider, and only with plain values.
- A malformed `acr_values` refuses the query: without it, the sign-in would be weaker than asked.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from ..authenticator import Visit
from ..needs import ACR, LONGEST_ACR
from ..web.requests import request_header
from .provider import identity_provider

TURNS: Final = "turns"
_MAX_CHARACTERS: Final = 8192  # of a query: room for the longest target, encoded once more
_LONGEST: Final = 256  # characters of a value that is passed on
_PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})
_LINKED: Final = (
    *("provider", "idp_identifier", "lang", "login_hint", "prompt", "max_age", "acr_values"),
)


def read_query(text: str) -> dict[str, str] | None:
    """The parameters of a query; None if it is refused.

    >>> read_query("next=%2Fa&lang=de"), read_query("next=a&next=b")
    ({'next': '/a', 'lang': 'de'}, None)
    """
    if len(text) > _MAX_CHARACTERS:
        return None
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError:
        return None
    query = dict(pairs)
    is_whole = len(query) == len(pairs) and acr_values(query) is not None
    return query if is_whole else None


def acr_values(query: Mapping[str, str]) -> tuple[str, ...] | None:
    """The values of `acr_values`, in order; None if it is malformed.

    >>> acr_values({"acr_values": "urn:a urn:b"}), acr_values({}), acr_values({"acr_values": ""})
    (('urn:a', 'urn:b'), (), None)
    """
    text = query.get("acr_values")
    if text is None:
        return ()
    values = tuple(text.split(" "))
    is_clean = len(text) <= LONGEST_ACR and all(map(ACR.fullmatch, values))
    return values if is_clean else None


def sign_in_query(query: Mapping[str, str], target: str) -> str:
    """The query for a link to the sign-in route, with the known parameters of `query`."""
    return urlencode({key: query[key] for key in _LINKED if key in query} | {"next": target})


def provider_parameters(query: Mapping[str, str]) -> dict[str, str]:
    """The parameters for the authorization request."""
    asked: dict[str, str] = {}
    for name in ("lang", "login_hint", "idp_identifier"):
        if _is_plain(query.get(name, "")):
            asked[name] = query[name]
    if query.get("prompt") in _PROMPTS:
        asked["prompt"] = query["prompt"]
    if _is_plain(query.get("provider", "")):
        asked["identity_provider"] = identity_provider(query["provider"])
    return asked


def _is_plain(text: str) -> bool:
    return bool(text) and len(text) <= _LONGEST and text.isprintable()


def whole_number(text: str | None) -> int | None:
    """A parameter of up to nine digits, as a number; None for any other.

    >>> whole_number("60"), whole_number("-1"), whole_number(None)
    (60, None, None)
    """
    is_number = text is not None and text.isascii() and text.isdigit() and len(text) <= 9
    return int(text) if text is not None and is_number else None


def is_page(visit: Visit) -> bool:
    """Whether the browser is opening a page, as opposed to an image or a frame."""
    modes = set(request_header(visit.headers, "Sec-Fetch-Mode"))
    places = set(request_header(visit.headers, "Sec-Fetch-Dest"))
    # A service worker passes on the opening of a page like this. No script can send it: `fetch`
    # refuses the mode. A frame looks the same; `Sec-Fetch-Site` tells whether its page is ours.
    is_passed_on = modes == {"navigate"} and places == {"empty"}
    return is_passed_on or (modes <= {"navigate"} and places <= {"document"})


def is_cross_site(visit: Visit, same_site: str, *, strictly: bool = False) -> bool:
    """Whether the browser says that another site's page sent this request.

    `same_site`: "same-site" counts pages of sibling domains as ours. `strictly`: a request without
    `Sec-Fetch-Site` and `Origin` counts as another site's.
    """
    own = {"same-origin", "none"}  # "none": typed, or a bookmark
    if same_site == "same-site":
        own.add("same-site")
    sites = request_header(visit.headers, "Sec-Fetch-Site")
    if sites:
        return not own.issuperset(sites)
    origins = request_header(visit.headers, "Origin")
    if origins:
        known = visit.home.config.known_origins
        return not all(origin in known for origin in origins)
    return strictly
