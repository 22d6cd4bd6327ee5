"""Pages that know their visitor, if there is one.

Amplify's server API: `getServerUser` for server components, the dashboard that uses it, and the
component that says "Please sign in".
"""

from dataclasses import dataclass
from html import escape
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from amplify_mw import AmplifyConfig, AuthUser, NotAuthorizedException
from amplify_mw.aio import fetch_user_attributes, get_current_user
from amplify_mw.asgi import AmplifyASGIMiddleware


@dataclass(frozen=True)
class ServerUser:
    user: AuthUser
    attributes: dict[str, str]


async def get_server_user() -> ServerUser | None:
    try:
        return ServerUser(await get_current_user(), await fetch_user_attributes())
    except NotAuthorizedException:
        return None


Visitor = Annotated[ServerUser | None, Depends(get_server_user)]


def create_app(config: AmplifyConfig) -> FastAPI:
    app = FastAPI()
    app.add_middleware(AmplifyASGIMiddleware, config=config)

    @app.get("/", response_class=HTMLResponse)
    async def welcome(visitor: Visitor) -> str:
        if visitor is None:
            return "<div>Please sign in</div>"
        name, email = (escape(visitor.attributes.get(key, "")) for key in ("name", "email"))
        return f"<h1>Welcome, {name}</h1><p>Email: {email}</p>"

    @app.get("/dashboard")
    async def dashboard(visitor: Visitor) -> Response:
        if visitor is None:
            return RedirectResponse("/login", 303)
        name = escape(visitor.attributes.get("name", ""))
        user_id = escape(visitor.user.user_id)
        return HTMLResponse(f"<h1>Dashboard</h1><p>Welcome, {name}</p><p>User ID: {user_id}</p>")

    return app
