"""A browser under Playwright for a signed-in user: the cookies of its context."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from .cookies import Cookie


def browser_cookies(cookies: Iterable[Cookie], url: str) -> list[dict[str, Any]]:
    """The cookies as `context.add_cookies` takes them, for a site at `url`."""
    return [_browser_cookie(cookie, url) for cookie in cookies]


def _browser_cookie(cookie: Cookie, url: str) -> dict[str, Any]:
    said = cookie.attributes
    return {
        "name": cookie.name,
        "value": cookie.value,
        "domain": f".{said['domain']}" if "domain" in said else urlsplit(url).hostname,
        "path": said.get("path", "/"),
        "secure": "secure" in said,
        "httpOnly": "httponly" in said,
        "sameSite": said.get("samesite", "Lax"),
    }
