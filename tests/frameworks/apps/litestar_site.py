"""Litestar, with the plugin."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import Any

import shared
from litestar import Litestar, Request, Response, WebSocket, get, route, websocket
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.response import Stream

from amplify_mw import AuthUser
from amplify_mw.integrations.litestar import AmplifyPlugin, require

TEXT = "text/plain"
done: dict[str, "asyncio.Future[str]"] = defaultdict(
    lambda: asyncio.get_running_loop().create_future()
)


@get("/whoami", sync_to_thread=True)
def whoami() -> Response[dict[str, Any]]:
    body, status = shared.profile()
    return Response(body, status_code=status)


@get(["/async", "/private/page"])
async def awaited() -> Response[dict[str, Any]]:
    body, status = await shared.awaited_profile()
    return Response(body, status_code=status)


@route("/escape/{rest:path}", http_method=["GET", "HEAD"], media_type=TEXT)
async def escape() -> str:
    return shared.name()


@get("/publish", media_type=TEXT, sync_to_thread=True)
def publish() -> str:
    return shared.publish()


@get("/thread", media_type=TEXT)
async def thread() -> str:
    run = asyncio.get_running_loop().run_in_executor
    return await run(None, shared.carry(shared.name))


@get("/stream", media_type=TEXT)
async def stream() -> Stream:
    return Stream(shared.awaited_names())


@get("/static/name", media_type=TEXT, sync_to_thread=False)
def name_or_outside() -> str:
    return shared.name_or_outside()


@get("/static/refuse", media_type=TEXT, sync_to_thread=False)
def refuse() -> str:
    return shared.refuse()


@get("/own", media_type=TEXT)
async def own(request: Request[Any, Any, Any], current_user: NamedDependency[AuthUser]) -> str:
    return f"{request.user.username} {current_user.username}"


@get("/guarded", media_type=TEXT, guards=[require(groups=["editors"])])
async def guarded() -> str:
    return f"opened to {shared.name()}"


@get("/background/{key:str}", media_type=TEXT)
async def background(key: str) -> Response[str]:
    async def work() -> None:
        done[key].set_result(shared.name())

    return Response("begun", background=BackgroundTask(work))


@get("/result/{key:str}", media_type=TEXT)
async def result(key: str) -> str:
    return await asyncio.wait_for(done[key], 60)


@websocket("/socket")
async def socket(socket: WebSocket[Any, Any, Any]) -> None:
    """Says the user's name to all it is told; errors escape before it accepts, or after."""
    if socket.query_params.get("strict"):
        shared.name()
    await socket.accept()
    if socket.query_params.get("late"):
        shared.publish()
    with suppress(WebSocketDisconnect):
        while await socket.receive_text():
            body, _status = await shared.awaited_profile()
            await socket.send_json(body)


@websocket("/guarded-socket", guards=[require(groups=["editors"])])
async def guarded_socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_text(f"opened to {shared.name()}")


HANDLERS = [
    *(whoami, awaited, escape, publish, thread, stream, name_or_outside, refuse, own, guarded),
    *(background, result, socket, guarded_socket),
]
app, bearer = (
    Litestar(HANDLERS, plugins=[AmplifyPlugin(shared.config, bearer=is_api)], openapi_config=None)
    for is_api in (False, True)
)
