"""What grows with headers and users? What should be flat is shown beside its smallest size.

- Cookies in the header: 1, 10 or 25 beside ours, or few long ones that make 8 kB. Ours is the last,
  the first or absent. Beside it stands the floor, which looks for the cookie in the same bytes.
- Users seen: so many different ones have been here before, of whom an engine with the default
  bounds keeps what fits. Known ones then come by turns, so that what a larger table costs in misses
  of the processor's caches is in the figure; bare app and floor get the same headers in the same
  order, and the floor knows as many users. First-seen ones are really signed, and forgotten again
  (not timed) before they come anew, with made-up ones in the place of what they have evicted.

All sizes of one question are measured by turns in the same processes, and a row is compared with
the same row at the smallest size. Tasks and threads have a file of their own.
"""

import gc
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from statistics import median
from time import time

from amplify_mw import AmplifyConfig, AuthUser
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.engine import Engine
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .floor import Entry, FloorASGI, FloorWSGI
from .harness import (
    FULL,
    QUICK,
    TINY,
    Call,
    Plan,
    Row,
    compared,
    in_fresh_processes,
    in_processes,
    interleaved,
    table,
    timed,
)
from .memory import allocated
from .report import Aim, Spread, Table, at_most
from .requests import (
    asgi_app,
    asgi_call,
    asgi_calls,
    ask,
    cookie_header,
    wsgi_app,
    wsgi_call,
    wsgi_calls,
)
from .tokens import COOKIE, Mint, username

SHELLS = {
    "WSGI": (wsgi_app, FloorWSGI, AmplifyWSGIMiddleware, wsgi_calls),
    "ASGI": (asgi_app, FloorASGI, AmplifyASGIMiddleware, asgi_calls),
}
COOKIES = ("1 cookie", "10 cookies", "25 cookies", "8 kB")
FEW_COOKIES = {TINY: ("1 cookie", "8 kB")}
PLACES = ("ours last", "ours first", "ours absent")
USERS = {FULL: (10, 1_000, 100_000, 1_000_000), QUICK: (10, 1_000, 100_000), TINY: (10, 100)}
LIMITS = {
    "known: floor": None,
    "known: amplify_mw": None,  # held to the floor's growth: see `growth_aim`
    "first seen: amplify_mw": at_most(1.2),
}
TURNS = 1_000  # known users that come by turns, at most
ABOUT_USERS = (
    "An engine with the default bounds (10,000 entries, 32 MiB) that so many users have come to. "
    "Those were not\nsigned in one by one: verdicts on made-up cookie values, as long as tokens, "
    "are put into its cache as\nthe library puts them. First-seen tokens are really signed. Where "
    "more were seen than are kept, each\nnew one evicts an old one."
)
SIGNED = {TINY: 10}  # first-seen tokens, which take a millisecond each to sign


def header_with(size: str, place: str, token: str) -> str:
    """A `Cookie` header of this size, with ours at this place."""
    ours = [] if place == "ours absent" else [f"{COOKIE.decode()}={token}"]
    if size == "8 kB":
        room = (8192 - len("".join(ours))) // 4 - len("; cookie-0=")
        others = [f"cookie-{number}={secrets.token_hex(room)[:room]}" for number in range(4)]
    else:
        numbers = range(int(size.split()[0]))
        others = [f"cookie-{number}={secrets.token_urlsafe(24)}" for number in numbers]
    return "; ".join(ours + others if place == "ours first" else others + ours)


def header_cases(*sizes: str) -> dict[str, Call]:
    mint = Mint()
    (token,) = mint.tokens(1)
    known = {token.encode(): Entry(username(token), time() + 3600)}
    cases: dict[str, Call] = {}
    for shell, (app, floor, middleware, calls) in SHELLS.items():
        for size in sizes:
            cases[f"{shell}: {size}: bare app"] = calls(app, [header_with(size, PLACES[0], token)])
            for place in PLACES:
                header = header_with(size, place, token)
                _check(mint.config, header, None if place == "ours absent" else username(token))
                cases[f"{shell}: {size}, {place}: floor"] = calls(floor(app, known), [header])
                ours = calls(middleware(app, mint.config), [header])
                cases[f"{shell}: {size}, {place}: amplify_mw"] = ours
    return cases


