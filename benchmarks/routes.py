"""What do the sign-in routes cost a request that is for none of them? (The aim: 0.2 µs.)"""

from collections.abc import Iterator

from amplify_mw import AuthRoutes
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .harness import FULL, Call, Plan, Row, in_processes, table
from .report import Table
from .requests import asgi_app, asgi_call, cookie_header, wsgi_app, wsgi_call
from .tokens import Mint

KINDS = ("no cookie", "known token")
DOMAIN = "auth.example.com"


def asgi_cases() -> dict[str, Call]:
    return _cases(asgi_call, asgi_app, AmplifyASGIMiddleware)


def wsgi_cases() -> dict[str, Call]:
    return _cases(wsgi_call, wsgi_app, AmplifyWSGIMiddleware)


def _cases(request, app, middleware) -> dict[str, Call]:
    mint = Mint()
    (token,) = mint.tokens(1)
    routes = AuthRoutes(origin="https://app.example.com", keys=[bytes(32)])
    without = middleware(app, mint.config, domain=DOMAIN)
    having = middleware(app, mint.config, domain=DOMAIN, routes=routes)
    assert without._routes is None
    assert having._routes is not None
    assert "/auth/sign-in" in having._routes
    cases: dict[str, Call] = {}
    for kind, cookie in zip(KINDS, (None, cookie_header(token)), strict=True):
        cases[f"{kind}: no routes"] = request(without, cookie)
        cases[f"{kind}: routes"] = request(having, cookie)
        cases[f"{kind}: no routes, again"] = request(middleware(app, without.engine), cookie)
    return cases


def rows() -> list[Row]:
    """`again` tells how far two measurements of the same thing are apart."""
    found = []
    for kind in KINDS:
        without = Row(f"{kind}: no routes")
        others = [f"{kind}: {case}" for case in ("no routes, again", "routes")]
        found += [without, *(Row(case, without.case, without) for case in others)]
    return found


def tables(plan: Plan = FULL) -> Iterator[Table]:
    for shell in ("WSGI", "ASGI"):
        yield table(
            f"What the sign-in routes cost other requests: {shell}",
            rows(),
            in_processes(f"benchmarks.routes:{shell.lower()}_cases", plan),
            unit="request",
        )


if __name__ == "__main__":
    print(*tables(), sep="\n")
