"""The routes `sign-in` and `sign-up`: begin an attempt, and send the browser to the pool.

Rules:
- A link on another site leads to a question first; nobody is signed in by another site's page.
- A signed-in user goes straight to the target, unless the link asks for a new sign-in.
- `max_age` and `acr_values` are sealed into the attempt: the callback holds the new tokens to them,
  and nothing on the way there can lower them.
- A user may be signed in here, but not at the target: the browser has a second session cookie, set
  for the target's path. This one is cleared, once.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from ..authenticator import Visit
from ..effects import Draw, Flow
from ..needs import claims, signed_in_at
from ..sessions.verdicts import Refused, SignedIn
from ..web.answers import TWO_COOKIES, Answer, Asked
from ..web.hosts import other_origin
from ..web.requests import excerpt
from .attempt import RANDOM, Way
from .failing import fail
from .failures import Code, Refusal
from .pages import question, redirect
from .queries import (
    TURNS,
    acr_values,
    is_cross_site,
    provider_parameters,
    read_query,
    sign_in_query,
    whole_number,
)
from .site import OF_PAGE, Site, has_two_cookies

MAX_TURNS: Final = 5
_PAGES: Final = {"sign-in": "oauth2/authorize", "sign-up": "signup"}
_NEW_SIGN_IN: Final = frozenset({"prompt", "identity_provider", "idp_identifier"})


def sign_in(site: Site, visit: Visit, asked: Asked, name: str = "sign-in") -> Flow[Answer]:
    """Send the browser to the pool, or answer without it. `name`: of the route."""
    query = read_query(asked.query)
    if query is None:
        return (yield from fail(site, visit, asked, Refusal(Code.BAD_REQUEST)))
    site.home.hosts.note(visit.headers, site.routes.origin)
    _notice_origin(site, visit)
    target = site.target(query.get("next"))
    if is_cross_site(visit, "same-site"):
        return question(f"{site.routes.prefix}/{name}?{sign_in_query(query, target)}")
    if isinstance(visit.verdict, SignedIn) and not _asks_for_new(site, visit.verdict, query):
        if TWO_COOKIES.items() <= query.items():
            return (yield from _clear_other_cookie(site, visit, asked, target))
        return redirect(target)
    if has_two_cookies(visit) and site.has_tried(visit):
        return (yield from fail(site, visit, asked, Refusal(Code.DUPLICATE_COOKIE), target))
    return (yield from _begin(site, visit, name, query, target))


def sign_up(site: Site, visit: Visit, asked: Asked) -> Flow[Answer]:
    """The same, with the pool's page for new users."""
    return sign_in(site, visit, asked, "sign-up")


def _notice_origin(site: Site, visit: Visit) -> None:
    """Notice a sign-in which begins at another origin than it will end at."""
    found, reporter = other_origin(visit.headers, site.routes.origin), site.home.reporter
    if found and reporter.is_first("origin", found):
        reporter.notice(
            f"a sign-in begins at {excerpt(found)}, and AuthRoutes sends browsers to its origin, "
            f"{site.routes.origin!r}, afterwards: open the site there alone, or, if the first is "
            "the site's own address, correct AuthRoutes(origin=...)"
        )


def _turns(query: dict[str, str]) -> int:
    """How many attempts the callback has begun in a row."""
    return min(whole_number(query.get(TURNS)) or 0, MAX_TURNS)


def _asks_for_new(site: Site, verdict: SignedIn, query: dict[str, str]) -> bool:
    """Whether a link asks even signed-in users to sign in.

    After a lost attempt it does only if the present session, which may be newer, is not enough.
    """
    if _turns(query):
        return not is_enough(site, verdict, query)
    is_new = bool(provider_parameters(query).keys() & _NEW_SIGN_IN)
    return is_new or "acr_values" in query or whole_number(query.get("max_age")) is not None


def is_enough(site: Site, verdict: SignedIn, query: Mapping[str, str]) -> bool:
    """Whether a session is as new and as strong as a query for the sign-in route asks."""
    max_age, values = whole_number(query.get("max_age")), acr_values(query)
    found = claims(verdict) if values or max_age is not None else {}
    if values and found.get("acr") not in values:
        return False
    leeway, now = site.home.verifier.leeway, site.home.runner.clock()
    began = signed_in_at(verdict, found, now + leeway)
    return max_age is None or (began is not None and now < began + max_age + leeway)


def _begin(site: Site, visit: Visit, name: str, query: dict[str, str], target: str) -> Flow[Answer]:
    """Begin an attempt: its cookie, and the redirect to the pool."""
    parameters, max_age = provider_parameters(query), whole_number(query.get("max_age"))
    if name == "sign-in" and _was_ended_elsewhere(site, visit):
        parameters["prompt"] = "login"  # in any case: the pool may still know the browser
    random, now = yield Draw(RANDOM)
    values = query.get("acr_values", "")
    attempt, ivs = site.attempts.begin(
        random, target, max_age, now, with_two=has_two_cookies(visit), acr_values=values
    )
    if values:
        parameters["acr_values"] = values
    if max_age is not None:
        parameters["max_age"] = str(max_age)
    way = Way(sign_in_query(query, target), _turns(query))
    state = site.attempts.sent(attempt, way, ivs)
    url = site.provider.authorization_url(_PAGES[name], attempt, state, parameters)
    lines = site.attempts.keep(attempt, ivs, visit.cookies)
    return redirect(url, [("Set-Cookie", line) for line in lines])


def _was_ended_elsewhere(site: Site, visit: Visit) -> bool:
    """Whether this browser's session was ended from elsewhere, with no sign-in since."""
    verdict = visit.verdict
    is_told = isinstance(verdict, Refused) and verdict.asks_again
    return is_told or site.must_ask_again(visit)


def _clear_other_cookie(site: Site, visit: Visit, asked: Asked, target: str) -> Flow[Answer]:
    """Clear the cookie that only the target's path brings, and go there."""
    if site.has_tried(visit) == OF_PAGE:
        return (yield from fail(site, visit, asked, Refusal(Code.DUPLICATE_COOKIE), target))
    if visit.writes is not None:  # the session has just been renewed: next time
        return redirect(target)
    home, path = site.home, urlsplit(target).path
    lines = home.cookie.elsewhere(visit.cookies, path, home.config.cookie_domains, anywhere=True)
    cleared = [("Set-Cookie", line.value) for line in lines]
    return redirect(target, [*cleared, site.tried(OF_PAGE)])
