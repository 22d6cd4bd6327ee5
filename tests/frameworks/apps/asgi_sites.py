"""All ASGI apps on one server: the header `X-Site` says which is meant, so that each is at `/`."""

from typing import Any

import blacksheep_site
import django_site
import falcon_site
import fastapi_site
import litestar_site
import quart_site
import sanic_site
import starlette_site

SITES: dict[bytes, Any] = {
    b"bare": starlette_site.bare,
    b"starlette": starlette_site.app,
    b"starlette-added": starlette_site.added,
    b"mounts": starlette_site.mounts,
    b"fastapi": fastapi_site.app,
    b"django": django_site.asgi,
    b"quart": quart_site.app,
    b"litestar": litestar_site.app,
    b"falcon": falcon_site.asgi,
    b"blacksheep": blacksheep_site.app,
    b"sanic": sanic_site.app,
    b"starlette-bearer": starlette_site.bearer,
    b"fastapi-bearer": fastapi_site.bearer,
    b"quart-bearer": quart_site.bearer,
    b"django-bearer": django_site.asgi_bearer,
    b"litestar-bearer": litestar_site.bearer,
    b"falcon-bearer": falcon_site.asgi_bearer,
    b"blacksheep-bearer": blacksheep_site.bearer,
    b"sanic-bearer": sanic_site.bearer,
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    # Sanic is the one that has to be started.
    site = b"sanic" if scope["type"] == "lifespan" else dict(scope["headers"])[b"x-site"]
    await SITES[site](scope, receive, send)
