"""The demo's site: a plain WSGI app, and the middleware around it.

What there is to see:
- `make_app` puts the middleware around the site. That is all the wiring there is.
- `profile` hands no request to the functions of `profile.py`, and they know the user.
- `members` checks nothing: `protect=` does, before the view is called.
- `sign_in` and `sign_out` set and clear the cookie. A site whose front end signs its users in
  (Amplify JS does) has neither.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx2
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from amplify_mw import (
    AuthUser,
    CookiePolicy,
    NotAuthorizedException,
    Tokens,
    fetch_auth_session,
    get_current_user,
)
from amplify_mw.access import local_target
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from . import pages
from .cognito import CognitoClient, SignInRefused
from .profile import ask_who_it_is, find_person, make_profile

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def make_app(pool: LocalUserPool, origin: str) -> AmplifyWSGIMiddleware:
    """The site at `origin`, inside the middleware, for the users of `pool`."""
    config = pool.config(
        cookie=CookiePolicy.for_origin(origin),
        protect=["/members/*"],
        login_url="/sign-in",
    )
    site = Site(config.cookie, CognitoClient(pool.url, pool.client_id))
    return AmplifyWSGIMiddleware(site, config)


class Site:
    """The WSGI app. `cookie`: how the session cookie is set. `cognito`: where users sign in."""

    urls = Map(
        [
            Rule("/", endpoint="home", methods=["GET"]),
            Rule("/profile", endpoint="profile", methods=["GET"]),
            Rule("/members", endpoint="members", methods=["GET"]),
            Rule("/sign-in", endpoint="sign_in_form", methods=["GET"]),
            Rule("/sign-in", endpoint="sign_in", methods=["POST"]),
            Rule("/sign-out", endpoint="sign_out", methods=["POST"]),
            Rule("/corrupt", endpoint="corrupt", methods=["POST"]),
        ],
        merge_slashes=False,  # such a path is a 404, not a redirect
    )

    def __init__(self, cookie: CookiePolicy, cognito: CognitoClient) -> None:
        self.cookie = cookie
        self.cognito = cognito

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        request = Request(environ)
        request.max_content_length = 10_000  # bytes; the largest form here is the sign-in's
        try:
            refuse_cross_site_posts(request)
            endpoint, _ = self.urls.bind("localhost").match(request.path, request.method)
            response: Response = getattr(self, endpoint)(request)
        except HTTPException as error:
            response = error_page(error)
        response.headers.update(pages.SECURITY_HEADERS)
        return response(environ, start_response)

    # Pages

    def home(self, _request: Request) -> Response:
        """The front page: it asks who is signed in, and "nobody" is a good answer."""
        try:
            user = get_current_user()
        except NotAuthorizedException as error:
            if error.reason in ("no_session", "duplicate_cookie"):
                return html(pages.welcome())
            return html(pages.cookie_refused(self.cookie))
        return html(pages.signed_in(user, session_tokens(), self.cookie))

    def profile(self, _request: Request) -> Response:
        """Raises a `NotAuthorizedException` without a user; the middleware answers that."""
        code = pages.excerpt(make_profile, find_person, ask_who_it_is)
        return html(pages.profile(make_profile(), code))

    def members(self, _request: Request) -> Response:
        """Only ever called with a user."""
        code = pages.excerpt(make_app, Site.members)
        return html(pages.members(get_current_user(), code))

    # Signing in and out

    def sign_in_form(self, request: Request) -> Response:
        """The empty form. The middleware sends visitors here, with `?next=`."""
        return html(pages.sign_in_form(user_or_none(), wants=request.args.get("next")))

    def sign_in(self, request: Request) -> Response:
        """Let Cognito check the password; its token becomes the session cookie."""
        username = request.form.get("username", "")
        try:
            token = self.cognito.sign_in(username, request.form.get("password", ""))
        except SignInRefused as refused:
            return self._sign_in_again(username, refused)
        except httpx2.HTTPError:
            return html(pages.unavailable(), HTTPStatus.SERVICE_UNAVAILABLE)
        response = redirect(next_page(request), HTTPStatus.SEE_OTHER)
        self._set_session(response, token)
        return response

    def sign_out(self, _request: Request) -> Response:
        """Clear the cookie: without it, nobody is signed in."""
        response = redirect("/", HTTPStatus.SEE_OTHER)
        response.headers.add("Set-Cookie", self.cookie.clearing)
        return response

    def corrupt(self, _request: Request) -> Response:
        """Do to the session what a forger would, to see what the next page makes of it."""
        response = redirect("/", HTTPStatus.SEE_OTHER)
        tokens = session_tokens()
        if tokens and tokens.access_token:
            self._set_session(response, with_broken_signature(tokens.access_token.encoded))
        return response

    def _set_session(self, response: Response, token: str) -> None:
        """Set the session cookie, with the attributes by which the middleware clears it."""
        response.headers.add("Set-Cookie", self.cookie.setting(token))

    def _sign_in_again(self, username: str, refused: SignInRefused) -> Response:
        page = pages.sign_in_form(user_or_none(), username=username, refusal=refused.name)
        response = html(page, HTTPStatus.UNAUTHORIZED)
        challenge = f'Cookie realm="sign-in", cookie-name="{self.cookie.name}"'
        response.headers["WWW-Authenticate"] = challenge  # RFC 9110 15.5.2 asks for one
        return response


def user_or_none() -> AuthUser | None:
    """The signed-in user, or None. That it cannot be told now is another matter, and raised."""
    try:
        return get_current_user()
    except NotAuthorizedException:
        return None


def session_tokens() -> Tokens | None:
    """The verified token that came in the cookie, or None."""
    return fetch_auth_session().tokens


def refuse_cross_site_posts(request: Request) -> None:
    """Let only this site's own pages post. The cookie is SameSite=Strict; signing in needs none."""
    origin_of_post = request.headers.get("Sec-Fetch-Site", "none")
    if request.method == "POST" and origin_of_post not in ("same-origin", "none"):
        raise Forbidden("This form was sent by another site.")


def next_page(request: Request) -> str:
    """Where to go after signing in: `next`, if it is a path of this site, else the profile."""
    try:
        wanted = urlsplit(request.args.get("next", ""))
    except ValueError:
        return "/profile"
    if wanted.scheme or wanted.netloc or not wanted.path.startswith("/"):
        return "/profile"
    return local_target(unquote(wanted.path), wanted.query)


def with_broken_signature(token: str) -> str:
    """`token` with the first character of its signature changed.

    >>> with_broken_signature("header.payload.signature")
    'header.payload.Aignature'
    """
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def html(page: str, status: int = HTTPStatus.OK) -> Response:
    """A page as a response."""
    return Response(page, status, content_type="text/html; charset=utf-8")


def error_page(error: HTTPException) -> Response:
    """The page for an error such as 404."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    response = html(pages.error(error.name, error.description or ""), status)
    for name, value in error.get_headers():
        response.headers.setdefault(name, value)
    return response
