"""Bottle."""

from typing import Any

import shared
from bottle import Bottle, response

from amplify_mw.integrations.bottle import AmplifyAuth, handle_auth_errors
from amplify_mw.wsgi import AmplifyWSGIMiddleware


def build() -> Any:
    site = Bottle()

    @site.get("/whoami")
    @site.get("/private/page")
    def whoami() -> dict[str, Any]:
        body, response.status = shared.profile()
        return body

    @site.get("/escape/<rest:path>")
    def escape(rest: str) -> str:
        return shared.name()

    site.get("/publish", callback=shared.publish)
    site.get("/thread", callback=shared.name_on_a_thread)
    site.get("/static/name", callback=shared.name_or_outside)
    site.get("/static/refuse", callback=shared.refuse)

    @site.get("/stream")
    def stream() -> Any:
        response.content_type = "text/plain"
        return shared.names()

    return site


site, extended = build(), build()
handle_auth_errors(site)
extended.install(AmplifyAuth(shared.config))
app = AmplifyWSGIMiddleware(site, shared.config)
bearer = AmplifyWSGIMiddleware(site, shared.config, bearer=True)