def _check(config: AmplifyConfig | Engine, header: str, user: str | None) -> None:
    """What is timed works: in both shells this header is this user's, or nobody's."""
    seen = []

    def wsgi(environ, start_response):
        seen.append(ask())
        return wsgi_app(environ, start_response)

    async def asgi(scope, receive, send):
        seen.append(ask())
        await asgi_app(scope, receive, send)

    wsgi_call(AmplifyWSGIMiddleware(wsgi, config), header)()
    asgi_call(AmplifyASGIMiddleware(asgi, config), header)()
    assert seen == [user, user], seen


def header_rows(shell: str, sizes: Sequence[str]) -> list[Row]:
    bare = {size: f"{shell}: {size}: bare app" for size in sizes}
    rows = compared([(case, None) for case in bare.values()])
    for place in PLACES:
        for kind in ("floor", "amplify_mw"):
            rows += compared([(f"{shell}: {size}, {place}: {kind}", bare[size]) for size in sizes])
    return rows


class Crowd:
    """An engine with the default bounds that so many different users have come to.

    Their cookie values are made up and as long as tokens, and the verdicts on them are put where
    and as the library puts them: to sign a million tokens would take a quarter of an hour.
    """

    def __init__(self, mint: Mint, users: int) -> None:
        # Configurations that differ: engines of equal ones would share what they know.
        self.engine = Engine(mint.config.replace(attributes_ttl=60 + users / 1e6))
        self.cache = self.engine.authenticator.verdicts
        (token,) = mint.tokens(1)
        wsgi_call(AmplifyWSGIMiddleware(wsgi_app, self.engine), cookie_header(token))()
        self._model = self.cache.get(token.encode())
        self.cache.discard(token.encode())
        self._numbers = count()
        for _ in range(users):
            self.put()
        self.kept = len(self.cache)

    def put(self) -> None:
        number = next(self._numbers)
        value = b"%032d%b" % (number, self._model.cookie[32:])
        names = f"user-{number:031d}", f"0f3c9a52-6d1e-4b7a-9c55-{number:012d}"
        user = AuthUser(*names, groups=(*self._model.user.groups,))
        told = {"user": user, "cookie": value, "id_token": value}
        self.cache.put(value, replace(self._model, **told))

    def some(self) -> list[bytes]:
        """Cookie values of those that are known, of all ages, in no order."""
        known = list(self.cache)
        return secrets.SystemRandom().sample(known, min(len(known), TURNS))

    def forget(self, values: Sequence[str]) -> None:
        """As if these had never come, and others had not gone for them."""
        for value in values:
            self.cache.discard(value.encode())
        while len(self.cache) < self.kept:
            self.put()


def measure_users(plan: Plan, sizes: Sequence[int], signed: int) -> dict[str, float]:
    mint = Mint()
    crowds = {users: Crowd(mint, users) for users in sizes}
    known: dict[str, Call] = {}
    for users, crowd in crowds.items():
        values = crowd.some()
        entries = {
            value: Entry(crowd.cache.get(value).user, time() + 3600) for value in crowd.cache
        }
        headers = [cookie_header(value.decode()) for value in values]
        _check(crowd.engine, headers[0], crowd.cache.get(values[0]).user.username)
        for shell, (app, floor, middleware, calls) in SHELLS.items():
            known[f"{shell}: {users:,} seen: bare app"] = calls(app, headers)
            known[f"{shell}: {users:,} seen, known: floor"] = calls(floor(app, entries), headers)
            ours = calls(middleware(app, crowd.engine), headers)
            known[f"{shell}: {users:,} seen, known: amplify_mw"] = ours
    times = interleaved(known, plan.rounds, plan.batch)
    return times | _first_seen(plan.rounds, mint.tokens(signed), crowds)


