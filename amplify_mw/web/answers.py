"""The library's own answers, as values.

Rules:
- An answer never says why a cookie was refused: all invalid cookies look the same from outside.
- `next` is a path of this very site, for any request.
- A signed-in user who has to sign in again is sent to the sign-in routes with RFC 9470's
  `max_age` and `acr_values`. A program gets the same two in its challenge, and so does a form: a
  redirect would lose it without a word. Without either (the app's own error) a page says so: the
  sign-in routes would send a signed-in user straight back.
- A person gets a page in place of a problem document; see `engine.pages`.
- A prefetch is not sent to sign in: browsers drop an unsuccessful answer, and ask again at a click.
"""

import json
from collections.abc import Sequence
from math import ceil
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlencode, urlsplit

from ..errors import AuthError, StepUpRequiredException

# For the sign-in route: a browser has sent two session cookies to this page.
TWO_COOKIES: Final = {"cookies": "two"}

BEARER_CHALLENGE: Final = 'Bearer realm="api"'  # RFC 6750 3: with one parameter at least
_MAX_AGE: Final = 10**9  # seconds: the sign-in route reads nine digits
_VARY: Final = "Cookie, Accept, Sec-Fetch-Mode, Sec-Purpose"
_STEP_UP: Final = "This needs a new sign-in, although you are signed in."
_DETAILS: Final = {
    400: "The Authorization header of this request cannot be used.",
    401: "Sign in to see this.",
    403: "This request is not allowed.",
    405: "This address does not support this method.",
    503: "We cannot check who is signed in right now. Try again in a moment.",
}


class Answer(NamedTuple):
    """A response the library makes itself."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        return f"<Answer {self.status}>"

    @property
    def status_line(self) -> str:
        """Such as `401 Unauthorized`."""
        return f"{self.status} {self.phrase}"

    @property
    def phrase(self) -> str:
        """HTTP's name of the status."""
        return _phrase(self.status)

    @property
    def octets(self) -> list[tuple[bytes, bytes]]:
        """The headers as ASGI spells them."""
        return [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers]


class Asked(NamedTuple):
    """A request, as far as an answer depends on it.

    `path` is the public path with its `mount` (a configured one), decoded once; `query` is as it
    was sent.
    """

    method: str
    path: str
    query: str
    accept: str = ""
    sec_fetch_mode: str = ""
    sec_fetch_site: str = ""
    is_preflight: bool = False  # CORS: OPTIONS with Access-Control-Request-Method
    mount: str = ""
    is_speculative: bool = False  # `Sec-Purpose`: a prefetch or a prerender

    def __repr__(self) -> str:
        return f"<Asked {self.method} {self.path!r}>"

    @property
    def is_for_person(self) -> bool:
        """Whether a browser shows the answer as a page (no script fetches it, no guess is made)."""
        return (
            "text/html" in self.accept.lower()
            and self.sec_fetch_mode in ("", "navigate")
            and not self.is_speculative
        )

    @property
    def is_navigation(self) -> bool:
        """Whether a browser is opening a page, and sends no form."""
        return self.method in ("GET", "HEAD") and self.is_for_person


