"""The hand-written floor: what such a middleware cannot do without, and no more.

What both floors do:
- find the cookie in the raw header bytes with `bytes.find`, taking the first occurrence of its
  name for it;
- look its value up in a dictionary and compare the entry's expiry with the clock;
- bind a fresh small object (for an anonymous request too) to a `ContextVar`, and take it back:
  ASGI by `reset`, WSGI by running the app in a copy of the context, so that the server's own
  context never holds a user;
- wrap `send` or `start_response`, and a WSGI body that is no finished list or tuple, so that a
  cookie could be cleared and a streamed body would see its user;
- ASGI: unbind it while the server's own `receive` and `send` run (but for the response's start). A
  server takes the context in which they are called for the connection's next request (uvicorn does,
  when requests are pipelined), which would then begin with this one's user.

What they leave out, and the library does: several `Cookie` headers, duplicates and look-alike
names; nesting and pinned visits; access rules; errors that become answers; `close()` just once.
A value that is not in the dictionary is an anonymous request: the floor verifies nothing.
"""

from contextvars import ContextVar, copy_context
from time import time

VISIT = ContextVar("floor_visit", default=None)


class FloorVisit:
    """One request's own object."""

    __slots__ = ("clears", "user")

    def __init__(self, user):
        self.user = user
        self.clears = False


class Entry:
    """What a cookie value is known to mean, and until when."""

    __slots__ = ("fresh_until", "user")

    def __init__(self, user, fresh_until):
        self.user = user
        self.fresh_until = fresh_until


def visit_of(header, prefix, known):
    """The visit of a request with this `Cookie` header; `prefix` is the cookie's name and `=`."""
    at = header.find(prefix)
    if at < 0:
        return FloorVisit(None)
    end = header.find(b";", at)
    value = header[at + len(prefix) : end if end >= 0 else None]
    entry = known.get(value)
    if entry is not None and time() < entry.fresh_until:
        return FloorVisit(entry.user)
    return FloorVisit(None)


class FloorASGI:
    def __init__(self, app, known, name=b"amplify-session"):
        self.app = app
        self.known = known
        self.prefix = name + b"="

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        header = b""
        for name, value in scope["headers"]:
            if name == b"cookie":
                header = value
                break
        visit = visit_of(header, self.prefix, self.known)

        async def wrapped_send(message):
            if message["type"] == "http.response.start":
                if visit.clears:
                    message = {**message, "headers": clearing(message["headers"])}
                await send(message)
                return
            token = VISIT.set(None)
            try:
                await send(message)
            finally:
                VISIT.reset(token)

        async def wrapped_receive():
            token = VISIT.set(None)
            try:
                return await receive()
            finally:
                VISIT.reset(token)

        token = VISIT.set(visit)
        try:
            await self.app(scope, wrapped_receive, wrapped_send)
        finally:
            VISIT.reset(token)


class FloorWSGI:
    def __init__(self, app, known, name=b"amplify-session"):
        self.app = app
        self.known = known
        self.prefix = name + b"="

    def __call__(self, environ, start_response):
        header = environ.get("HTTP_COOKIE", "").encode("latin-1")
        visit = visit_of(header, self.prefix, self.known)

        def start(status, headers, exc_info=None):
            if visit.clears:
                headers = clearing(headers)
            return start_response(status, headers, exc_info)

        context = copy_context()
        body = context.run(_call, visit, self.app, environ, start)
        if type(body) is list or type(body) is tuple:
            return body
        return FloorBody(body, context)


def _call(visit, app, environ, start):
    VISIT.set(visit)
    return app(environ, start)


class FloorBody:
    """A streamed body, each step of which runs in its request's context."""

    def __init__(self, body, context):
        self.steps = iter(body)
        self.run = context.run
        self.close = getattr(body, "close", None)

    def __iter__(self):
        return self

    def __next__(self):
        return self.run(next, self.steps)


def clearing(headers):
    """`headers` and a clearing cookie; nothing measured here gets so far."""
    return [*headers, ("Set-Cookie", "amplify-session=; Max-Age=0")]
