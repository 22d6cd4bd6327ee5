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
from ..errors import AuthError, StepUpRequiredException
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
_AGAIN: Final = "Please sign in again"
_TOO_OLD: Final = "This page needs a more recent sign-in, or one with a second factor."
_FORM: Final = (
    "This needs a more recent sign-in, or one with a second factor, so nothing has been done yet. "
    "Sign in again in a new tab. Then come back to this page and reload it: your browser sends "
    "your form once more."
)
_REPLACED: Final = frozenset({"Content-Type", "Content-Length", "Cache-Control"})
_KEYS: Final[dict[int, PageKey]] = {401: 401, 403: 403, 503: 503}


def for_reader(
    visit: Visit, asked: Asked, answer: Answer, text: str = "", error: AuthError | None = None
) -> Answer:
    """A problem document, or a page if a person reads it. `text`: in place of the usual one.

    `error`: the one that is answered, if the page depends on it.
    """
    if answer.status < 400 or not asked.is_for_person or not visit.source.is_ambient:
        return answer
    status = answer.status
    title, usual = _WORDS.get(status, (answer.phrase, "The request could not be answered."))
    user = visit.verdict.user
    refusals = visit.source.refusals
    sign_in_url = refusals.login_url_for(asked)
    if isinstance(error, StepUpRequiredException):
        title, usual = _AGAIN, _FORM if _is_form(asked) else _TOO_OLD
        sign_in_url = refusals.step_up_url_for(asked, error)
    headers = [(name, value) for name, value in answer.headers if name not in _REPLACED]
    context = PageContext(
        status=status,
        title=title,
        text=text or usual,
        path=asked.path,
        sign_in_url=sign_in_url,
        retry_after=next((int(value) for name, value in headers if name == "Retry-After"), None),
        user=user,
    )
    shown = page_of(visit.home, _KEYS.get(status), context, headers, _link(asked, context))
    return shown._replace(body=b"") if asked.method == "HEAD" else shown


def _is_form(asked: Asked) -> bool:
    return asked.method not in ("GET", "HEAD")


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
    if context.title == _AGAIN and context.sign_in_url is not None:
        # In a new tab: reloading this page, which stays, has the browser send the form again.
        new = ' target="_blank" rel="noopener"' if _is_form(asked) else ""
        return f'<p><a href="{escape(context.sign_in_url)}"{new}>Sign in again</a></p>'
    if context.status == 401 and context.user is None and context.sign_in_url is not None:
        return f'<p><a href="{escape(context.sign_in_url)}">Sign in</a></p>'
    if context.status == 503 and asked.method in ("GET", "HEAD"):
        return f'<p><a href="{escape(local_target(asked.path, asked.query))}">Try again</a></p>'
    return ""
