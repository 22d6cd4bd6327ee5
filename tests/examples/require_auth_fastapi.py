"""A guard in front of single routes, and a route that tells who is there, in async code.

Amplify's server API: the Express.js integration, `requireAuth` with `/api/profile` and `/api/user`.
"""

from typing import Any

from fastapi import FastAPI

from amplify_mw import AmplifyConfig, NotAuthorizedException
from amplify_mw.aio import fetch_user_attributes, get_current_user, require_auth
from amplify_mw.asgi import AmplifyASGIMiddleware


def create_app(config: AmplifyConfig) -> FastAPI:
    app = FastAPI()
    # What a guard raises becomes 401, 403 or 503 here, on its way out.
    app.add_middleware(AmplifyASGIMiddleware, config=config)

    @app.get("/api/profile")
    @require_auth
    async def profile() -> dict[str, Any]:
        user = await get_current_user()
        return {"user": user.to_dict(), "profile": await fetch_user_attributes()}

    @app.get("/api/user")
    async def user() -> dict[str, Any]:
        try:
            user, attributes = await get_current_user(), await fetch_user_attributes()
        except NotAuthorizedException:
            return {"authenticated": False, "user": None}
        shown = {key: attributes.get(key) for key in ("email", "name")}
        return {"authenticated": True, "user": user.to_dict() | shown}

    return app
