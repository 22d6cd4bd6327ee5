"""The routes `sign-out`, which ends the session here and at the pool, and `sign-out-callback`.

Rules:
- Another site's page signs nobody out. A form of this site may, and a link as far as `get_sign_out`
  allows; a link needs the browser's own word (`Sec-Fetch-*`) for its origin.
- If the store cannot be told, the answer is 503, and the browser is not sent to the pool.
- A stored session is ended unread: its store returns what it forgets. It is read if there was none
  (how it ended decides on the next sign-in), and for an answer that ends nothing.
"""

from typing import Final

from ..authenticator import Visit
from ..effects import Flow
from ..engine.pages import for_reader
from ..engine.refusals import report_credential
from ..engine.reporting import report_answer
from ..errors import NetworkError
from ..sessions.verdicts import UNREAD, Resolution
from ..verbs.end import end_here, end_unread
from ..web.answers import Answer, Asked, problem
from ..web.headers import CLEAR_SITE_DATA, FETCHED_AHEAD
from ..web.requests import came_by_hop, is_foreign, page_of
from .pages import hop, redirect
from .queries import is_cross_site, is_page
from .site import Site

_NOT_OURS: Final = "Only this site's own pages can sign you out."
_NOT_NOW: Final = "You cannot be signed out right now. Please try again in a moment."


def sign_out(site: Site, visit: Visit, asked: Asked) -> Flow[Answer]:
    """End the session, and send the browser to the pool to end the sign-in there."""
    if not _may_sign_out(site, visit, asked):
        yield from read_late(visit, asked)
        is_form = asked.method == "POST"
        why = page_of(visit.headers) if is_form else "a link may do it as get_sign_out says"
        report_answer(visit, asked, "cross_site", 403, why)
        return for_reader(visit, asked, problem(403, _NOT_OURS), _NOT_OURS)
    try:
        if visit.verdict is not UNREAD or not (yield from end_unread(visit)):
            yield from read_late(visit, asked)
            yield from end_here(visit, everywhere=False, asks_again=False)
    except NetworkError as error:
        report_answer(visit, asked, error.reason, 503)
        answer = problem(503, headers=[("Retry-After", str(int(error.retry_after or 1)))])
        return for_reader(visit, asked, answer, _NOT_NOW)
    url = site.provider.logout_url(site.routes.sign_out_callback_url)
    # The ended session's own answer has this header. An earlier one may have run out unnoticed.
    is_sent = visit.by_app or not site.home.source.forgets
    headers = [] if is_sent else [(CLEAR_SITE_DATA, FETCHED_AHEAD)]
    # With the policy `form-action 'self'` a form's redirects may not leave the site.
    return hop(url, headers) if asked.method == "POST" else redirect(url, headers)


def read_late(visit: Visit, asked: Asked) -> Flow[None]:
    """Read the cookie of a visit, if that was left for later."""
    if visit.verdict is not UNREAD or visit.cookies is None:
        return
    home = visit.home
    found = yield from home.look_up(
        visit.source, home.read(visit.cookies), cookie=None, now=visit.now()
    )
    visit.take(Resolution(found.verdict, found.writes))
    report_credential(visit, lambda _: asked)


def _may_sign_out(site: Site, visit: Visit, asked: Asked) -> bool:
    if asked.method == "POST":
        return not is_foreign(visit.headers, site.home.config.known_origins)
    policy = site.routes.get_sign_out
    if policy == "never" or came_by_hop(visit.headers, visit.cookies):
        return False
    return is_page(visit) and not is_cross_site(visit, policy, strictly=True)


def signed_out(site: Site, visit: Visit, asked: Asked) -> Flow[Answer]:  # noqa: ARG001
    """The pool has sent the browser back."""
    yield from ()
    return redirect(site.routes.after_sign_out)
