"""The apps that real servers serve: bare, with the hand-written floor, and with the library.

Each is made by a factory without parameters, as servers call them. What the processes share comes
from a JSON file that `BENCHMARK_SERVED` names: a token, the name of its user, and the key set. All
of them import the same modules: what differs between them is the middleware alone.

A request with the query `who` is answered with the name of its user, so that what is timed can be
checked through the server itself. All the others get the answer that `requests` gives.
"""

import json
import os
from pathlib import Path
from time import time

from amplify_mw import AmplifyConfig
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from . import requests
from .floor import VISIT, Entry, FloorASGI, FloorWSGI
from .tokens import CLIENT_ID, POOL_ID

SHARED = "BENCHMARK_SERVED"
NOBODY = "nobody"


def asgi_bare():
    return asgi_answering(nobody)


def asgi_floor():
    return FloorASGI(asgi_answering(floor_user), known())


def asgi_ours():
    return AmplifyASGIMiddleware(asgi_answering(our_user), config())


def wsgi_bare():
    return wsgi_answering(nobody)


def wsgi_floor():
    return FloorWSGI(wsgi_answering(floor_user), known())


def wsgi_ours():
    return AmplifyWSGIMiddleware(wsgi_answering(our_user), config())


def asgi_answering(who):
    async def app(scope, receive, send):
        if scope["query_string"] != b"who":
            await requests.asgi_app(scope, receive, send)
            return
        body = who().encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def wsgi_answering(who):
    def app(environ, start_response):
        if environ["QUERY_STRING"] != "who":
            return requests.wsgi_app(environ, start_response)
        body = who().encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    return app


def nobody() -> str:
    return NOBODY


def floor_user() -> str:
    visit = VISIT.get()
    return NOBODY if visit is None or visit.user is None else visit.user


def our_user() -> str:
    return requests.ask() or NOBODY


def known() -> dict[bytes, Entry]:
    facts = shared()
    return {facts["token"].encode(): Entry(facts["username"], time() + 3600)}


def config() -> AmplifyConfig:
    return AmplifyConfig(user_pool_id=POOL_ID, client_id=CLIENT_ID, keys=shared()["keys"])


def shared() -> dict:
    return json.loads(Path(os.environ[SHARED]).read_text(encoding="utf-8"))
