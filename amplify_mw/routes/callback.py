"""The route `sign-in-callback`: the browser is back from the pool, with a code or an error.

Rules:
- A callback counts only with the cookie of an attempt of this browser. It uses up the attempt,
  unless the provider is unavailable (no answer, `server_error`): then the page can be loaded again.
- A code without this cookie is not used. The attempt took too long, gave way to newer ones, or the
  sign-in began elsewhere (on an identity provider's page). A new attempt for the same target begins
  at once, and a provider that knows the browser answers it without a question. After `MAX_TURNS`
  attempts in a row a page says that the sign-in failed.
- A callback without `SameSite=Strict` cookies goes once through a page of this site, so that the
  new session ends the earlier one.
- After a redirect from the pool the browser would send no strict cookies. So the answer is a page
  going on by itself (see `pages.hop`).
- The provider's parameters are compared, never repeated, except in the address of such a page.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from ..authenticator import Visit
from ..effects import Flow
from ..sessions.verdicts import Refused, SignedIn
from ..web.answers import Answer, Asked
from ..web.requests import has_hopped
from . import exchange
from .attempt import Attempt, Way
from .failing import attempt_expired, fail, log_new_attempt
from .failures import Code, Refusal
from .pages import hop, hop_cookie, hop_here, hop_later
from .queries import TURNS, read_query
from .sign_in import MAX_TURNS, is_enough
from .site import OF_HOST, Site, has_two_cookies

_RETRY: Final = "2"  # seconds


def callback(site: Site, visit: Visit, asked: Asked) -> Flow[Answer]:
    """Answer the callback; clear the cookie of its page in between, if there was one."""
    answer = yield from _answer(site, visit, asked)
    withholds = site.may_withhold_cookies(visit, asked.sec_fetch_site)
    if has_hopped(visit.cookies) and not withholds:
        over = hop_cookie(
            f"{site.routes.prefix}/sign-in-callback", secure=site.routes.is_secure
        )  # the next callback may need such a page again
        return answer._replace(headers=(*answer.headers, ("Set-Cookie", over.clearing)))
    return answer


def _answer(site: Site, visit: Visit, asked: Asked) -> Flow[Answer]:
    query = read_query(asked.query)
    if query is None or not _is_callback(query):
        return (yield from fail(site, visit, asked, Refusal(Code.BAD_REQUEST)))
    state, now = query.get("state", ""), site.home.runner.clock()
    attempt = site.attempts.find(state, visit.cookies, now)
    if attempt is None and "error" not in query:
        return (yield from _begin_again(site, visit, asked, site.attempts.way(state)))
    if site.may_withhold_cookies(visit, asked.sec_fetch_site):
        secure = site.routes.is_secure
        again = hop_here(asked.path, asked.query, visit.cookies, secure=secure)
        if again is not None:
            return again
    if attempt is not None:
        return (yield from _finish(site, visit, asked, query, attempt, now))
    if isinstance(visit.verdict, SignedIn):  # the callback was opened a second time
        return hop(site.routes.after_sign_in)
    return (yield from fail(site, visit, asked, attempt_expired(site, visit)))


def _is_callback(query: Mapping[str, str]) -> bool:
    """Whether a query has a code, or an error with its state, and not both."""
    if "error" in query:
        return not query.get("code") and bool(query.get("state"))
    return bool(query.get("code"))


def _finish(
    site: Site,
    visit: Visit,
    asked: Asked,
    query: Mapping[str, str],
    attempt: Attempt,
    now: float,
) -> Flow[Answer]:
    """Use up an attempt: a session, or the reason why there is none."""
    dropped = [("Set-Cookie", site.attempts.drop(attempt.state))]
    with_two = attempt.with_two or has_two_cookies(visit)
    try:
        wait = yield from exchange.sign_in(site, visit, query, attempt, now)
    except Refusal as refusal:
        headers = dropped if refusal.uses_up else [("Retry-After", _RETRY)]
        return (yield from fail(site, visit, asked, refusal, attempt.target, headers))
    if wait is None:
        return hop(attempt.target)  # another request of this attempt has started the session
    if site.must_ask_again(visit):
        dropped.append(("Set-Cookie", site.routes.ask_again.clearing))
    if with_two:  # the headers that set the session clear the other one, if they can
        dropped.append(site.tried(OF_HOST))
    if wait > 0:
        return hop_later(attempt.target, wait, dropped)
    return hop(attempt.target, dropped)


def _begin_again(site: Site, visit: Visit, asked: Asked, way: Way) -> Flow[Answer]:
    """Answer a code of no attempt of this browser, by beginning another."""
    began = dict(parse_qsl(way.query))
    target, verdict = site.target(began.get("next")), visit.verdict
    # Opened a second time; or another tab has signed in.
    if isinstance(verdict, SignedIn) and is_enough(site, verdict, began):
        return hop(target)
    if isinstance(verdict, Refused) and verdict.reason == "token_not_yet_valid":
        return hop_later(target, verdict.retry_after or 0)  # likewise, with a clock that is behind
    if way.turns >= MAX_TURNS:  # the browser keeps no cookies
        return (yield from fail(site, visit, asked, attempt_expired(site, visit), target))
    log_new_attempt(site, visit, asked)
    query = way.query or urlencode({"next": target})
    # By a page of this site, so that the session's cookie is sent if there is one by now.
    return hop(f"{site.routes.prefix}/sign-in?{query}&{TURNS}={way.turns + 1}")
