"""The demo's site: a plain WSGI app, and the middleware around it.

What there is to see:
- `make_app` puts the middleware around the site. That is all the wiring there is.
- `profile` hands no request to the functions of `profile.py`, and they know the user.
- `members` checks nothing: `protect=` does, before the view is called.
- `sign_in` starts a session with the tokens that Cognito gave, and `sign_out` ends it. The cookie
  is the library's business.
- `devices` lists the user's sessions, and `end_device` ends any of them, at once.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
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
    StoredSession,
    end_session,
    end_session_by_handle,
    fetch_auth_session,
    get_current_user,
    list_sessions,
    start_session,
)
from amplify_mw.access import local_target
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from . import pages
from .cognito import CognitoClient, SignInRefused
from .device import in_words
from .profile import ask_who_it_is, find_person, make_profile

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HOUR: Final = 3600


def make_app(pool: LocalUserPool, origin: str) -> AmplifyWSGIMiddleware:
    """The site at `origin`, inside the middleware, for the users of `pool`."""
    config = pool.config(
        cookie=CookiePolicy.for_origin(origin),
        session=StoredSession(MemoryStore(), idle=HOUR),
        protect=["/members/*"],
        login_url="/sign-in",
    )
    site = Site(config.cookie, CognitoClient(pool.url, pool.client_id))
    return AmplifyWSGIMiddleware(site, config)


class Site:
    """The WSGI app. `cookie`: the session's. `cognito`: where users sign in."""

    urls = Map(
        [
            Rule("/", endpoint="home", methods=["GET"]),
            Rule("/profile", endpoint="profile", methods=["GET"]),
            Rule("/members", endpoint="members", methods=["GET"]),
            Rule("/devices", endpoint="devices", methods=["GET"]),
            Rule("/devices/end", endpoint="end_device", methods=["POST"]),
            Rule("/sign-in", endpoint="sign_in_form", methods=["GET"]),
            Rule("/sign-in", endpoint="sign_in", methods=["POST"]),
            Rule("/sign-out", endpoint="sign_out", methods=["POST"]),
            Rule("/sign-out-everywhere", endpoint="sign_out_everywhere", methods=["POST"]),
            Rule("/refresh", endpoint="refresh", methods=["POST"]),
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
        tokens = fetch_auth_session().tokens
        return html(pages.signed_in(user, tokens, list_sessions(), self.cookie.name, time.time()))

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
        """Let Cognito check the password, and start a session with the tokens it gives."""
        username = request.form.get("username", "")
        try:
            tokens = self.cognito.sign_in(username, request.form.get("password", ""))
        except SignInRefused as refused:
            return self._sign_in_again(username, refused)
        except httpx2.HTTPError:
            return html(pages.unavailable(), HTTPStatus.SERVICE_UNAVAILABLE)
        start_session(tokens, user_agent=in_words(request.user_agent.string))
        return see_other(next_page(request))

    def sign_out(self, _request: Request) -> Response:
        """Sign out here. A request that another site's page made is refused."""
        end_session()
        return see_other("/")

    def sign_out_everywhere(self, _request: Request) -> Response:
        """Sign out here and on every other device."""
        end_session(everywhere=True)
        return see_other("/")

    def _sign_in_again(self, username: str, refused: SignInRefused) -> Response:
        page = pages.sign_in_form(user_or_none(), username=username, refusal=refused.name)
        response = html(page, HTTPStatus.UNAUTHORIZED)
        challenge = f'Cookie realm="sign-in", cookie-name="{self.cookie.name}"'
        response.headers["WWW-Authenticate"] = challenge  # RFC 9110 15.5.2 asks for one
        return response

    # Devices

    def devices(self, _request: Request) -> Response:
        """Where the user is signed in."""
        sessions = list_sessions()
        code = pages.excerpt(Site.devices, Site.end_device, Site.sign_out_everywhere)
        return html(pages.devices(get_current_user(), sessions, time.time(), code))

    def end_device(self, request: Request) -> Response:
        """Sign out one device. A handle of another user's ends nothing."""
        with suppress(NotAuthorizedException):  # signed out meanwhile
            end_session_by_handle(request.form.get("handle", ""))
        return see_other("/devices")

    # For you to play with: the middleware refreshes tokens by itself, and no site breaks its cookie

    def refresh(self, _request: Request) -> Response:
        """Have new tokens now, and not in the last minute of the old ones."""
        with suppress(NotAuthorizedException):
            fetch_auth_session(force_refresh=True)
        return see_other("/")

    def corrupt(self, request: Request) -> Response:
        """Set the cookie to a guessed id, as a forger would, to see what the next page does."""
        refuse_other_sites(request)
        response = see_other("/")
        if user_or_none():
            guess = with_another_start(request.cookies[self.cookie.name])
            response.headers.add("Set-Cookie", self.cookie.setting(guess))
        return response


def user_or_none() -> AuthUser | None:
    """The signed-in user, or None. That it cannot be told now is another matter, and raised."""
    try:
        return get_current_user()
    except NotAuthorizedException:
        return None


def refuse_other_sites(request: Request) -> None:
    """Let only this site's own pages post. What starts or ends a session sees to it by itself.

    The cookie is SameSite=Strict, but to a browser another port of this host is the same site.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
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


def with_another_start(value: str) -> str:
    """`value` with its first character changed.

    >>> with_another_start("value")
    'Aalue'
    """
    return ("B" if value[0] == "A" else "A") + value[1:]


def see_other(path: str) -> Response:
    """The answer to a form: what to look at next."""
    return redirect(path, HTTPStatus.SEE_OTHER)


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
