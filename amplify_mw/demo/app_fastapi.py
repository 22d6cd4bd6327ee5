"""The demo's site in FastAPI. To begin a site of your own, copy `create_app` and what you want.

- `create_app` adds the middleware last, so that it is outermost. The middleware serves
  `/auth/sign-in` and `/auth/sign-out` by itself.
- `members` has no check of its own: `protect=` checks its path. `admins` asks for a group.
- `profile` is a plain function: FastAPI calls it on a thread, and the user is known there too.
- No endpoint checks the origin of a form: the middleware refuses forms of other sites.

`pages.py` has the HTML. `app_flask.py` is the same site in Flask.
"""

import os
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException

from amplify_mw import (
    AuthRoutes,
    AuthUser,
    CookiePolicy,
    ForbiddenException,
    NotAuthorizedException,
    StoredSession,
)
from amplify_mw.aio import (
    end_session,
    end_session_by_handle,
    fetch_auth_session,
    get_current_user,
    list_sessions,
    require_auth,
)
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool

from . import pages
from .profile import ask_who_it_is, find_person, make_profile


class Page(HTMLResponse):
    """A page without scripts, in no frame, and in no cache."""

    def __init__(self, content: str, status_code: int = 200, **options: Any) -> None:
        super().__init__(content, status_code, **options)
        self.headers.update(pages.SECURITY_HEADERS)


router: APIRouter = APIRouter(default_response_class=Page)
User = Annotated[AuthUser, Depends(get_current_user)]


def create_app(pool: LocalUserPool, origin: str) -> FastAPI:
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
    app = FastAPI(openapi_url=None)
    app.state.cookie = config.cookie
    app.include_router(router)
    app.add_exception_handler(ForbiddenException, forbidden)
    app.add_exception_handler(HTTPException, error_page)
    app.add_middleware(AmplifyASGIMiddleware, config=config)  # last: it is outermost
    return app


# Pages


@router.get("/")
async def home(request: Request, notice: str = "") -> str:
    """The front page, for everybody."""
    cookie: CookiePolicy = request.app.state.cookie
    try:
        user = await get_current_user()
    except NotAuthorizedException as error:
        return pages.signed_out(error.reason, cookie, notice)
    tokens = (await fetch_auth_session(required=True)).tokens
    return pages.signed_in(user, tokens, await list_sessions(), cookie, time.time(), notice)


@router.get("/profile")
def profile() -> str:
    """Without a user this raises, and the visitor is sent to sign in."""
    return pages.profile(make_profile(), code=[make_profile, find_person, ask_who_it_is])


@router.get("/members")
async def members(user: User) -> str:
    """For everybody who is signed in."""
    return pages.members(user, code=[create_app, members])


@router.get("/admins")
@require_auth(groups=["admins"])
async def admins(user: User) -> str:
    """For one group. Everybody else gets a 403."""
    return pages.admins(user, code=[admins, forbidden])


async def forbidden(_request: Request, _error: Exception) -> Page:
    """The page in place of the one for admins."""
    user = await get_current_user()
    return Page(pages.forbidden(user, code=[admins, forbidden]), 403)


# Devices


@router.get("/devices")
async def devices(user: User, notice: str = "") -> str:
    """The user's sessions."""
    return pages.devices(
        user,
        await list_sessions(),
        time.time(),
        notice,
        code=[devices, end_device, sign_out_everywhere],
    )


@router.post("/devices/{handle}/end")
async def end_device(handle: str) -> RedirectResponse:
    """Sign out one device. The handle of another user's session ends nothing."""
    with suppress(NotAuthorizedException):  # signed out in the meantime
        await end_session_by_handle(handle)
    return RedirectResponse("/devices?notice=device-ended", 303)


@router.post("/sign-out-everywhere")
async def sign_out_everywhere() -> RedirectResponse:
    """Sign out on every device, then at the user pool. 307: the POST stays one."""
    await end_session(everywhere=True)
    return RedirectResponse("/auth/sign-out", 307)


# To play with: by itself the middleware gets new tokens in time, and no site breaks its cookie


@router.post("/refresh")
async def refresh() -> RedirectResponse:
    """Get new tokens now."""
    with suppress(NotAuthorizedException):
        await fetch_auth_session(force_refresh=True)
    return RedirectResponse("/?notice=new-tokens", 303)


@router.post("/corrupt")
async def corrupt(request: Request) -> RedirectResponse:
    """Change one character of the cookie, as a forger would guess."""
    cookie: CookiePolicy = request.app.state.cookie
    response = RedirectResponse("/", 303)
    with suppress(NotAuthorizedException):
        await get_current_user()
        guess = pages.with_another_start(request.cookies[cookie.name])
        response.headers.append("Set-Cookie", cookie.setting(guess))
    return response


# Errors


@router.get("/not-signed-in")
async def not_signed_in(error: str = "") -> str:
    """The page after a failed sign-in. `error` is a code for the reason."""
    return pages.not_signed_in(error)


async def error_page(_request: Request, error: Exception) -> Page:
    """The page for a 404 and the like."""
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    page = pages.error(HTTPStatus(error.status_code).phrase)
    return Page(page, error.status_code, headers=error.headers)
