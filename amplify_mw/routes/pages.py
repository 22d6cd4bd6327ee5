"""The pages of the sign-in routes: one that goes on by itself, and a question.

Rules (beside those of `web.pages`):
- No page shows anything from the provider. Of a request, a page holds only an address of this site:
  a route, a target from `safe_target`, or the requested address.
"""

from collections.abc import Sequence
from html import escape
from math import ceil
from typing import Final
from urllib.parse import unquote

from ..web.answers import Answer, local_target
from ..web.cookie_policy import CookiePolicy, is_path
from ..web.pages import page
from ..web.paths import spellings
from ..web.requests import HOP_COOKIE, hops

_HOP_LASTS: Final = 10  # seconds
_LONGEST_WAIT: Final = 60  # seconds


def hop_here(path: str, query: str, cookies: bytes | None, *, secure: bool) -> Answer | None:
    """A hop to the requested address; None if it can be read in several ways.

    It sets a cookie for this path, for a few seconds. The next request looks like the site's own;
    the cookie tells of the other site's link behind it, and counts the hops (`cookies`: the present
    request's). It is not cleared early: if two pages hop to one path, both requests need it.
    """
    target = local_target(path, query)
    place = target.partition("?")[0]
    if spellings(path) != {path} or not is_path(place) or unquote(place) != path:
        return None
    line = hop_cookie(place, secure=secure).setting(str(hops(cookies) + 1))
    return hop(target, [("Set-Cookie", line)])


def hop_cookie(path: str, *, secure: bool) -> CookiePolicy:
    """The cookie of a hop to a path."""
    return CookiePolicy(
        name=HOP_COOKIE, max_age=_HOP_LASTS, path=path, secure=secure, same_site="Lax"
    )


def hop(target: str, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """A page of this site that goes on to `target` by itself.

    The browser sends `SameSite=Strict` cookies there. After another site's redirect it would not.
    """
    return _goes_on(target, "You will be taken to the page in a moment.", 0, headers)


def hop_later(target: str, wait: float, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """The same, some seconds later: by this machine's clock, the sign-in does not count yet."""
    text = (
        "You are signed in, but the clock of this site is behind. You will be taken to the page as "
        "soon as the clock has caught up."
    )
    return _goes_on(target, text, min(ceil(wait), _LONGEST_WAIT), headers)


def _goes_on(target: str, text: str, seconds: int, headers: Sequence[tuple[str, str]]) -> Answer:
    link = escape(target)
    return page(
        200,
        "One moment",
        text,
        more=f'<p><a href="{link}">Go on</a></p>',
        head=f'<meta http-equiv="refresh" content="{seconds};url={link}">',
        headers=headers,
    )


def question(sign_in: str) -> Answer:
    """A page asking whether to sign in, with a link to `sign_in`, a route of this site."""
    text = (
        "A link on another site brought you here. Go on only if you want to sign in to this site."
    )
    link = f'<p><a href="{escape(sign_in)}">Go on to sign in</a></p>'
    return page(200, "Sign in to this site?", text, more=link)


def redirect(location: str, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """A redirect, followed with GET."""
    own = (
        ("Location", location),
        ("Content-Type", "text/plain"),
        ("Content-Length", "0"),
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
    )
    return Answer(303, (*own, *headers), b"")
