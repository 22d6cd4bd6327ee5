"""The app that all libraries serve, in each framework: one route, which asks and answers `ok`.

And that app bare, and with our middleware around it.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .. import requests
from . import Peer, ours
from .users import Users

BARE = "no framework"


def wsgi(users: Users, ask) -> Any:
    def app(environ, start_response):
        users.witness(ask())
        return requests.wsgi_app(environ, start_response)

    return app


def asgi(users: Users, ask) -> Any:
    """`ask` gets the scope."""

    async def app(scope, receive, send):
        users.witness(ask(scope))
        await requests.asgi_app(scope, receive, send)

    return app


def flask(users: Users, ask) -> Any:
    from flask import Flask

    app = Flask("benchmark")

    @app.get("/account/orders")
    def orders():
        users.witness(ask())
        return "ok"

    return app


def starlette(users: Users, ask, *middleware) -> Any:
    """`ask` gets the request. `middleware`: `Middleware` objects, the outermost first."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def orders(request):
        users.witness(ask(request))
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/account/orders", orders)], middleware=middleware)


def fastapi(orders) -> Any:
    """`orders`: the route, which tells the witness itself."""
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI()
    app.get("/account/orders", response_class=PlainTextResponse)(orders)
    return app


def plain_fastapi(users: Users, ask) -> Any:
    async def orders():
        users.witness(ask())
        return "ok"

    return fastapi(orders)


def _nobody(*_: object) -> None:
    return None


def _bare(name: str, app: Any, users: Users) -> Peer:
    """An app in which nobody is known, asked by the first user."""
    headers = {"cookie": requests.cookie_header(users.sets[0]["id_token"])}
    return Peer(name, "", app, [headers], None, [], ({}, None))


def none(users: Users, *, is_wsgi: bool) -> Iterator[Peer]:
    """Without a framework."""
    make = wsgi if is_wsgi else asgi
    around: Any = AmplifyWSGIMiddleware if is_wsgi else AmplifyASGIMiddleware
    yield _bare(BARE, make(users, _nobody), users)
    app = make(users, ours.asks)
    yield from ours.peers(users, BARE, partial(around, app))


def _starlette(users: Users) -> Iterator[Peer]:
    from starlette.middleware import Middleware

    def build(config):
        layer = Middleware(AmplifyASGIMiddleware, config=config)
        return starlette(users, ours.asks, layer)

    yield _bare("Starlette", starlette(users, _nobody), users)
    yield from ours.peers(users, "Starlette", build)


def _fastapi(users: Users) -> Iterator[Peer]:
    def build(config):
        app = plain_fastapi(users, ours.asks)
        app.add_middleware(AmplifyASGIMiddleware, config=config)
        return app

    yield _bare("FastAPI", plain_fastapi(users, _nobody), users)
    yield from ours.peers(users, "FastAPI", build)


def _flask(users: Users) -> Iterator[Peer]:
    def build(config):
        app = flask(users, ours.asks)
        app.wsgi_app = AmplifyWSGIMiddleware(app.wsgi_app, config)
        return app

    yield _bare("Flask", flask(users, _nobody), users)
    yield from ours.peers(users, "Flask", build)


def _django(users: Users) -> Iterator[Peer]:
    from .django_session import PATH, handler

    app = handler(users, "nobody", _nobody)
    yield replace(_bare("Django", app, users), path=f"{PATH}nobody")
    app = handler(users, "ours", ours.asks)
    build = partial(AmplifyWSGIMiddleware, app)
    yield from ours.peers(users, "Django", build, f"{PATH}ours")


SERVED = {"Starlette": _starlette, "FastAPI": _fastapi, "Flask": _flask, "Django": _django}