class Refusals:
    """The answers to requests that may not pass."""

    def __init__(
        self,
        *,
        cookie_name: str,
        login_url: str | None,
        origins: Sequence[str] = (),
        tells_of_two: bool = False,
        challenges: Sequence[str] = (),
        sign_in_route: str | None = None,
    ) -> None:
        """`tells_of_two`: the login page gets a parameter about two cookies of one name.

        `challenges`: more of them for a 401, before the cookie's. `sign_in_route`: the path of the
        route that knows `max_age` and `acr_values`, if there is one.
        """
        own = f'Cookie realm="sign-in", cookie-name="{cookie_name}"'
        # Clients of MCP in TypeScript read one that comes first, and no other.
        self._challenges = (*challenges, own)
        self._sign_in_route = sign_in_route
        self._login_url = login_url
        self._tells_of_two = tells_of_two
        self._login_path = _path_of_this_site(login_url, origins)
        self._is_below = login_url is not None and login_url.startswith("/")

    def is_login_page(self, asked: Asked) -> bool:
        """Whether this is the login page itself: it is open to all."""
        mount = asked.mount if self._is_below else ""
        return self._login_path is not None and asked.path == mount + self._login_path

    def answer_for(self, asked: Asked, error: AuthError, *, signed_in: bool = False) -> Answer:
        """The answer to a request stopped by `error`.

        A signed-in user is not sent to sign in again: that would go round in circles.
        """
        if isinstance(error, StepUpRequiredException):
            return self._step_up(asked, error)
        is_for_login = error.status_code == 401 and asked.is_navigation and not signed_in
        login_url = self.login_url_for(asked, two=error.reason == "duplicate_cookie")
        if is_for_login and login_url is not None:
            return _to_login(login_url)
        headers = []
        if error.status_code == 401:
            # RFC 9110 15.5.2 asks for one
            headers += [("WWW-Authenticate", each) for each in self._challenges]
        if error.status_code == 503:
            headers.append(("Retry-After", str(max(1, ceil(error.retry_after or 2)))))
        answer = problem(error.status_code, headers=headers)
        return answer._replace(body=b"") if asked.method == "HEAD" else answer

    def _step_up(self, asked: Asked, error: StepUpRequiredException) -> Answer:
        url = self.step_up_url_for(asked, error) if step_up_parameters(error) else None
        if asked.is_navigation and self._sign_in_route is not None and url is not None:
            return _to_login(url)
        more = insufficient(error)
        headers = [("WWW-Authenticate", f"{each}, {more}") for each in self._challenges]
        answer = problem(401, _STEP_UP, headers)
        return answer._replace(body=b"") if asked.method == "HEAD" else answer

    def step_up_url_for(self, asked: Asked, error: StepUpRequiredException) -> str | None:
        """The page for a new sign-in: the sign-in route, else the login page; None for neither.

        With the way back to a requested page, as in `login_url_for`.
        """
        if self._sign_in_route is not None:
            url = asked.mount + self._sign_in_route
        elif self._login_url is not None:
            url = (asked.mount if self._is_below else "") + self._login_url
        else:
            return None
        query = step_up_parameters(error)
        if self._sign_in_route is not None and not query:
            query["prompt"] = "login"  # a signed-in user is asked again
        if asked.method in ("GET", "HEAD"):
            query["next"] = local_target(asked.path, asked.query)
        joint = "&" if urlsplit(url).query else "?"
        return url + joint + urlencode(query) if query else url

    def login_url_for(self, asked: Asked, *, two: bool = False) -> str | None:
        """The login page, with the way back to a requested page; None if there is no login page.

        A form cannot be sent again, so there is no way back to it. `two`: of two cookies.
        """
        if self._login_url is None:
            return None
        url = (asked.mount if self._is_below else "") + self._login_url
        query = {}
        if asked.method in ("GET", "HEAD"):
            query["next"] = local_target(asked.path, asked.query)
        if two and self._tells_of_two:
            query |= TWO_COOKIES
        joint = "&" if urlsplit(url).query else "?"
        return url + joint + urlencode(query) if query else url


def step_up_parameters(error: StepUpRequiredException) -> dict[str, str]:
    """The parameters of a new sign-in (OpenID Connect Core 3.1.2.1).

    An app can write anything into its own error: values that fit no header, or that the sign-in
    route would ignore, are left out.
    """
    query: dict[str, str] = {}
    age = error.max_age
    if type(age) is int and 0 <= age < _MAX_AGE:
        query["max_age"] = str(age)
    values = [value for value in error.acr_values if _is_acr(value)]
    if values:
        query["acr_values"] = " ".join(values)
    return query


def _is_acr(value: object) -> bool:
    """Whether this is printable ASCII without a space, a quote and a backslash."""
    is_text = isinstance(value, str) and value.isascii() and value.isprintable()
    return is_text and bool(value) and not {*' "\\'} & {*str(value)}


def insufficient(error: StepUpRequiredException) -> str:
    """The parameters of RFC 9470's challenge."""
    members = {"error": "insufficient_user_authentication"} | step_up_parameters(error)
    return ", ".join(f'{name}="{value}"' for name, value in members.items())


# No permission, and no body: a browser does not send the request itself (Fetch, 4.8).
PREFLIGHT: Final = Answer(204, (("Cache-Control", "no-store"), ("Vary", "Cookie")), b"")


def _to_login(url: str) -> Answer:
    headers = (
        ("Location", url),
        ("Content-Type", "text/plain"),
        ("Content-Length", "0"),
        ("Cache-Control", "no-store"),
        ("Vary", _VARY),
    )
    return Answer(302, headers, b"")


def _path_of_this_site(url: str | None, origins: Sequence[str]) -> str | None:
    """The path of `url`, if it is on this very site."""
    parts = urlsplit(url or "")
    is_here = not parts.netloc or f"{parts.scheme}://{parts.netloc}".lower() in origins
    return unquote(parts.path) if is_here and parts.path else None


def _phrase(status: int) -> str:
    """HTTP's name of a status; "" if it has none."""
    from http import HTTPStatus  # 2 ms: only answers of our own have a phrase

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def problem(
    status: int,
    detail: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    *,
    vary: str = _VARY,
) -> Answer:
    """An RFC 9457 problem document. `vary`: the headers of the request that it depends on."""
    status = status if _phrase(status) else 500
    document = {
        "type": "about:blank",
        "title": _phrase(status),
        "status": status,
        "detail": detail or _DETAILS.get(status, "The request could not be authenticated."),
    }
    body = json.dumps(document).encode()
    own = (
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Vary", vary),
    )
    return Answer(status, (*own, *headers), body)


def local_target(path: str, query: str) -> str:
    """`path` and `query` as a target within this site.

    >>> local_target("/orders", "page=2")
    '/orders?page=2'
    >>> local_target("//evil.example", "")
    '/evil.example'
    """
    clean = "/" + path.replace("\\", "/").lstrip("/")
    target = quote(clean, safe="/~!$&'()*+,;=:@", errors="replace")
    if query:
        target += "?" + quote(query, safe="/~!$&'()*+,;=:@?%", errors="replace")
    return target
