"""The answer to a failed sign-in: an event, a call of the app's function, and a page.

Rules:
- Each failure is one event. The log has it at WARNING if there is a remedy (once an hour for each
  kind, since anybody can make a sign-in fail), else at INFO, or at DEBUG for noise.
- The app's function is called before the answer goes, and cannot make the request fail.
- `duplicate_cookie` is answered here, never at `on_error`: the same two cookies might keep the
  browser from that page.
"""

from collections.abc import Sequence
from html import escape
from typing import Final
from urllib.parse import urlencode

from ..authenticator import Visit
from ..effects import Flow, Report, Tell
from ..engine.pages import page_of
from ..engine.reporting import escaped, request_line, sign_in_failed
from ..log import About, logger
from ..models import SignInFailure
from ..web.answers import Answer, Asked
from ..web.pages import PageContext
from .failures import Code, Refusal
from .pages import hop
from .site import Site

_ASKED_AGAIN: Final = (Code.SIGN_IN_DENIED, Code.SIGN_IN_TOO_OLD, Code.SIGN_IN_TOO_WEAK)


def fail(
    site: Site,
    visit: Visit,
    asked: Asked,
    refusal: Refusal,
    target: str = "",
    headers: Sequence[tuple[str, str]] = (),
) -> Flow[Answer]:
    """Log a failed sign-in, tell the app, and answer. `target`: the page it was to lead to."""
    code, pool_error, routes = refusal.code, refusal.pool_error, site.routes
    event = sign_in_failed(
        *(visit, str(code), code.status, "routes"),
        asked=asked,
        pool_error=pool_error,
        detail=refusal.why,
        mend=refusal.mend,
    )
    yield Report(event, loudly=_is_news(site, refusal))
    if routes.on_sign_in_failed is not None:
        failure = SignInFailure(str(code), pool_error, code.status, asked.method, asked.path)
        error, _ = yield Tell(routes.on_sign_in_failed, failure)
        if error is not None:
            what = "the app's function that is told of a SignInFailure has failed"
            logger.error("%s", what, exc_info=error, about=event)
    if routes.on_error is not None and code is not Code.DUPLICATE_COOKIE:
        said = {"error": str(code)} | ({"pool_error": pool_error} if pool_error else {})
        joint = "&" if "?" in routes.on_error else "?"
        return hop(f"{routes.on_error}{joint}{urlencode(said)}", headers)
    query = {"next": target} if target else {}
    if code in _ASKED_AGAIN:  # the pool would sign the same user in without a question
        query["prompt"] = "login"
    link = f"{routes.prefix}/sign-in" + (f"?{urlencode(query)}" if query else "")
    more = f'<p><a href="{escape(link)}">Sign in</a></p><p><small>{code}</small></p>'
    context = PageContext(
        *(code.status, "Not signed in", code.text, asked.path), sign_in_url=link, code=str(code)
    )
    return page_of(site.home, "sign_in_failed", context, headers, more)


def _is_news(site: Site, refusal: Refusal) -> bool:
    """Whether there is a remedy, and the log has not named it within the last hour."""
    if refusal.code.is_noise or not refusal.mend:
        return False
    return site.home.reporter.is_news(refusal.kind, site.home.runner.clock())


def attempt_expired(site: Site, visit: Visit) -> Refusal:
    """The refusal of a callback without an attempt of this browser."""
    elsewhere, is_news = _other_host(site, visit)
    if is_news:
        return Refusal(Code.ATTEMPT_EXPIRED, mend=elsewhere)
    return Refusal(Code.ATTEMPT_EXPIRED, elsewhere)


def log_new_attempt(site: Site, visit: Visit, asked: Asked) -> None:
    """Log a code without its attempt: another attempt begins."""
    elsewhere, is_news = _other_host(site, visit)
    line = f"sign-in begins again: no attempt of this browser ({request_line(asked)})"
    if is_news:
        site.home.reporter.notice(f"{line}: {elsewhere}")
    else:
        logger.debug("%s", line, about=About(path=escaped(asked)[1]))


def _other_host(site: Site, visit: Visit) -> tuple[str, bool]:
    """The remedy if the attempt's cookie may be at another host name, and whether it is news."""
    elsewhere = site.home.hosts.elsewhere(visit.headers, site.routes.origin)
    return elsewhere, bool(elsewhere) and site.home.reporter.is_first("host", elsewhere)
