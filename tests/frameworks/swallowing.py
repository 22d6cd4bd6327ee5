"""One app in each framework whose views swallow, repeat, log, keep and copy what they catch.

An app is built for a configuration, by the line of its framework's page. Its paths are those of
`VIEWS`, whose functions return a text. `catches`: the app has a handler of its own for every
exception, which answers 200. `debug`: it shows the framework's page for developers.
"""

import copy
import logging
from collections.abc import Callable
from itertools import count
from typing import Any

from amplify_mw import AmplifyConfig, NotAuthorizedException, get_current_user, require_auth
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.wsgi import AmplifyWSGIMiddleware

SWALLOWED = "swallowed"
ALL_IS_WELL = "all is well"

kept: list[Exception] = []


def name() -> str:
    return get_current_user().username


@require_auth(groups=["editors"])
def edit() -> str:
    return name()


def swallow() -> str:
    try:
        return name()
    except Exception:  # noqa: BLE001  # that is what it is here for
        return SWALLOWED


def retry() -> str:
    for _ in range(2):
        try:
            return name()
        except Exception:  # noqa: BLE001  # likewise
            continue
    return name()


def log() -> str:
    try:
        return name()
    except Exception as error:
        logging.getLogger("site").exception("%s %r %s", error, error, vars(error))
        raise


def keep() -> str:
    """Raise the first error that any request has met, in whichever request this is."""
    try:
        name()
    except NotAuthorizedException as error:
        kept.append(error)
    if kept:
        raise kept[0]
    return name()


def copied() -> str:
    try:
        return name()
    except Exception as error:
        raise copy.copy(error) from error


def wrapped() -> str:
    try:
        return name()
    except Exception as error:
        raise RuntimeError("a fault of the app's own") from error


