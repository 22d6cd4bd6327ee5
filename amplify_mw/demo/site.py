"""The demo's site: a plain WSGI app, and the middleware around it.

Points of interest:
- `make_app` puts the middleware around the site. That is all: the middleware itself serves the
  routes of signing in, below `/auth`.
- `profile` hands no request to the functions of `profile.py`, and they know the user.
- `members` checks nothing: `protect=` does, before the view is called.
- `devices` lists the user's sessions, and `end_device` ends any of them, at once.
- No view checks the origin of a form: the middleware refuses forms from other sites' pages.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from amplify_mw import (
    AuthRoutes,
    AuthUser,
    CookiePolicy,
    NotAuthorizedException,
    StoredSession,
    end_session,
    end_session_by_handle,
    fetch_auth_session,
    get_current_user,
    list_sessions,
)
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from . import pages
from .profile import ask_who_it_is, find_person, make_profile

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HOUR: Final = 3600
KEY_BYTES: Final = 32


def make_app(pool: LocalUserPool, origin: str) -> AmplifyWSGIMiddleware:
    """The site at `origin`, inside the middleware, for the users of `pool`."""
    key = os.urandom(KEY_BYTES)  # several processes need the same one
    config = pool.config(
        cookie=CookiePolicy.for_origin(origin),
        session=StoredSession(MemoryStore(), idle=HOUR),
        routes=AuthRoutes(origin=origin, keys=[key], on_error="/not-signed-in"),
        protect=["/members/*"],
    )
    return AmplifyWSGIMiddleware(Site(config.cookie, origin), config)


class Site:
    """The WSGI app. `cookie`: the session's. `origin`: the site's own."""

    urls: ClassVar[Map] = Map(
        [
            Rule("/", endpoint="home", methods=["GET"]),
            Rule("/profile", endpoint="profile", methods=["GET"]),
            Rule("/members", endpoint="members", methods=["GET"]),
            Rule("/devices", endpoint="devices", methods=["GET"]),
            Rule("/devices/end", endpoint="end_device", methods=["POST"]),
            Rule("/not-signed-in", endpoint="not_signed_in", methods=["GET"]),
            Rule("/sign-out-everywhere", endpoint="sign_out_everywhere", methods=["POST"]),
            Rule("/refresh", endpoint="refresh", methods=["POST"]),
            Rule("/corrupt", endpoint="corrupt", methods=["POST"]),
        ],
        merge_slashes=False,  # such a path is a 404, not a redirect
    )

    def __init__(self, cookie: CookiePolicy, origin: str) -> None:
        self.cookie = cookie
        self.origin = origin

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        request = Request(environ)
        request.max_content_length = 10_000  # bytes; the largest form here has one handle
        try:
            endpoint, _ = self.urls.bind("localhost").match(request.path, request.method)
            response: Response = getattr(self, endpoint)(request)
        except HTTPException as error:
            response = error_page(error)
        response.headers.update(pages.SECURITY_HEADERS)
        return response(environ, start_response)

    # Pages

    def home(self, _request: Request) -> Response:
        """The front page: it asks for the user, and "nobody" is a good answer."""
        try:
            user = get_current_user()
        except NotAuthorizedException as error:
            if error.reason in ("no_session", "duplicate_cookie"):
                return html(pages.welcome())
            is_ended = error.reason == "session_revoked"
            return html(pages.cookie_refused(self.cookie, is_ended=is_ended))
        tokens = fetch_auth_session().tokens
        return html(pages.signed_in(user, tokens, list_sessions(), self.cookie.name, time.time()))

    def profile(self, _request: Request) -> Response:
        """Without a user this raises, and the middleware turns the exception into a response."""
        code = pages.excerpt(make_profile, find_person, ask_who_it_is)
        return html(pages.profile(make_profile(), code))

    def members(self, _request: Request) -> Response:
        """Only ever called with a user."""
        code = pages.excerpt(make_app, Site.members)
        return html(pages.members(get_current_user(), code))

    # Signing in and out: the part left to the site

    def not_signed_in(self, request: Request) -> Response:
        """The page after a failed sign-in, with a code for the reason."""
        code = request.args.get("error", "")
        return html(pages.not_signed_in(user_or_none(), code, self.origin))

    def sign_out_everywhere(self, _request: Request) -> Response:
        """Sign out on every device; then, by the route, of the user pool."""
        end_session(everywhere=True)
        return redirect("/auth/sign-out", HTTPStatus.TEMPORARY_REDIRECT)  # it stays a POST

    # Devices

    def devices(self, _request: Request) -> Response:
        """The user's sessions."""
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
        """Set the cookie to a guessed id, as a forger would, to see the next page's reaction."""
        response = see_other("/")
        if user_or_none():
            guess = with_another_start(request.cookies[self.cookie.name])
            response.headers.add("Set-Cookie", self.cookie.setting(guess))
        return response


def user_or_none() -> AuthUser | None:
    """The signed-in user, or None. Raises if it cannot be told now."""
    try:
        return get_current_user()
    except NotAuthorizedException:
        return None


def with_another_start(value: str) -> str:
    """`value` with its first character changed.

    >>> with_another_start("value")
    'Aalue'
    """
    return ("B" if value[0] == "A" else "A") + value[1:]


def see_other(path: str) -> Response:
    """The answer to a form: a redirect to the next page."""
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
