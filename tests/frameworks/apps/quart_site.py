"""Quart: views with `def` run on threads, those with `async def` on the loop."""

import asyncio
from collections import defaultdict
from typing import Any

import shared
from quart import Quart, Response, jsonify, websocket

from amplify_mw.integrations.quart import AmplifyAuth

done: dict[str, "asyncio.Future[str]"] = defaultdict(
    lambda: asyncio.get_running_loop().create_future()
)


def build(**options: Any) -> Quart:
    app = Quart(__name__)
    AmplifyAuth(app, shared.config, **options)

    @app.get("/whoami")
    @app.get("/private/page")
    def whoami() -> Any:
        body, status = shared.profile()
        return jsonify(body), status

    @app.get("/async")
    async def awaited() -> Any:
        body, status = await shared.awaited_profile()
        return jsonify(body), status

    @app.get("/escape/<path:rest>")
    async def escape(rest: str) -> str:
        return shared.name()

    @app.get("/awaited-escape/<path:rest>")
    def escape_on_a_thread(rest: str) -> str:
        return shared.name()

    app.add_url_rule("/publish", view_func=shared.publish)
    app.add_url_rule("/static/name", view_func=shared.name_or_outside)
    app.add_url_rule("/static/refuse", view_func=shared.refuse)

    @app.get("/thread")
    async def thread() -> str:
        return await asyncio.to_thread(shared.name)

    @app.get("/stream")
    async def stream() -> Response:
        return Response(shared.awaited_names(), mimetype="text/plain")

    @app.get("/background/<key>")
    async def background(key: str) -> str:
        async def work() -> None:
            done[key].set_result(await asyncio.to_thread(shared.name))

        app.add_background_task(shared.carry(work))
        return "begun"

    @app.get("/result/<key>")
    async def result(key: str) -> str:
        return await asyncio.wait_for(done[key], 60)

    @app.websocket("/socket")
    async def socket() -> None:
        if websocket.args.get("strict"):
            shared.name()
        await websocket.accept()
        while True:
            await websocket.receive()
            body, _status = await shared.awaited_profile()
            await websocket.send_json(body)

    @app.websocket("/escape-open")
    async def escape_open() -> None:
        """Refuses in the open socket."""
        await websocket.accept()
        await websocket.receive()
        if websocket.args.get("editors"):
            shared.publish()
        await websocket.send(shared.name())

    return app


app = build()
bearer = build(bearer=True)
