"""What the apps have in common: the configuration, and code that has no request in hand."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from amplify_mw import (
    AmplifyConfig,
    AuthError,
    CookiePolicy,
    NotAuthorizedException,
    OutsideRequestError,
    aio,
    carry,
    fetch_user_attributes,
    get_current_user,
    require_auth,
)

config = AmplifyConfig.from_env(
    cookie=CookiePolicy(same_site="Lax", domain="app.example.com"),
    protect=["/private/*"],
    ignore=["/static/*"],
    login_url="/login",
    origins=["https://app.example.com"],
    http_timeout=60,
)
executor = ThreadPoolExecutor(2)


def profile() -> tuple[dict[str, Any], int]:
    """What a page says of its user, and its status: errors are the app's own affair."""
    try:
        return _one_call_down(), 200
    except AuthError as error:
        return {"error": error.name}, error.status_code


def _one_call_down() -> dict[str, Any]:
    return _two_calls_down()


def _two_calls_down() -> dict[str, Any]:
    user = get_current_user().to_dict()
    return {**user, "attributes": fetch_user_attributes(), "pid": os.getpid()}


async def awaited_profile() -> tuple[dict[str, Any], int]:
    try:
        user = await aio.get_current_user()
        return {**user.to_dict(), "attributes": await aio.fetch_user_attributes()}, 200
    except AuthError as error:
        return {"error": error.name}, error.status_code


def name() -> str:
    return get_current_user().username


def name_on_a_thread() -> str:
    return executor.submit(carry(name)).result()


def name_or_outside() -> str:
    """On an ignored path no user is bound, whoever was served before on this thread."""
    try:
        return name()
    except OutsideRequestError:
        return "outside"


def names() -> Any:
    for _ in range(3):
        yield f"{name()}\n".encode()


async def awaited_names() -> Any:
    for _ in range(3):
        yield f"{name()}\n".encode()


@require_auth(groups=["editors"])
def publish() -> str:
    return f"published by {name()}"


def refuse() -> str:
    """An `AuthError` where no middleware is around: on an ignored path."""
    raise NotAuthorizedException(reason="no_session")
