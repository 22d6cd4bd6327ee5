"""BlackSheep."""

import asyncio
import json
from contextlib import suppress

import shared
from blacksheep import Application, Request, Response, StreamedContent, WebSocket, text
from blacksheep import json as as_json
from blacksheep.server.authorization import auth
from blacksheep.server.websocket import WebSocketDisconnectError

from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.blacksheep import AmplifyAuthentication, handle_auth_errors

site = Application()
handle_auth_errors(site)
site.use_authentication().add(AmplifyAuthentication())
site.use_authorization()
get, head, ws = site.router.get, site.router.head, site.router.ws


@get("/whoami")
@get("/private/page")
@get("/async")
async def whoami() -> Response:
    body, status = await shared.awaited_profile()
    return as_json(body, status)


@get("/escape/*")
@head("/escape/*")
async def escape() -> Response:
    return text(shared.name())


@get("/publish")
def publish() -> Response:
    return text(shared.publish())


@get("/thread")
async def thread() -> Response:
    run = asyncio.get_running_loop().run_in_executor
    return text(await run(None, shared.carry(shared.name)))


@get("/stream")
async def stream() -> Response:
    return Response(200, content=StreamedContent(b"text/plain", shared.awaited_names))


@get("/static/name")
def name_or_outside() -> Response:
    return text(shared.name_or_outside())


@get("/static/refuse")
def refuse() -> Response:
    return text(shared.refuse())


@get("/own")
async def own(request: Request) -> Response:
    assert request.user is not None
    return text(f"{request.user.user.username} {request.user.roles}")


@auth(roles=["editors"])
@get("/guarded")
async def guarded(request: Request) -> Response:
    return text(f"opened to {shared.name()}")


@ws("/socket")
async def socket(websocket: WebSocket) -> None:
    """Says the user's name to all it is told; errors escape before it accepts, or after."""
    if websocket.query.get("strict"):
        shared.name()
    await websocket.accept()
    if websocket.query.get("late"):
        shared.publish()
    with suppress(WebSocketDisconnectError):
        while await websocket.receive_text():
            body, _status = await shared.awaited_profile()
            await websocket.send_text(json.dumps(body))


@auth(roles=["editors"])
@ws("/guarded-socket")
async def guarded_socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"opened to {shared.name()}")


app = AmplifyASGIMiddleware(site, shared.config)
bearer = AmplifyASGIMiddleware(site, shared.config, bearer=True)
