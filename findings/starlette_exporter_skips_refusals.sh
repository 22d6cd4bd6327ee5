#!/usr/bin/env bash
# starlette_exporter does not count what another middleware answers: no 401 of an auth middleware.
#
# Version    PyPI starlette_exporter 0.24.0, Starlette 1.10.0.
# Behaviour  It knows a request by the route that the router has found. A request that a middleware
#            between it and the router has answered was never routed, and is left out, though its
#            path is one of the application's. With filter_unhandled_paths=False it is counted under
#            its raw path, a series for each id that a client thinks of.
# Expected   Counted under /orders/{number}, since that path has a route. The documentation says of
#            the filter: "unhandled paths (in other words, 404 errors)".
# Hurt       Sites that are guarded by a middleware: the dashboard shows no 401 at all, in an attack
#            or after a mistake in the configuration that locks everybody out. An alert on the share
#            of 401s never rings.
# Way out    group_unhandled_paths=True, and filter_unhandled_paths=False: they are counted under the
#            path __unknown__, with their status. Or refuse behind the router, in the endpoint.
# Source     stephenhillier/starlette_exporter, starlette_exporter/middleware.py.
#            https://github.com/stephenhillier/starlette_exporter/issues/101 is open.
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | answered: 401 401 200
#   | as it is: /orders/{number} 200 once
#   | filter_unhandled_paths=False: /orders/1 401 once, /orders/2 401 once, /orders/{number} 200 once
#   | group_unhandled_paths=True: /orders/{number} 200 once, __unknown__ 401 twice
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  starlette-exporter==0.24.0 starlette==1.10.0 prometheus-client==0.26.0 httpx==0.28.1 \
  2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import asyncio

import httpx
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette_exporter import PrometheusMiddleware


class Guard:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if b"cookie" in dict(scope["headers"]):
            await self.app(scope, receive, send)
        else:
            await PlainTextResponse("Who are you?", 401)(scope, receive, send)


async def order(request):
    return PlainTextResponse("an order")


async def visit(prefix, **options):
    app = Starlette(routes=[Route("/orders/{number}", order)])
    app.add_middleware(Guard)
    app.add_middleware(PrometheusMiddleware, prefix=prefix, **options)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://site") as browser:
        asked = [("/orders/1", {}), ("/orders/2", {}), ("/orders/2", {"Cookie": "session=ada"})]
        return [(await browser.get(path, headers=headers)).status_code for path, headers in asked]


def counted(prefix):
    words = {1: "once", 2: "twice"}
    return ", ".join(
        sorted(
            f"{sample.labels['path']} {sample.labels['status_code']} {words[sample.value]}"
            for family in REGISTRY.collect()
            for sample in family.samples
            if sample.name == f"{prefix}_requests_total"
        )
    )


statuses = asyncio.run(visit("plain"))
print("answered:", *statuses)
print(f"as it is: {counted('plain')}")
asyncio.run(visit("unfiltered", filter_unhandled_paths=False))
print(f"filter_unhandled_paths=False: {counted('unfiltered')}")
asyncio.run(visit("grouped", group_unhandled_paths=True, filter_unhandled_paths=False))
print(f"group_unhandled_paths=True: {counted('grouped')}")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
