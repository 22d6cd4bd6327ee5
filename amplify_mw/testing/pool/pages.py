"""The pages of the local user pool's domain.

Rules:
- No script, nothing from elsewhere; the policy allows the one style sheet by its hash.
- A template's holes take text, which is escaped, or the output of another template.
- A form may be posted here, and its answer may lead to the app: browsers hold a redirect after a
  form to `form-action`, so the app's origin is in the policy.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import parse_qsl, urlencode

from werkzeug.wrappers import Response

from .authorization import split

_STYLE: Final = """
:root{color-scheme:light dark;font:100%/1.5 system-ui,sans-serif}
body{margin:0 auto;padding:1.5rem;max-width:24rem}
h1{font-size:1.5rem;line-height:1.2}
label{display:block;margin-top:1rem}
input,button{box-sizing:border-box;width:100%;min-height:2.75rem;padding:.5rem .75rem;
font:inherit;border:1px solid #767676;border-radius:.375rem}
button{margin-top:1rem;border-color:#0b57d0;background:#0b57d0;color:#fff;cursor:pointer}
[role=alert]{padding:.75rem;border-left:.25rem solid #b3261e;background:#b3261e1a}
footer{margin-top:2rem;font-size:.875rem;opacity:.8}
h2{margin-top:2rem;font-size:1.125rem}
dt{font-weight:600}
dd{margin:0 0 .75rem}
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_PLAIN_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - local user pool</title>
<style>{style}</style></head>
<body><main><h1>{title}</h1>{alert}{content}</main>
<footer>A local user pool for development and tests. This is not Amazon Cognito.</footer>
</body></html>
"""
_ALERT: Final = '<p role="alert">{text}</p>'
_FORM: Final = '<form method="post" action="{action}">{fields}{hidden}</form>'
_HIDDEN: Final = '<input type="hidden" name="{name}" value="{value}">'
_FIELD: Final = (
    '<label for="{name}">{label}</label><input id="{name}" name="{name}" type="{type}" '
    'value="{value}" autocomplete="{autocomplete}" autocapitalize="none" required>'
)
_BUTTON: Final = "<button>{label}</button>"
_CHOICE: Final = '<button name="{name}" value="{value}">{label}</button>'
_NOTES: Final = "<h2>Who can sign in</h2><dl>{notes}</dl>"
_NOTE: Final = "<dt>{name}</dt><dd>{text}</dd>"
_LINK: Final = '<p><a href="{url}">{label}</a></p>'


class _Html(str):
    """Text in HTML, not to be escaped again."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """The values common to the pages of one request.

    `query`: the request's parameters; `token`: the form's protection against forgery;
    `redirect_uri`: the form's answer may lead there; `alert`: the mistake in the last form.
    """

    query: str
    token: str
    redirect_uri: str
    alert: str = ""
    status: int = 200


def sign_in(
    frame: Frame,
    username: str,
    known: str | None,
    providers: Iterable[str],
    notes: Mapping[str, str],
) -> Response:
    """The page for name and password. `known`: the user already signed in with this browser.

    `notes`: about users, by their names, for the foot of the page.
    """
    name = _field("username", "User name", "text", "username", username)
    password = _field("password", "Password", "password", "current-password")
    again = _fill(_CHOICE, name="session", value="continue", label=f"Continue as {known}")
    content = [
        *([_form(frame, "/login", again)] if known is not None else []),
        _form(frame, "/login", name, password, _fill(_BUTTON, label="Sign in")),
        *(
            _link(
                "/oauth2/authorize", frame, f"Continue with {provider}", identity_provider=provider
            )
            for provider in providers
        ),
        _link("/signup", frame, "Create an account"),
    ]
    if notes:
        listed = "".join(_fill(_NOTE, name=name, text=text) for name, text in notes.items())
        content.append(_fill(_NOTES, notes=_Html(listed)))
    return _page("Sign in", frame, *content)


def provider(frame: Frame, name: str, usernames: Iterable[str]) -> Response:
    """The page in place of another identity provider: a list of its users to choose from."""
    choices = [
        _fill(_CHOICE, name="username", value=username, label=username) for username in usernames
    ]
    text = "Who are you there?" if choices else "The pool has no user of this provider."
    content = [_fill("<p>{text}</p>", text=text)]
    return _page(f"Sign in at {name}", frame, *content, _form(frame, "/login", *choices))


def sign_up(frame: Frame, username: str, email: str) -> Response:
    """The page for a new user."""
    fields = [
        _field("username", "User name", "text", "username", username),
        _field("email", "E-mail", "email", "email", email),
        _field("password", "Password", "password", "new-password"),
        _fill(_BUTTON, label="Sign up"),
    ]
    link = _link("/login", frame, "I have an account")
    return _page("Create an account", frame, _form(frame, "/signup", *fields), link)


def home() -> Response:
    """The page of the address itself: it shows a browser the certificate to accept."""
    return _page("The pool is here", Frame("", "", ""), _Html("<p>Apps send browsers on.</p>"))


def problem(code: str, description: str) -> Response:
    """The page for a request without a valid way back to the app."""
    frame = Frame("", "", "", f"{description} ({code})", 400)
    return _page("This does not work", frame)


def _form(frame: Frame, path: str, *fields: _Html) -> _Html:
    hidden = _fill(_HIDDEN, name="_csrf", value=frame.token)
    action = f"{path}?{frame.query}"
    return _fill(_FORM, action=action, fields=_Html("".join(fields)), hidden=hidden)


def _field(name: str, label: str, kind: str, autocomplete: str, value: str = "") -> _Html:
    return _fill(_FIELD, name=name, label=label, type=kind, autocomplete=autocomplete, value=value)


def _link(path: str, frame: Frame, label: str, **more: str) -> _Html:
    query = urlencode(dict(parse_qsl(frame.query)) | more)
    return _fill(_LINK, url=f"{path}?{query}", label=label)


def _page(title: str, frame: Frame, *content: _Html) -> Response:
    alert = _fill(_ALERT, text=frame.alert) if frame.alert else _Html()
    style, inner = _Html(_STYLE), _Html("".join(content))
    html = _fill(_PAGE, title=title, style=style, alert=alert, content=inner)
    # Typed text may hold lone surrogates, which UTF-8 has no bytes for.
    body = html.encode(errors="replace")
    return Response(body, frame.status, _headers(frame.redirect_uri), mimetype="text/html")


def _headers(redirect_uri: str) -> Mapping[str, str]:
    policy = {
        "default-src": "'none'",
        "style-src": f"'sha256-{_STYLE_HASH}'",
        "form-action": f"'self' {_source(redirect_uri)}".rstrip(),
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def _source(uri: str) -> str:
    """A URI's origin as a source of a policy; its scheme alone if a policy cannot express it."""
    parts = split(uri)
    if parts is None:
        return ""
    is_plain = parts.scheme in {"http", "https"} and _PLAIN_HOST.fullmatch(parts.netloc)
    return f"{parts.scheme}://{parts.netloc}" if is_plain else f"{parts.scheme}:"


def _fill(template: str, **values: str) -> _Html:
    texts = {
        name: value if isinstance(value, _Html) else escape(value) for name, value in values.items()
    }
    return _Html(template.format_map(texts))
