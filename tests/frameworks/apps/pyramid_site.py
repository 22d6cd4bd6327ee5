"""Pyramid, with the security policy."""

from typing import Any

import shared
from pyramid.config import Configurator
from pyramid.response import Response

from amplify_mw.wsgi import AmplifyWSGIMiddleware


def whoami(request: Any) -> dict[str, Any]:
    body, request.response.status_int = shared.profile()
    return body


def says(function: Any) -> Any:
    return lambda request: Response(function())


def stream(request: Any) -> Response:
    return Response(app_iter=shared.names(), content_type="text/plain")


VIEWS = {
    "/escape/{rest:.*}": says(shared.name),
    "/publish": says(shared.publish),
    "/thread": says(shared.name_on_a_thread),
    "/static/name": says(shared.name_or_outside),
    "/static/refuse": says(shared.refuse),
    "/stream": stream,
}

with Configurator() as config:
    config.include("amplify_mw.integrations.pyramid")
    for path in ("/whoami", "/private/page"):
        config.add_route(path, path)
        config.add_view(whoami, route_name=path, renderer="json")
    for path, view in VIEWS.items():
        config.add_route(path, path)
        config.add_view(view, route_name=path)

site = config.make_wsgi_app()
app = AmplifyWSGIMiddleware(site, shared.config)
bearer = AmplifyWSGIMiddleware(site, shared.config, bearer=True)
