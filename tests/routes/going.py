"""A site with the sign-in routes, and a visitor who goes there with a browser."""

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from amplify_mw import AuthRoutes
from amplify_mw.testing import LocalUserPool
from tests.shells import AppAnswer, Got
from tests.sites import KEYS, Browser, Site

ORIGIN = "https://app.example.com"
CALLBACK = f"{ORIGIN}/auth/sign-in-callback"
MARK = "amplify-auth."  # how the names of attempts begin
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}


def auth_routes(**options: Any) -> AuthRoutes:
    return AuthRoutes(**{"origin": ORIGIN, "keys": KEYS[2:], **options})


class Visitor(Browser):
    """Goes to addresses of a site, as a page of it would send a browser there."""

    place = ""  # the path where it was last

    def __init__(self, site: Site, jar: dict[str, str] | None = None) -> None:
        super().__init__(site, jar or {})

    def copy(self) -> "Visitor":
        """One with the same cookies."""
        return Visitor(self.site, dict(self.jar))

    @property
    def attempts(self) -> dict[str, str]:
        """The cookies of attempts to sign in."""
        return {name: value for name, value in self.jar.items() if name.startswith(MARK)}

    @property
    def user(self) -> str:
        """What the app says of who is signed in."""
        return self.does().body

    def go(
        self,
        url: str,
        *,
        fetch_site: str | None = "same-origin",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        mount: str = "",
    ) -> Got:
        """Open an address, which another site's page may have asked for (`Sec-Fetch-Site`)."""
        path, _, query = url.removeprefix(ORIGIN).partition("?")
        sent = {} if fetch_site is None else {"Sec-Fetch-Site": fetch_site}
        sent |= headers or {}
        facts = {"method": method, "headers": sent, "query": query, "mount": mount}
        if path != self.place:  # the cookie of a hop is for one path
            self.jar.pop("amplify-hop", None)
            self.place = path
        return self.ask(lambda: AppAnswer("the app"), path=path.removeprefix(mount), **facts)

    def leave(self, url: str = "/auth/sign-in", **asked: str) -> str:
        """Where a sign-in route sends the browser."""
        got = self.go(f"{url}?{urlencode(asked)}" if asked else url)
        assert got.status == 303, got.body
        return str(got.one("location"))

    def come_back(self, url: str, **facts: Any) -> Got:
        """Follow the pool's redirect to the site, and its hop to itself."""
        got = self.go(url, fetch_site="cross-site", **facts)
        again = hop_of(got) or ""
        return self.go(again, **facts) if again.startswith(f"{urlsplit(url).path}?") else got

    def sign_in(self, name: str = "ada", **asked: str) -> Got:
        """Sign in, all the way."""
        return self.come_back(pool_of(self).authorize(self.leave(**asked), name))


def pool_of(visitor: Visitor) -> LocalUserPool:
    return visitor.site.pool


def sent(url: str) -> dict[str, str]:
    """The parameters of an address, each of which is there once."""
    found = parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values()), found
    return {name: value for name, [value] in found.items()}


def altered(url: str, **changes: str | None) -> str:
    """An address with other parameters; None takes one out."""
    members = {**sent(url), **changes}
    present = {name: value for name, value in members.items() if value is not None}
    return f"{url.partition('?')[0]}?{urlencode(present)}"


def code_of(got: Got) -> str | None:
    """The stable code that a failed sign-in is answered with, at `/sorry`."""
    target = hop_of(got) or ""
    return sent(target)["error"] if target.startswith("/sorry?") else None


def again_of(got: Got) -> dict[str, str] | None:
    """What the sign-in route is asked, where a callback begins another attempt."""
    target = hop_of(got) or ""
    path = urlsplit(target).path
    return sent(target) if got.status == 200 and path == "/auth/sign-in" else None


def hop_of(got: Got) -> str | None:
    """Where a page goes on to by itself."""
    found = re.search(r'content="0;url=([^"]*)"', got.body)
    return None if found is None else unescape(found[1])


def is_here(target: str) -> bool:
    """Whether every reader takes a target for a path of this very site."""
    if not (target.isascii() and target.isprintable() and target.startswith("/")):
        return False
    found = urlsplit(urljoin(f"{ORIGIN}/auth/sign-in", target))
    is_path = not target.startswith(("//", "/\\"))
    return is_path and (found.scheme, found.netloc) == ("https", "app.example.com")
