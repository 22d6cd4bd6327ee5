"""The demo's site in Flask. To begin a site of your own, copy `create_app` and the views you want.

- `create_app` puts the middleware around the app. The middleware serves `/auth/sign-in` and
  `/auth/sign-out` by itself.
- `members` has no check of its own: `protect=` checks its path. `admins` asks for a group.
- `profile` passes no user and no request to the functions in `profile.py`.
- No view checks the origin of a form: the middleware refuses forms of other sites.

`pages.py` has the HTML. `app_fastapi.py` is the same site in FastAPI.
"""

import os
import time
from contextlib import suppress
from typing import Any

from flask import Blueprint, Flask, Response, current_app, redirect, request
from werkzeug.exceptions import HTTPException

from amplify_mw import (
    AuthRoutes,
    CookiePolicy,
    ForbiddenException,
    NotAuthorizedException,
    StoredSession,
    end_session,
    end_session_by_handle,
    fetch_auth_session,
    get_current_user,
    list_sessions,
    require_auth,
)
from amplify_mw.integrations.flask import handle_auth_errors
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from . import pages
from .profile import ask_who_it_is, find_person, make_profile

site: Blueprint = Blueprint("site", __name__)


def create_app(pool: LocalUserPool, origin: str) -> Flask:
    """The site at `origin`, for the users of `pool`."""
    # With a user pool at Amazon: config = AmplifyConfig.from_outputs("amplify_outputs.json", ...)
    config = pool.config(
        protect=["/members/*"],
        cookie=CookiePolicy.for_origin(origin),
        session=StoredSession(MemoryStore(), idle=3600),
        routes=AuthRoutes(
            origin=origin,
            keys=[os.urandom(32)],  # several processes need the same key: amplify-mw keygen
            after_sign_out="/?notice=signed-out",
            on_error="/not-signed-in",
        ),
    )
    app = Flask(__name__)
    app.config["AMPLIFY"] = config
    app.register_blueprint(site)
    handle_auth_errors(app)
    app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)
    return app


# Pages


@site.get("/")
def home() -> str:
    """The front page, for everybody."""
    cookie: CookiePolicy = current_app.config["AMPLIFY"].cookie
    notice = request.args.get("notice")
    try:
        user = get_current_user()
    except NotAuthorizedException as error:
        return pages.signed_out(error.reason, cookie, notice)
    tokens = fetch_auth_session(required=True).tokens
    return pages.signed_in(user, tokens, list_sessions(), cookie, time.time(), notice)


@site.get("/profile")
def profile() -> str:
    """Without a user this raises, and the visitor is sent to sign in."""
    return pages.profile(make_profile(), code=[make_profile, find_person, ask_who_it_is])


@site.get("/members")
def members() -> str:
    """For everybody who is signed in."""
    return pages.members(get_current_user(), code=[create_app, members])


@site.get("/admins")
@require_auth(groups=["admins"])
def admins() -> str:
    """For one group. Everybody else gets a 403."""
    return pages.admins(get_current_user(), code=[admins, forbidden])


@site.app_errorhandler(ForbiddenException)
def forbidden(_error: ForbiddenException) -> tuple[str, int]:
    """The page in place of the one for admins."""
    return pages.forbidden(get_current_user(), code=[admins, forbidden]), 403


# Devices


@site.get("/devices")
def devices() -> str:
    """The user's sessions."""
    return pages.devices(
        get_current_user(),
        list_sessions(),
        time.time(),
        request.args.get("notice"),
        code=[devices, end_device, sign_out_everywhere],
    )


@site.post("/devices/<handle>/end")
def end_device(handle: str) -> Any:
    """Sign out one device. The handle of another user's session ends nothing."""
    with suppress(NotAuthorizedException):  # signed out in the meantime
        end_session_by_handle(handle)
    return redirect("/devices?notice=device-ended", 303)


@site.post("/sign-out-everywhere")
def sign_out_everywhere() -> Any:
    """Sign out on every device, then at the user pool. 307: the POST stays one."""
    end_session(everywhere=True)
    return redirect("/auth/sign-out", 307)


# To play with: by itself the middleware gets new tokens in time, and no site breaks its cookie


@site.post("/refresh")
def refresh() -> Any:
    """Get new tokens now."""
    with suppress(NotAuthorizedException):
        fetch_auth_session(force_refresh=True)
    return redirect("/?notice=new-tokens", 303)


@site.post("/corrupt")
def corrupt() -> Any:
    """Change one character of the cookie, as a forger would guess."""
    cookie: CookiePolicy = current_app.config["AMPLIFY"].cookie
    response = redirect("/", 303)
    with suppress(NotAuthorizedException):
        get_current_user()
        guess = pages.with_another_start(request.cookies[cookie.name])
        response.headers.add("Set-Cookie", cookie.setting(guess))
    return response


# Errors, and every page's headers


@site.get("/not-signed-in")
def not_signed_in() -> str:
    """The page after a failed sign-in. `error` in the query is a code for the reason."""
    return pages.not_signed_in(request.args.get("error", ""))


@site.app_errorhandler(HTTPException)
def error_page(error: HTTPException) -> Any:
    """The page for a 404 and the like."""
    response = error.get_response()
    response.set_data(pages.error(error.name))
    return response


@site.after_app_request
def secure(response: Response) -> Response:
    """Pages have no scripts, and are in no frame and in no cache."""
    response.headers.update(pages.SECURITY_HEADERS)
    return response
