"""Session validation in front of a part of the site, in one line.

Amplify's server API: `validateSession`. The middleware does what is written out there: no cookie
is a 401, an invalid one is a 401 that clears it, and only a valid one reaches the route.
"""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from amplify_mw import AmplifyConfig, get_current_user
from amplify_mw.asgi import AmplifyASGIMiddleware


async def account(request: Request) -> JSONResponse:
    return JSONResponse({"user": get_current_user().to_dict()})


def create_app(config: AmplifyConfig) -> Starlette:
    return Starlette(
        routes=[Route("/account", account)],
        middleware=[Middleware(AmplifyASGIMiddleware, config=config, protect=["/account/*"])],
    )
