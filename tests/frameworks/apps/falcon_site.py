"""Falcon, under WSGI and under ASGI."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import falcon
import falcon.asgi
import shared

from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.falcon import handle_auth_errors, require
from amplify_mw.wsgi import AmplifyWSGIMiddleware


class Profile:
    def on_get(self, req: Any, resp: Any) -> None:
        resp.media, resp.status = shared.profile()


class AwaitedProfile:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.media, resp.status = await shared.awaited_profile()


class Text:
    """Answers with the text of a function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def on_get(self, req: Any, resp: Any, rest: str = "") -> None:
        resp.content_type, resp.text = "text/plain", self.function()

    on_head = on_get


class AwaitedText:
    def __init__(self, function: Any) -> None:
        self.function = function

    async def on_get(self, req: Any, resp: Any, rest: str = "") -> None:
        resp.content_type, resp.text = "text/plain", self.function()

    on_head = on_get


class Own:
    """The user where Falcon's apps look for one."""

    def on_get(self, req: Any, resp: Any) -> None:
        resp.content_type, resp.text = "text/plain", req.context.user.username


class AwaitedOwn:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.content_type, resp.text = "text/plain", req.context.user.username


@falcon.before(require(groups=["editors"]))
class Guarded:
    def on_get(self, req: Any, resp: Any) -> None:
        resp.content_type, resp.text = "text/plain", f"opened to {shared.name()}"


@falcon.before(require(groups=["editors"]))
class AwaitedGuarded:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.content_type, resp.text = "text/plain", f"opened to {shared.name()}"

    async def on_websocket(self, req: Any, ws: Any) -> None:
        await ws.accept()
        await ws.send_text(f"opened to {shared.name()}")


class Stream:
    def on_get(self, req: Any, resp: Any) -> None:
        resp.content_type, resp.stream = "text/plain", shared.names()


class AwaitedStream:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.content_type, resp.stream = "text/plain", shared.awaited_names()


class AwaitedThread:
    async def on_get(self, req: Any, resp: Any) -> None:
        run = asyncio.get_running_loop().run_in_executor
        resp.content_type, resp.text = "text/plain", await run(None, shared.carry(shared.name))


class Socket:
    """Says the user's name to all it is told; errors escape before it accepts, or after."""

    async def on_websocket(self, req: Any, ws: Any) -> None:
        if req.get_param("strict"):
            shared.name()
        await ws.accept()
        if req.get_param("late"):
            shared.publish()
        with suppress(falcon.WebSocketDisconnected):
            while await ws.receive_text():
                body, _status = await shared.awaited_profile()
                await ws.send_text(json.dumps(body))


def routed(app: Any, routes: dict[str, Any]) -> Any:
    handle_auth_errors(app)
    for path, resource in routes.items():
        app.add_route(path, resource)
    return app


wsgi_site = routed(
    falcon.App(),
    {
        "/whoami": Profile(),
        "/private/page": Profile(),
        "/escape/{rest:path}": Text(shared.name),
        "/publish": Text(shared.publish),
        "/thread": Text(shared.name_on_a_thread),
        "/static/name": Text(shared.name_or_outside),
        "/static/refuse": Text(shared.refuse),
        "/stream": Stream(),
        "/own": Own(),
        "/guarded": Guarded(),
    },
)
asgi_site = routed(
    falcon.asgi.App(),
    {
        "/whoami": AwaitedProfile(),
        "/private/page": AwaitedProfile(),
        "/async": AwaitedProfile(),
        "/escape/{rest:path}": AwaitedText(shared.name),
        "/publish": AwaitedText(shared.publish),
        "/thread": AwaitedThread(),
        "/static/name": AwaitedText(shared.name_or_outside),
        "/static/refuse": AwaitedText(shared.refuse),
        "/stream": AwaitedStream(),
        "/own": AwaitedOwn(),
        "/guarded": AwaitedGuarded(),
        "/socket": Socket(),
        "/guarded-socket": AwaitedGuarded(),
    },
)
wsgi, wsgi_bearer = (
    AmplifyWSGIMiddleware(wsgi_site, shared.config, bearer=is_api) for is_api in (False, True)
)
asgi, asgi_bearer = (
    AmplifyASGIMiddleware(asgi_site, shared.config, bearer=is_api) for is_api in (False, True)
)
