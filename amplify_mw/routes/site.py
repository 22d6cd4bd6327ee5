"""One site's sign-in: the configuration shared by its routes, and their two cookies.

Rules:
- Origins, paths and the pool come from the configuration alone.
- A browser whose session was ended from elsewhere has to enter the password at its next sign-in:
  the answer to its last request set a cookie for this (`ask_again`). A new session clears it.
- A browser with two session cookies of one name gets them cleared once, by a sign-in. A cookie says
  so for a minute (`tried`); if both are still there, a page explains the remedy.
"""

from collections.abc import Container
from typing import Final

from ..authenticator import Authenticator, Visit
from ..config.routes import AuthRoutes
from ..sessions.verdicts import Refused
from ..web.cookies import DUPLICATE, CookieReader
from ..web.requests import may_hop
from .attempt import Attempts
from .provider import Provider
from .target import safe_target

OF_HOST: Final = b"1"
OF_PAGE: Final = b"2"


class Site:
    """The sign-in of one configuration, below one mount. `routes`: with whole paths.

    `barred`: paths of the sign-in routes. `next` never leads to one.
    """

    def __init__(
        self, home: Authenticator, routes: AuthRoutes, barred: Container[str] = ()
    ) -> None:
        pool = home.config.user_pools[0]
        self.home = home
        self.routes = routes
        self.pool: str = pool.user_pool_id
        self.client_id: str = (pool.client_id or ("",))[0]
        self.issuer: str = pool.iss
        self.issuers: tuple[bytes, ...] = tuple(issuer.encode() for issuer in pool.accepted_issuers)
        self.attempts: Attempts = Attempts(
            routes, home.config.route_keys, self.pool, self.client_id
        )
        self.provider: Provider = Provider(
            domain=str(pool.domain),
            token_url=str(pool.token_url),
            client_id=self.client_id,
            redirect_uri=routes.callback_url,
            scope=routes.scope,
            resource=routes.resource,
        )
        self._barred = barred
        self._ask_again = CookieReader(routes.ask_again.name.encode()).read
        self._tried = CookieReader(routes.tried.name.encode()).read

    def target(self, wanted: str | None) -> str:
        """The page to go to after the sign-in: `wanted`, if it is a page of this site."""
        return safe_target(wanted, self._barred, self.routes.after_sign_in)

    def has_tried(self, visit: Visit) -> bytes | None:
        """The cookies cleared a moment ago: `OF_HOST`, `OF_PAGE`; None for none."""
        found = None if visit.cookies is None else self._tried(visit.cookies)
        if found is DUPLICATE:  # one is ours; a sibling site's beside it would hide it for good
            return OF_PAGE
        return found if found in (OF_HOST, OF_PAGE) else None

    def tried(self, which: bytes) -> tuple[str, str]:
        """The header to remember the clearing."""
        return "Set-Cookie", self.routes.tried.setting(which.decode())

    def must_ask_again(self, visit: Visit) -> bool:
        """Whether the browser's session was ended from elsewhere, according to its cookie."""
        return visit.cookies is not None and self._ask_again(visit.cookies) is not None

    def may_withhold_cookies(self, visit: Visit, sec_fetch_site: str) -> bool:
        """Whether the browser may have a `SameSite=Strict` session cookie, and not have sent it."""
        return self.home.cookie.is_strict and may_hop(sec_fetch_site, visit.cookies)


def has_two_cookies(visit: Visit) -> bool:
    """Whether nobody is signed in because the session cookie was sent twice."""
    return isinstance(visit.verdict, Refused) and visit.verdict.reason == "duplicate_cookie"
