"""A Starlette site, whose sessions the environment describes."""

import json
import os

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from amplify_mw.aio import end_session, get_current_user, list_sessions, start_session
from amplify_mw.asgi import AmplifyASGIMiddleware
from tests.processes.sites import Spec

spec = Spec(**json.loads(os.environ["SITE"]))


async def sign_in(request: Request) -> Response:
    tokens, agent = await request.json(), request.headers["User-Agent"]
    return PlainTextResponse((await start_session(tokens, user_agent=agent)).username)


async def home(request: Request) -> Response:
    return JSONResponse({"user": (await get_current_user()).username, "pid": os.getpid()})


async def devices(request: Request) -> Response:
    return JSONResponse([session.user_agent for session in await list_sessions()])


async def sign_out(request: Request) -> Response:
    await end_session()
    return PlainTextResponse("bye")


app = Starlette(
    routes=[
        Route("/in", sign_in, methods=["POST"]),
        Route("/", home),
        Route("/devices", devices),
        Route("/out", sign_out, methods=["POST"]),
    ],
    middleware=[
        Middleware(AmplifyASGIMiddleware, config=spec.config(spec.open()), protect=["/devices"])
    ],
)
