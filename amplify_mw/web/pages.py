"""The pages that people see in place of the app's: a plain one of the library's, or the app's own.

Rules:
- A page of the library has no scripts, and nothing from elsewhere: its policy allows nothing at
  all. A page of the app's own may load files of this site, and has no scripts in its text.
- No page may be framed, and caches keep none.
- No page says why a session was refused, and none holds a secret. Of a request, a page shows an
  address of this site at most. Everything in a page is escaped, in templates too.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import Final, Literal, NamedTuple, TypeAlias

from ..models import AuthUser
from .answers import Answer

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_OWN_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">{head}
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>:root{{color-scheme:light dark}}\
body{{font:16px/1.5 system-ui,sans-serif;margin:20vh auto 0;max-width:32em;padding:0 1em}}\
a{{color:inherit}}</style></head>
<body><h1>{title}</h1><p>{text}</p>{more}</body></html>
"""


class PageContext(NamedTuple):
    """The facts for a page of the app's own; see `AmplifyConfig(pages=...)`."""

    status: int
    """The HTTP status."""

    title: str
    """A short title in English, as the library's own page has it."""

    text: str
    """A sentence or two in English, likewise."""

    path: str
    """The requested path, without its query. It is the visitor's: escape it."""

    sign_in_url: str | None = None
    """The sign-in page, which leads back to the requested one; None without a `login_url`."""

    retry_after: int | None = None
    """With 503: the seconds after which to try again."""

    code: str | None = None
    """For a failed sign-in: its code, such as `access_denied`."""

    user: AuthUser | None = None
    """The signed-in user, if there is one."""


PageKey: TypeAlias = Literal[401, 403, 503, "sign_in_failed"]
Page: TypeAlias = str | Callable[[PageContext], str]
KEYS: Final[tuple[PageKey, ...]] = (401, 403, 503, "sign_in_failed")
FIELDS: Final = frozenset({*PageContext._fields, "username"} - {"user"})
"""The names in a template: `$username` stands for the user's name."""


def page(
    status: int,
    title: str,
    text: str,
    *,
    more: str = "",
    head: str = "",
    headers: Sequence[tuple[str, str]] = (),
) -> Answer:
    """A page of the library. `more` and `head` are HTML."""
    html = _PAGE.format(title=escape(title), text=escape(text), more=more, head=head)
    return _answer(status, html, _POLICY, headers)


def own_page(own: Page, context: PageContext, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """A page of the app's own: a filled template, or the text from its function.

    Raises the exception of the function, and `TypeError` if its result is no text.
    """
    html: object = filled(own, context) if isinstance(own, str) else own(context)
    if not isinstance(html, str):
        if hasattr(html, "close"):
            html.close()  # a coroutine that is never awaited warns
        raise TypeError(f"a page is text, and nothing is awaited; got {type(html).__name__}")
    return _answer(context.status, html, _OWN_POLICY, headers)


def filled(template: str, context: PageContext) -> str:
    """A template (`string.Template`) with the facts, all escaped.

    >>> filled("<h1>$title</h1>", PageContext(403, "<No>", "", "/"))
    '<h1>&lt;No&gt;</h1>'
    """
    from string import Template

    username = None if context.user is None else context.user.username
    facts = {**context._asdict(), "username": username}
    shown = {name: "" if fact is None else escape(str(fact)) for name, fact in facts.items()}
    return Template(template).substitute(shown)


def _answer(status: int, html: str, policy: str, headers: Sequence[tuple[str, str]]) -> Answer:
    body = html.encode()
    own = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", policy),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
    )
    return Answer(status, (*own, *headers), body)
