"""The requests that are timed, and the apps that answer them.

A request is what a browser sends through a proxy: ten headers, and where there is a session cookie
three others before it. Every call gets a fresh copy of it, as from a server; the bare app's calls
pay for that copy too. A program's request has an `Authorization` header in place of the cookies:
one that begins with `Bearer`, where the functions take a cookie's.
"""

from collections.abc import Sequence
from io import BytesIO
from itertools import cycle

from amplify_mw import AuthError, get_current_user

from .harness import Call, drive
from .tokens import COOKIE

HEADERS = {
    "host": "app.example.com",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept-language": "en-GB,en;q=0.5",
    "accept-encoding": "gzip, deflate, br, zstd",
    "connection": "keep-alive",
    "sec-fetch-dest": "document",
    "sec-fetch-mode": "navigate",
    "x-forwarded-for": "203.0.113.7",
    "x-forwarded-proto": "https",
}
BEARER = "Bearer "
OTHERS = "theme=dark; _ga=GA1.1.1234567890.1712345678; csrftoken=q3Zr7mJ0t1bXo2Yk5LwVn8Dc4SfHg6Pu"


def cookie_header(token: str) -> str:
    return f"{OTHERS}; {COOKIE.decode()}={token}"


def scope(cookie: str | None) -> dict:
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    if cookie is not None and cookie.startswith(BEARER):
        headers.append((b"authorization", cookie.encode()))
    elif cookie is not None:
        headers.append((b"cookie", cookie.encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": "/account/orders",
        "raw_path": b"/account/orders",
        "query_string": b"page=2",
        "root_path": "",
        "headers": headers,
        "client": ("203.0.113.7", 50412),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


def environ(cookie: str | None) -> dict:
    result = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/account/orders",
        "QUERY_STRING": "page=2",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.7",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(),
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in HEADERS.items():
        result["HTTP_" + name.upper().replace("-", "_")] = value
    if cookie is not None:
        result["HTTP_AUTHORIZATION" if cookie.startswith(BEARER) else "HTTP_COOKIE"] = cookie
    return result


def asgi_call(app, cookie: str | None) -> Call:
    """One request of `app`, to be called again and again."""
    return asgi_calls(app, [cookie])


def wsgi_call(app, cookie: str | None) -> Call:
    """One request of `app`, to be called again and again."""
    return wsgi_calls(app, [cookie])


def asgi_calls(app, cookies: Sequence[str | None]) -> Call:
    """Requests of `app`, one a call, with these `Cookie` headers by turns."""
    following = cycle([scope(cookie) for cookie in cookies])

    def call():
        model = next(following)
        drive(app({**model, "headers": model["headers"].copy()}, receive, send))

    return call


def wsgi_calls(app, cookies: Sequence[str | None]) -> Call:
    """Requests of `app`, one a call, with these `Cookie` headers by turns."""
    following = cycle([environ(cookie) for cookie in cookies])

    def start_response(status, headers, exc_info=None):
        return None

    def call():
        for _ in app(next(following).copy(), start_response):
            pass

    return call


async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message):
    pass


async def asgi_app(scope, receive, send):
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def wsgi_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


async def asking_asgi_app(scope, receive, send):
    ask()
    await asgi_app(scope, receive, send)


def asking_wsgi_app(environ, start_response):
    ask()
    return wsgi_app(environ, start_response)


def ask() -> str | None:
    try:
        return get_current_user().username
    except AuthError:
        return None
