"""A browser that visits the site of a documented program."""

import re
from html import escape, unescape
from typing import Any

from amplify_mw.testing import LocalUserPool


class Visitor:
    """A browser at a site, by the test client of the site's framework. It follows no redirect."""

    def __init__(self, client: Any, site: str) -> None:
        self.client = client
        self.site = site
        is_flask = hasattr(client, "application")
        self._options = {"base_url": site} if is_flask else {"follow_redirects": False}

    def get(self, url: str, site: str = "none") -> Any:
        """Open a page. `site`: where it is opened from, such as "cross-site"."""
        path = unescape(url).removeprefix(self.site)
        headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": site}
        page = self.client.get(path, headers=headers, **self._options)
        if f'content="0;url={escape(path)}"' not in page.text:
            return page
        headers["Sec-Fetch-Site"] = "same-origin"  # a page that goes to itself, with all cookies
        return self.client.get(path, headers=headers, **self._options)

    def post(self, path: str, site: str = "same-origin") -> Any:
        """Send an empty form."""
        return self.client.post(path, headers={"Sec-Fetch-Site": site}, **self._options)

    def sign_in(
        self, pool: LocalUserPool, page: str, name: str, password: str | None = None
    ) -> Any:
        """Open a guarded page, and sign in at the pool; the page that leads back to it."""
        to_pool = self.get(self.get(page).headers["Location"]).headers["Location"]
        assert to_pool.startswith(f"{pool.url}/oauth2/authorize?")
        return self.get(pool.authorize(to_pool, name, password), "cross-site")


def next_page(page: Any) -> str:
    """The address that a page leads to by itself."""
    (url,) = re.findall('content="0;url=(.+?)"', page.text)
    return unescape(url)