def _first_seen(rounds: int, tokens: Sequence[str], crowds: dict[int, Crowd]) -> dict[str, float]:
    """Microseconds of a first-seen token; `interleaved`, with something to be done between."""
    headers = [cookie_header(token) for token in tokens]
    taken: dict[str, list[float]] = {}
    for crowd in crowds.values():
        _check(crowd.engine, headers[0], username(tokens[0]))
    for _ in range(rounds):
        for users, crowd in crowds.items():
            for shell, (app, _, middleware, calls) in SHELLS.items():
                crowd.forget(tokens)
                call = calls(middleware(app, crowd.engine), headers)
                gc.collect()
                gc.disable()
                seconds = timed(call, len(headers))
                gc.enable()
                assert tokens[-1].encode() in crowd.cache
                case = f"{shell}: {users:,} seen, first seen: amplify_mw"
                taken.setdefault(case, []).append(seconds / len(headers) * 1e6)
    return {case: median(found) for case, found in taken.items()}


def user_rows(shell: str, sizes: Sequence[int]) -> list[Row]:
    bare = {users: f"{shell}: {users:,} seen: bare app" for users in sizes}
    rows = compared([(case, None) for case in bare.values()])
    for kind, limit in LIMITS.items():
        cases = [(f"{shell}: {users:,} seen, {kind}", bare[users]) for users in sizes]
        aim = f"{kind.partition(':')[0]} token after {sizes[-1]:,} users, {shell}: of {sizes[0]}'s"
        rows += compared(cases, limit, aim)
    return rows


def growth_aim(shell: str, sizes: Sequence[int], runs: Sequence[dict[str, float]]) -> Aim:
    """A larger table is slower to read, for the floor as well; how much more so for ours."""

    def growth(run: dict[str, float], kind: str) -> float:
        costs = [
            run[f"{shell}: {users:,} seen, known: {kind}"]
            - run[f"{shell}: {users:,} seen: bare app"]
            for users in (sizes[0], sizes[-1])
        ]
        return costs[1] / costs[0]

    found = Spread.of([growth(run, "amplify_mw") / growth(run, "floor") for run in runs])
    what = f"known token's growth to {sizes[-1]:,} users, {shell}: of the floor's"
    return Aim(what, found, at_most(1.2))


def held_by_crowds(sizes: Sequence[int]) -> Table:
    mint = Mint()
    Crowd(mint, 1)  # what loads lazily is loaded
    rows = []
    for users in sizes:
        crowds: list[Crowd] = []
        held = allocated(lambda users=users, crowds=crowds: crowds.append(Crowd(mint, users)))
        kept = crowds[0].kept
        rows.append((f"{users:,}", f"{kept:,}", f"{held / 2**20:.2f}", f"{held / kept:,.0f}"))
    return Table(
        "What a cache keeps of the users seen (default bounds)",
        ("users seen", "entries kept", "MiB held", "bytes each"),
        rows,
        "What is allocated and not freed after so many users, by tracemalloc, with the engine.",
    )


def tables(plan: Plan = FULL) -> Iterator[Table]:
    few = plan.shorter
    lengths = FEW_COOKIES.get(plan, COOKIES)
    runs = in_processes("benchmarks.growth:header_cases", few, *lengths)
    for shell in SHELLS:
        title = f"What grows with the Cookie header: {shell}"
        yield table(title, header_rows(shell, lengths), runs, unit="shortest")
    sizes = USERS.get(plan, USERS[QUICK])
    runs = in_fresh_processes(measure_users, few, sizes, SIGNED.get(plan, 200))
    for shell in SHELLS:
        title = f"What grows with the users seen: {shell}"
        found = table(title, user_rows(shell, sizes), runs, unit="fewest", about=ABOUT_USERS)
        yield replace(found, aims=[growth_aim(shell, sizes, runs), *found.aims])
    yield held_by_crowds(sizes)


if __name__ == "__main__":
    print(*tables(), sep="\n")
