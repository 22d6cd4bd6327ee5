"""An ASGI app as a WSGI app, so that one test client asks both. Each request has its own loop."""

import asyncio
from http import HTTPStatus
from typing import Any


def as_wsgi(app: Any) -> Any:
    def wsgi(environ: Any, start_response: Any) -> Any:
        messages = asyncio.run(_ask(app, environ))
        start = messages[0]
        headers = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
        status = HTTPStatus(start["status"])
        start_response(f"{status.value} {status.phrase}", headers)
        return [message.get("body", b"") for message in messages[1:]]

    return wsgi


async def _ask(app: Any, environ: Any) -> list[Any]:
    path = environ["PATH_INFO"].encode("latin-1")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": path.decode(errors="surrogateescape"),
        "raw_path": path,
        "root_path": "",
        "query_string": environ["QUERY_STRING"].encode("latin-1"),
        "headers": [
            (name.removeprefix("HTTP_").replace("_", "-").lower().encode(), value.encode("latin-1"))
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ],
        "client": None,
        "server": None,
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": environ["wsgi.input"].read(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent
