"""The frame of every page: its head, its navigation, its notice, its style and its headers.

Rules:
- A template is a `Markup` literal. Values put into it are escaped, unless they are `Markup` too.
- There is no script, and nothing from elsewhere. The one style sheet is in the page; the policy
  allows it by its hash.
- The head asks for the user by itself, with `user_or_none()`.
- A notice is one of the texts here, chosen by a code in the query.
"""

import base64
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup, escape

from amplify_mw import user_or_none

_STYLE: Final = files(__package__).joinpath("style.css").read_text("utf-8")
_STYLE_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",  # Back must not show the last visitor's profile
}

_ICON: Final = Markup(
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='5' r='3.4' fill='%231a5fb4'/%3E"
    "%3Cpath d='M1.5 15a6.5 5.6 0 0 1 13 0z' fill='%231a5fb4'/%3E%3C/svg%3E"
)

_PAGE: Final = Markup("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · amplify_mw</title>
<link rel="icon" href="{icon}">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the page</a>
<header><div class="frame">
<a class="name" href="/">amplify_mw demo</a>
<nav aria-label="Pages"><ul>{links}</ul></nav>
{who}
</div></header>
<main id="main" class="frame">
{notice}{main}
</main>
<footer><div class="frame">
<p>The site and its user pool run on this machine. Its code is in <code>amplify_mw/demo</code>:
read <code>app_flask.py</code> or <code>app_fastapi.py</code>.</p>
</div></footer>
</body>
</html>
""")

_LINKS: Final = (
    ("/", "Home"),
    ("/profile", "Profile"),
    ("/members", "Members"),
    ("/admins", "Admins"),
    ("/devices", "Devices"),
)

_SIGNED_IN: Final = Markup(
    '<div class="who"><span>{username}</span>'
    '<form method="post" action="/auth/sign-out"><button class="second">Sign out</button></form>'
    "</div>"
)
_SIGNED_OUT: Final = Markup(
    '<div class="who"><a href="/auth/sign-in?next={next}">Sign in</a></div>'
)

_NOTICE: Final = Markup('<p class="card notice" role="status">{}</p>')
_TO_NOBODY: Final = {
    "signed-out": "You are signed out, here and at the user pool.",
}
_TO_USERS: Final = {
    "new-tokens": "The tokens are new. The session and its cookie are the same as before.",
    "device-ended": "That device is signed out. Its next request shows it.",
}


def page(title: str, main: Markup, path: str = "", notice: str | None = None) -> str:
    """A whole page. `path`: its own, if it is in the navigation. `notice`: a code."""
    user = user_or_none()
    links = [
        Markup('<li><a href="{}"{}>{}</a></li>').format(
            link, Markup(' aria-current="page"') if link == path else "", text
        )
        for link, text in _LINKS
    ]
    after = quote(path or "/", safe="")
    text = (_TO_USERS if user else _TO_NOBODY).get(notice or "")
    return _PAGE.format(
        title=title,
        icon=_ICON,
        style=Markup(_STYLE),  # noqa: S704 - the file beside this one
        links=Markup().join(links),
        who=_SIGNED_IN.format(username=user.username) if user else _SIGNED_OUT.format(next=after),
        notice=_NOTICE.format(text) if text else "",
        main=main,
    )


def table(facts: Iterable[tuple[str, str]]) -> Markup:
    """A table of names and values."""
    row = Markup('<tr><th scope="row">{}</th><td class="value">{}</td></tr>')
    rows = Markup().join(row.format(name, value) for name, value in facts)
    return Markup('<table class="facts"><tbody>{}</tbody></table>').format(rows)


_MARKED: Final = (
    "get_current_user()",
    "fetch_user_attributes()",
    'protect=["/members/*"]',
    '@require_auth(groups=["admins"])',
    "list_sessions()",
    "end_session_by_handle",
    "end_session(everywhere=True)",
)


def excerpt(functions: Iterable[Callable[..., Any]]) -> Markup:
    """The source of functions, with the important lines marked."""
    sources = [textwrap.dedent(inspect.getsource(function)).strip() for function in functions]
    code = escape("\n\n\n".join(sources))
    for verb in map(escape, _MARKED):
        code = code.replace(verb, Markup("<mark>{}</mark>").format(verb))
    return Markup('<pre tabindex="0"><code>{}</code></pre>').format(code)
