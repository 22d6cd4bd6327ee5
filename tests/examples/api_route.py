"""An API route that answers with the user's attributes.

Amplify's server API: `fetchUserAttributes` in a Next.js API route.
"""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from amplify_mw import AmplifyConfig, NotAuthorizedException
from amplify_mw.aio import fetch_user_attributes
from amplify_mw.asgi import AmplifyASGIMiddleware


async def profile(request: Request) -> JSONResponse:
    try:
        attributes = await fetch_user_attributes()
    except NotAuthorizedException:
        return JSONResponse({"error": "User not authenticated"}, 401)
    return JSONResponse(
        {
            "profile": {
                "email": attributes.get("email"),
                "name": attributes.get("name"),
                "phoneNumber": attributes.get("phone_number"),
            }
        }
    )


def create_app(config: AmplifyConfig) -> Starlette:
    return Starlette(
        routes=[Route("/api/profile", profile)],
        middleware=[Middleware(AmplifyASGIMiddleware, config=config)],
    )
