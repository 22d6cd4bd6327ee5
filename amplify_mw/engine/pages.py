"""Refusals as people see them: a page in a browser, where a program gets a problem document.

Rules:
- A person is a browser that opens a page or sends a form, by `Accept` and `Sec-Fetch-Mode`. A
  request with a Bearer token is a program's.
- A page has the status and the headers of the problem document in its place.
- A page of the app's own that fails is logged, and the library's plain page goes instead.
"""

from collections.abc import Sequence
from html import escape
from typing import Final

from ..authenticator import Authenticator, Visit
from ..log import logger
from ..web.answers import Answer, Asked, local_target
from ..web.pages import PageContext, PageKey, own_page, page

_WORDS: Final = {
    401: ("Please sign in", "Only signed-in users can see this page."),
    403: ("Not allowed", "Your account may not see this page."),
    503: (
        "Please try again",
        "This site cannot check right now who is signed in. Please try again in a moment.",
    ),
}
_REPLACED: Final = frozenset({"Content-Type", "Content-Length", "Cache-Control"})
_KEYS: Final[dict[int, PageKey]] = {401: 401, 403: 403, 503: 503}


def for_reader(visit: Visit, asked: Asked, answer: Answer, text: str = "") -> Answer:
    """A problem document, or a page if a person reads it. `text`: in place of the usual one."""
    if answer.status < 400 or not asked.is_for_person or not visit.source.is_ambient:
        return answer
    status = answer.status
    title, usual = _WORDS.get(status, (answer.phrase, "The request could not be answered."))
    user = visit.verdict.user
    refusals = visit.source.refusals
    headers = [(name, value) for name, value in answer.headers if name not in _REPLACED]
    context = PageContext(
        status=status,
        title=title,
        text=text or usual,
        path=asked.path,
        sign_in_url=refusals.login_url_for(asked),
        retry_after=next((int(value) for name, value in headers if name == "Retry-After"), None),
        user=user,
    )
    shown = page_of(visit.home, _KEYS.get(status), context, headers, _link(asked, context))
    return shown._replace(body=b"") if asked.method == "HEAD" else shown


def page_of(
    home: Authenticator,
    key: PageKey | None,
    context: PageContext,
    headers: Sequence[tuple[str, str]],
    more: str,
) -> Answer:
    """The app's own page for a `key`, or the library's. `more`: HTML for the library's."""
    own = None if key is None else home.config.pages.get(key)
    if own is not None:
        try:
            return own_page(own, context, headers)
        except Exception as error:  # noqa: BLE001  # whatever the app does
            logger.error("the app's page for %s has failed", key, exc_info=error)
    return page(context.status, context.title, context.text, more=more, headers=headers)


def _link(asked: Asked, context: PageContext) -> str:
    """The way on from the library's page."""
    if context.status == 401 and context.user is None and context.sign_in_url is not None:
        return f'<p><a href="{escape(context.sign_in_url)}">Sign in</a></p>'
    if context.status == 503 and asked.method in ("GET", "HEAD"):
        return f'<p><a href="{escape(local_target(asked.path, asked.query))}">Try again</a></p>'
    return ""
