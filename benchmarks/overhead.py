"""What does a request pay? Bare, with the hand-written floor, and with the library."""

from time import time

from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.context import CURRENT
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .floor import VISIT, Entry, FloorASGI, FloorWSGI
from .harness import FULL, Call, Plan, Row, in_processes, table
from .requests import (
    asgi_app,
    asgi_call,
    asking_asgi_app,
    asking_wsgi_app,
    cookie_header,
    wsgi_app,
    wsgi_call,
)
from .tokens import Mint

KINDS = ("no cookie", "known token")


def asgi_cases() -> dict[str, Call]:
    return _cases(asgi_call, asgi_app, asking_asgi_app, FloorASGI, AmplifyASGIMiddleware)


def wsgi_cases() -> dict[str, Call]:
    return _cases(wsgi_call, wsgi_app, asking_wsgi_app, FloorWSGI, AmplifyWSGIMiddleware)


def _cases(request, app, asking_app, floor, ours) -> dict[str, Call]:
    mint = Mint()
    (token,) = mint.tokens(1)
    known = {token.encode(): Entry(object(), time() + 3600)}
    cases: dict[str, Call] = {}
    for kind, cookie in zip(KINDS, (None, cookie_header(token)), strict=True):
        cases[f"{kind}: bare app"] = request(app, cookie)
        cases[f"{kind}: floor"] = request(floor(app, known), cookie)
        cases[f"{kind}: amplify_mw"] = request(ours(app, mint.config), cookie)
        cases[f"{kind}: amplify_mw, app asks"] = request(ours(asking_app, mint.config), cookie)
    _check(request, floor, ours, mint, token, known)
    return cases


def _check(request, floor, ours, mint, token, known) -> None:
    """What is timed works: both bind the token's user, and leave nothing bound."""
    seen = []

    def wsgi_witness(environ, start_response):
        seen.append((VISIT.get(), CURRENT.get()))
        return wsgi_app(environ, start_response)

    async def asgi_witness(scope, receive, send):
        wsgi_witness({}, lambda *_: None)
        await asgi_app(scope, receive, send)

    witness = wsgi_witness if floor is FloorWSGI else asgi_witness
    request(floor(ours(witness, mint.config), known), cookie_header(token))()
    ((floor_visit, visit),) = seen
    assert floor_visit.user is known[token.encode()].user
    assert visit.verdict.user is not None
    assert VISIT.get() is None
    assert CURRENT.get() is None


def rows() -> list[Row]:
    found = []
    for kind in KINDS:
        bare = f"{kind}: bare app"
        floor = Row(f"{kind}: floor", bare)
        found += [
            Row(bare),
            floor,
            Row(f"{kind}: amplify_mw", bare, floor),
            Row(f"{kind}: amplify_mw, app asks", bare, floor),
        ]
    return found


def tables(plan: Plan = FULL) -> str:
    return "\n".join(
        table(
            f"What a request pays: {shell}",
            rows(),
            in_processes(f"benchmarks.overhead:{shell.lower()}_cases", plan),
        )
        for shell in ("WSGI", "ASGI")
    )


if __name__ == "__main__":
    print(tables())
