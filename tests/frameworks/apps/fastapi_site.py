"""FastAPI: endpoints with `def` run on threads, those with `async def` on the loop."""

import asyncio
from typing import Annotated, Any

import shared
from fastapi import BackgroundTasks, Depends, FastAPI, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette_site import done

from amplify_mw import AuthUser, get_current_user
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.starlette import handle_auth_errors

app = FastAPI()
app.add_middleware(AmplifyASGIMiddleware, config=shared.config)
handle_auth_errors(app)


@app.get("/whoami")
@app.get("/private/page")
def whoami() -> JSONResponse:
    body, status = shared.profile()
    return JSONResponse(body, status)


@app.get("/async")
async def awaited() -> JSONResponse:
    body, status = await shared.awaited_profile()
    return JSONResponse(body, status)


@app.get("/escape/{rest:path}")
@app.head("/escape/{rest:path}")
def escape(rest: str) -> PlainTextResponse:
    return PlainTextResponse(shared.name())


@app.get("/awaited-escape/{rest:path}")
@app.head("/awaited-escape/{rest:path}")
async def awaited_escape(user: Annotated[AuthUser, Depends(get_current_user)]) -> Any:
    return PlainTextResponse(user.username)


@app.get("/publish")
def publish() -> PlainTextResponse:
    return PlainTextResponse(shared.publish())


@app.get("/thread")
async def thread() -> PlainTextResponse:
    return PlainTextResponse(await asyncio.to_thread(shared.name))


@app.get("/stream")
def stream() -> StreamingResponse:
    return StreamingResponse(shared.names(), media_type="text/plain")


@app.get("/static/name")
def name_or_outside() -> PlainTextResponse:
    return PlainTextResponse(shared.name_or_outside())


@app.get("/static/refuse")
def refuse() -> PlainTextResponse:
    return PlainTextResponse(shared.refuse())


@app.get("/background/{key}")
async def background(key: str, tasks: BackgroundTasks) -> PlainTextResponse:
    loop, future = asyncio.get_running_loop(), done[key]
    # a function with `def`: FastAPI runs it on a thread
    tasks.add_task(lambda: loop.call_soon_threadsafe(future.set_result, shared.name()))
    return PlainTextResponse("begun", background=tasks)


@app.get("/result/{key}")
async def result(key: str) -> PlainTextResponse:
    return PlainTextResponse(await asyncio.wait_for(done[key], 60))


@app.websocket("/socket")
async def socket(websocket: WebSocket, strict: bool = False) -> None:
    if strict:
        shared.name()
    await websocket.accept()
    async for _ in websocket.iter_text():
        body, _status = await shared.awaited_profile()
        await websocket.send_json(body)


bearer = FastAPI(routes=app.routes)
bearer.add_middleware(AmplifyASGIMiddleware, config=shared.config, bearer=True)
handle_auth_errors(bearer)
