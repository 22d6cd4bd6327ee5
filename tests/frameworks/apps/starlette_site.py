"""Starlette: by itself, mounted, and with Flask inside it through two adapters."""

import asyncio
from collections import defaultdict
from typing import Any

import flask_site
import shared
from a2wsgi import WSGIMiddleware
from asgiref.wsgi import WsgiToAsgi
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute

from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.starlette import handle_auth_errors

done: dict[str, "asyncio.Future[str]"] = defaultdict(
    lambda: asyncio.get_running_loop().create_future()
)


def whoami(request: Any) -> JSONResponse:
    """A synchronous endpoint, which Starlette runs on a thread."""
    body, status = shared.profile()
    return JSONResponse(body, status)


async def awaited(request: Any) -> JSONResponse:
    body, status = await shared.awaited_profile()
    return JSONResponse(body, status)


async def escape(request: Any) -> PlainTextResponse:
    return PlainTextResponse(shared.name())


def escape_on_a_thread(request: Any) -> PlainTextResponse:
    return PlainTextResponse(shared.name())


def publish(request: Any) -> PlainTextResponse:
    return PlainTextResponse(shared.publish())


async def thread(request: Any) -> PlainTextResponse:
    loop = asyncio.get_running_loop()
    return PlainTextResponse(await loop.run_in_executor(None, shared.carry(shared.name)))


async def stream(request: Any) -> StreamingResponse:
    return StreamingResponse(shared.awaited_names(), media_type="text/plain")


async def name_or_outside(request: Any) -> PlainTextResponse:
    return PlainTextResponse(await run_in_threadpool(shared.name_or_outside))


async def refuse(request: Any) -> PlainTextResponse:
    return PlainTextResponse(shared.refuse())


async def upload(request: Any) -> PlainTextResponse:
    return PlainTextResponse(f"{shared.name()} sent {len(await request.body())}")


async def background(request: Any) -> PlainTextResponse:
    key = request.path_params["key"]

    async def work() -> None:
        done[key].set_result(await run_in_threadpool(shared.name))

    return PlainTextResponse("begun", background=BackgroundTask(work))


async def result(request: Any) -> PlainTextResponse:
    return PlainTextResponse(await asyncio.wait_for(done[request.path_params["key"]], 60))


async def socket(websocket: Any) -> None:
    """Says the user's name to whatever it is told; errors escape before it accepts."""
    if websocket.query_params.get("strict"):
        shared.name()
    await websocket.accept()
    async for _ in websocket.iter_text():
        body, _status = await shared.awaited_profile()
        await websocket.send_json(body)


routes = [
    Route("/whoami", whoami),
    Route("/private/page", whoami),
    Route("/async", awaited),
    Route("/escape/{rest:path}", escape),
    Route("/awaited-escape/{rest:path}", escape_on_a_thread),
    Route("/publish", publish),
    Route("/thread", thread),
    Route("/stream", stream),
    Route("/upload", upload, methods=["POST"]),
    Route("/static/name", name_or_outside),
    Route("/static/refuse", refuse),
    Route("/background/{key}", background),
    Route("/result/{key}", result),
    WebSocketRoute("/socket", socket),
]

bare = Starlette(routes=routes)

added = Starlette(routes=routes)
added.add_middleware(AmplifyASGIMiddleware, config=shared.config)
handle_auth_errors(added)

wrapped = Starlette(routes=routes)
handle_auth_errors(wrapped)
app = AmplifyASGIMiddleware(wrapped, shared.config)
bearer = AmplifyASGIMiddleware(wrapped, shared.config, bearer=True)

mounts = Starlette(
    routes=[
        Mount("/starlette", app),
        # the middleware is Flask's own, inside the adapter
        Mount("/flask-in-asgiref", WsgiToAsgi(flask_site.app)),
        Mount("/flask-in-a2wsgi", WSGIMiddleware(flask_site.app)),
        # the middleware is around the adapter, and Flask has none
        Mount(
            "/asgiref-around",
            WsgiToAsgi(flask_site.bare),
            middleware=[Middleware(AmplifyASGIMiddleware, config=shared.config)],
        ),
        Mount(
            "/a2wsgi-around",
            WSGIMiddleware(flask_site.bare),
            middleware=[Middleware(AmplifyASGIMiddleware, config=shared.config)],
        ),
    ]
)