def crash() -> str:
    who = get_current_user()
    return who.username + str(1 // 0)


VIEWS: dict[str, Callable[[], str]] = {
    "/name": name,
    "/edit": edit,
    "/swallow": swallow,
    "/retry": retry,
    "/log": log,
    "/keep": keep,
    "/copied": copied,
    "/wrapped": wrapped,
    "/crash": crash,
    "/private/page": swallow,
}


def flask(config: AmplifyConfig, *, catches: bool, debug: bool) -> Any:
    from flask import Flask
    from werkzeug.debug import DebuggedApplication

    from amplify_mw.integrations.flask import AmplifyAuth

    app = Flask("site")
    app.debug = debug
    AmplifyAuth(app, config)
    for path, view in VIEWS.items():
        app.add_url_rule(path, path, view)
    if catches:
        app.register_error_handler(Exception, lambda _: ALL_IS_WELL)
    return DebuggedApplication(app, pin_security=False) if debug else app


def quart(config: AmplifyConfig, *, catches: bool, debug: bool) -> Any:
    from quart import Quart

    from amplify_mw.integrations.quart import AmplifyAuth

    app = Quart("site")
    app.debug = debug
    AmplifyAuth(app, config)
    for path, view in VIEWS.items():
        app.add_url_rule(path, path, view)
    if catches:
        app.register_error_handler(Exception, lambda _: ALL_IS_WELL)
    return app


def bottle(config: AmplifyConfig, *, catches: bool, debug: bool) -> Any:
    from bottle import Bottle, response

    from amplify_mw.integrations.bottle import AmplifyAuth

    def answered(error: Any) -> str:
        response.status = 200
        return ALL_IS_WELL

    app = Bottle()
    if catches:
        app.error(500)(answered)
    app.install(AmplifyAuth(config))
    for path, view in VIEWS.items():
        app.route(path, callback=view)
    return app


def pyramid(config: AmplifyConfig, *, catches: bool, debug: bool) -> Any:
    from pyramid.config import Configurator
    from pyramid.response import Response

    def answer(view: Callable[[], str]) -> Any:
        return lambda request: Response(view())

    with Configurator() as site:
        site.include("amplify_mw.integrations.pyramid")
        for path, view in VIEWS.items():
            site.add_route(path, path)
            site.add_view(answer(view), route_name=path)
        if catches:
            site.add_exception_view(lambda *_: Response(ALL_IS_WELL), context=Exception)
    return AmplifyWSGIMiddleware(site.make_wsgi_app(), config)


def starlette(config: AmplifyConfig, *, catches: bool, debug: bool) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    from amplify_mw.integrations.starlette import handle_auth_errors

    def answer(view: Callable[[], str]) -> Any:
        return lambda request: PlainTextResponse(view())

    app = Starlette(debug, [Route(path, answer(view)) for path, view in VIEWS.items()])
    app.add_middleware(AmplifyASGIMiddleware, config=config)
    handle_auth_errors(app)
    if catches:
        app.add_exception_handler(Exception, lambda *_: PlainTextResponse(ALL_IS_WELL))
    return app


def fastapi(config: AmplifyConfig, *, catches: bool, debug: bool) -> Any:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    from amplify_mw.integrations.fastapi import AmplifyAuth
    from amplify_mw.integrations.starlette import handle_auth_errors

    app = FastAPI(debug=debug)
    app.add_middleware(AmplifyASGIMiddleware, config=config)
    handle_auth_errors(app)
    AmplifyAuth(config).init_app(app)
    for path, view in VIEWS.items():
        app.get(path, response_class=PlainTextResponse)(view)
    if catches:
        app.exception_handler(Exception)(lambda *_: PlainTextResponse(ALL_IS_WELL))
    return app


def litestar(config: AmplifyConfig, *, catches: bool, debug: bool) -> Any:
    from litestar import Litestar, get
    from litestar.response import Response

    from amplify_mw.integrations.litestar import AmplifyPlugin

    def handler(path: str, view: Callable[[], str]) -> Any:
        @get(path, media_type="text/plain", sync_to_thread=True)
        def shown() -> str:
            return view()

        return shown

    def answered(request: Any, error: Exception) -> Response[str]:
        return Response(ALL_IS_WELL, media_type="text/plain")

    return Litestar(
        [handler(path, view) for path, view in VIEWS.items()],
        plugins=[AmplifyPlugin(config)],
        exception_handlers={Exception: answered} if catches else {},
        debug=debug,
    )


def falcon(config: AmplifyConfig, *, catches: bool, debug: bool) -> Any:
    import falcon

    from amplify_mw.integrations.falcon import handle_auth_errors

    class Resource:
        def __init__(self, view: Callable[[], str]) -> None:
            self.view = view

        def on_get(self, req: Any, resp: Any) -> None:
            resp.text = self.view()

    def answered(req: Any, resp: Any, error: Exception, params: Any) -> None:
        resp.text = ALL_IS_WELL

    app = falcon.App()
    handle_auth_errors(app)
    for path, view in VIEWS.items():
        app.add_route(path, Resource(view))
    if catches:
        app.add_error_handler(Exception, answered)
    return AmplifyWSGIMiddleware(app, config)


def blacksheep(config: AmplifyConfig, *, catches: bool, debug: bool) -> Any:
    from blacksheep import Application, Router, text

    from amplify_mw.integrations.blacksheep import handle_auth_errors

    def handler(view: Callable[[], str]) -> Any:
        async def shown() -> Any:
            return text(view())

        return shown

    async def answered(app: Any, request: Any, error: Exception) -> Any:
        return text(ALL_IS_WELL)

    # The default router is for one app of a process.
    app = Application(router=Router(), show_error_details=debug)
    handle_auth_errors(app)
    for path, view in VIEWS.items():
        app.router.add_get(path, handler(view))
    if catches:
        app.exceptions_handlers[Exception] = answered
    return AmplifyASGIMiddleware(app, config)


def sanic(config: AmplifyConfig, *, catches: bool, debug: bool) -> Any:
    from sanic import Sanic, text
    from sanic.application.constants import Mode

    from amplify_mw.integrations.sanic import handle_auth_errors

    def handler(view: Callable[[], str]) -> Any:
        async def shown(request: Any) -> Any:
            return text(view())

        return shown

    app: Any = Sanic(f"swallowing-{next(_NUMBERS)}")
    app.config.TOUCHUP = False  # it rewrites the class, which several apps share here
    handle_auth_errors(app)
    for path, view in VIEWS.items():
        app.add_route(handler(view), path, name=path.replace("/", "_"))
    if catches:
        app.exception(Exception)(lambda *_: text(ALL_IS_WELL))
    if debug:
        app.state.mode, app.error_handler.debug = Mode.DEBUG, True
    return AmplifyASGIMiddleware(app, config)


_NUMBERS = count()

WSGI = {"flask": flask, "bottle": bottle, "pyramid": pyramid, "falcon": falcon}
ASGI = {
    "quart": quart,
    "starlette": starlette,
    "fastapi": fastapi,
    "litestar": litestar,
    "blacksheep": blacksheep,
    "sanic": sanic,
}
