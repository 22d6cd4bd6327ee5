"""What does a known Bearer token cost, beside a known cookie? (The aim: 1.1 of its overhead.)

Both hold the same access token, and are asked in one run. The bare app's requests are as long. The
last rows tell what the option costs the requests of browsers.
"""

from collections.abc import Iterator

from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .harness import FULL, Call, Plan, Row, in_processes, table
from .report import Table, at_most
from .requests import (
    BEARER,
    asgi_app,
    asgi_call,
    asking_asgi_app,
    asking_wsgi_app,
    cookie_header,
    wsgi_app,
    wsgi_call,
)
from .tokens import Mint

COOKIE = "known cookie"
TOKEN = "known Bearer token"
BOTH = "known cookie, bearer=True"
ASKS = ", app asks"


def asgi_cases() -> dict[str, Call]:
    return _cases(asgi_call, asgi_app, asking_asgi_app, AmplifyASGIMiddleware)


def wsgi_cases() -> dict[str, Call]:
    return _cases(wsgi_call, wsgi_app, asking_wsgi_app, AmplifyWSGIMiddleware)


def _cases(request, app, asking_app, middleware) -> dict[str, Call]:
    mint = Mint()
    token = mint.sets(1)[0]["access_token"]
    cookie, header = cookie_header(token), BEARER + token
    cases: dict[str, Call] = {
        "bare app, cookie": request(app, cookie),
        "bare app, header": request(app, header),
    }
    bearer = mint.config.replace(bearer=True)
    for kind, config, sent in (
        (COOKIE, mint.config, cookie),
        (BOTH, bearer, cookie),
        (TOKEN, bearer, header),
    ):
        cases[kind] = request(middleware(app, config), sent)
        cases[kind + ASKS] = request(middleware(asking_app, config), sent)
    return cases


def rows(shell: str) -> list[Row]:
    found = []
    for asks in ("", ASKS):
        cookie = Row(COOKIE + asks, "bare app, cookie")
        aim = f"{TOKEN}{asks}, {shell}: times a known cookie's overhead"
        found += [
            cookie,
            Row(BOTH + asks, "bare app, cookie", cookie),
            Row(TOKEN + asks, "bare app, header", cookie, at_most(1.1), aim),
        ]
    return found


def tables(plan: Plan = FULL) -> Iterator[Table]:
    for shell in ("WSGI", "ASGI"):
        runs = in_processes(f"benchmarks.bearer:{shell.lower()}_cases", plan)
        yield table(f"What a Bearer token costs: {shell}", rows(shell), runs, unit="cookie")


if __name__ == "__main__":
    print(*tables(), sep="\n")
