"""What does a request pay? Bare, with the hand-written floor, and with the library.

The floor knows the cookie by its name and value, whatever it holds. For Amplify's several cookies
there is no such floor: their unit is the floor's overhead with a token, and the bare app's header
is as long as theirs. What is not known yet, or refused, is in `first_seen`.
"""

import secrets
from collections.abc import Iterator
from time import time
from typing import NamedTuple

from amplify_mw import AmplifyConfig, AmplifyCookies, SealedSession
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.context import CURRENT
from amplify_mw.engine.engine import Engine
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .amplify_cookies import amplify_header
from .floor import VISIT, Entry, FloorASGI, FloorWSGI
from .harness import FULL, Call, Plan, Row, in_processes, table
from .report import Table, at_most
from .requests import (
    asgi_app,
    asgi_call,
    asking_asgi_app,
    asking_wsgi_app,
    cookie_header,
    wsgi_app,
    wsgi_call,
)
from .sessions import sign_in
from .tokens import Mint

NOBODY = "no cookie"
TOKEN = "known token"
SEALED = "known sealed session"
AMPLIFY = "known Amplify cookies"
USER = "0f3c9a52-6d1e-4b7a-9c55-00000000ada0"
KINDS = (NOBODY, TOKEN, SEALED, AMPLIFY)
LIMITS = {NOBODY: at_most(1.2), TOKEN: at_most(1.3)}


class Asked(NamedTuple):
    """A request's `Cookie` header, and who is to know it."""

    config: AmplifyConfig
    header: str | None
    value: str | None


def asgi_cases() -> dict[str, Call]:
    return _cases(asgi_call, asgi_app, asking_asgi_app, FloorASGI, AmplifyASGIMiddleware)


def wsgi_cases() -> dict[str, Call]:
    return _cases(wsgi_call, wsgi_app, asking_wsgi_app, FloorWSGI, AmplifyWSGIMiddleware)


def _cases(request, app, asking_app, floor, ours) -> dict[str, Call]:
    kinds = _kinds(Mint())
    known = {
        asked.value.encode(): Entry(object(), time() + 3600)
        for asked in kinds.values()
        if asked.value is not None
    }
    cases: dict[str, Call] = {}
    for kind, (config, header, value) in kinds.items():
        cases[f"{kind}: bare app"] = request(app, header)
        if kind != AMPLIFY:
            cases[f"{kind}: floor"] = request(floor(app, known), header)
        cases[f"{kind}: amplify_mw"] = request(ours(app, config), header)
        cases[f"{kind}: amplify_mw, app asks"] = request(ours(asking_app, config), header)
        if header is not None:
            _check(request, ours, config, header)
        if value is not None:
            _check_floor(request, floor, known, header)
    return cases


def _kinds(mint: Mint) -> dict[str, Asked]:
    (tokens,) = mint.sets(1)
    token = tokens["id_token"]
    sealing = mint.config.replace(session=SealedSession(keys=[secrets.token_bytes(32)]))
    (sealed,) = sign_in(Engine(sealing), [tokens])
    amplify = mint.config.replace(session=AmplifyCookies())
    return {
        NOBODY: Asked(mint.config, None, None),
        TOKEN: Asked(mint.config, cookie_header(token), token),
        SEALED: Asked(sealing, cookie_header(sealed), sealed),
        AMPLIFY: Asked(amplify, amplify_header(tokens, USER), None),
    }


def _witnessed(request, around, variable, header: str) -> object:
    """What is bound while the app runs. Afterwards nothing is."""
    seen = []

    def wsgi_witness(environ, start_response):
        seen.append(variable.get())
        return wsgi_app(environ, start_response)

    async def asgi_witness(scope, receive, send):
        seen.append(variable.get())
        await asgi_app(scope, receive, send)

    request(around(wsgi_witness if request is wsgi_call else asgi_witness), header)()
    assert variable.get() is None
    (visit,) = seen
    return visit


def _check(request, ours, config: AmplifyConfig, header: str) -> None:
    """What is timed works: the user is known to the app."""
    visit = _witnessed(request, lambda app: ours(app, config), CURRENT, header)
    assert visit.verdict.user is not None


def _check_floor(request, floor, known, header: str) -> None:
    visit = _witnessed(request, lambda app: floor(app, known), VISIT, header)
    assert visit.user in [entry.user for entry in known.values()]


def rows(shell: str) -> list[Row]:
    found = []
    floors = {kind: Row(f"{kind}: floor", f"{kind}: bare app") for kind in KINDS if kind != AMPLIFY}
    for kind in KINDS:
        bare, floor = f"{kind}: bare app", floors.get(kind, floors[TOKEN])
        aim = f"{kind}, {shell}: times the floor's overhead"
        found += [
            Row(bare),
            *([floor] if kind in floors else []),
            Row(f"{kind}: amplify_mw", bare, floor, LIMITS.get(kind), aim),
            Row(f"{kind}: amplify_mw, app asks", bare, floor),
        ]
    return found


def tables(plan: Plan = FULL) -> Iterator[Table]:
    for shell in ("WSGI", "ASGI"):
        runs = in_processes(f"benchmarks.overhead:{shell.lower()}_cases", plan)
        yield table(f"What a request pays: {shell}", rows(shell), runs)


if __name__ == "__main__":
    print(*tables(), sep="\n")
