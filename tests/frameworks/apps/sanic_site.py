"""Sanic."""

import asyncio
import json
from typing import Any

import shared
from sanic import HTTPResponse, Request, Sanic, text
from sanic import json as as_json

from amplify_mw import require_auth
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.integrations.sanic import handle_auth_errors

site = Sanic("site")
handle_auth_errors(site)


@site.get("/whoami", name="whoami")
@site.get("/private/page", name="page")
@site.get("/async", name="async")
async def whoami(request: Request) -> HTTPResponse:
    body, status = await shared.awaited_profile()
    return as_json(body, status)


@site.route("/escape/<rest:path>", methods=["GET", "HEAD"])
async def escape(request: Request, rest: str) -> HTTPResponse:
    return text(shared.name())


@site.get("/publish")
def publish(request: Request) -> HTTPResponse:
    return text(shared.publish())


@site.get("/thread")
async def thread(request: Request) -> HTTPResponse:
    run = asyncio.get_running_loop().run_in_executor
    return text(await run(None, shared.carry(shared.name)))


@site.get("/stream")
async def stream(request: Request) -> None:
    response = await request.respond(content_type="text/plain")
    async for chunk in shared.awaited_names():
        await response.send(chunk)
    await response.eof()


@site.get("/static/name")
def name_or_outside(request: Request) -> HTTPResponse:
    return text(shared.name_or_outside())


@site.get("/static/refuse")
def refuse(request: Request) -> HTTPResponse:
    return text(shared.refuse())


@site.get("/own")
async def own(request: Request) -> HTTPResponse:
    return text(request.ctx.user.username)


@site.get("/guarded")
@require_auth(groups=["editors"])
async def guarded(request: Request) -> HTTPResponse:
    return text(f"opened to {shared.name()}")


@site.on_request
async def strict(request: Request) -> None:
    """An error before a socket is accepted."""
    if request.path == "/socket" and request.args.get("strict"):
        shared.name()


@site.websocket("/socket")
async def socket(request: Request, websocket: Any) -> None:
    """Says the user's name to all it is told."""
    if request.args.get("late"):
        shared.publish()
    while await websocket.recv():
        body, _status = await shared.awaited_profile()
        await websocket.send(json.dumps(body))


app = AmplifyASGIMiddleware(site, shared.config)
bearer = AmplifyASGIMiddleware(site, shared.config, bearer=True)
