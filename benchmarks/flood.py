"""What does a flood of forged tokens cost? A different one each request, of every kind there is.

The unit is a good token that was never seen, in the same process and shell: a forger pays less for
a request than a user's first one costs, if no kind is above 1. As in `first_seen`, the caches hold
half as many entries as there are good tokens, so that each of these is a first one and pays for an
eviction. The forged ones are made of the good ones, so that all are about as long:

- forged signature: the right issuer, client, `kid` and header; the signature is well-formed and
  wrong, which takes a whole RSA verification to see;
- unknown `kid`: another each time. One that claims to be older than the last fetch is refused at
  once; one that says it was issued just now may be of a key that is newer than the key set;
- expired: signed with the right key, which takes the same verification, and run out;
- wrong issuer, `alg` none, garbage (no token at all, and as long).

The key set is fetched over HTTP from a user pool on this machine, which counts. The engine's clock
is the benchmark's own: it stands still while requests are timed; in the flood whose memory and
fetches are looked at, `COOL_DOWNS` times as long passes as the library waits from one fetch to the
next. A good user comes back again and again in the midst of that, and is known every time.
"""

import asyncio
import base64
import gc
import json
import secrets
import socketserver
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice, repeat
from time import time
from typing import NamedTuple

from amplify_mw import AuthError, get_current_user
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.cognito.keys import COOL_DOWN
from amplify_mw.engine.engine import Engine
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .harness import FULL, QUICK, TINY, Plan, Row, in_fresh_processes, interleaved, table
from .report import Aim, Spread, Table, at_most, installed, versions
from .requests import (
    asgi_app,
    asgi_calls,
    cookie_header,
    receive,
    scope,
    send,
    wsgi_app,
    wsgi_call,
    wsgi_calls,
)

GOOD = {TINY: 20}  # signed tokens, which take a millisecond each
FORGED = {TINY: 20}  # of each kind; when all were sent they come again, of which nothing is kept
FLOOD = {FULL: 2_000, QUICK: 500, TINY: 20}  # requests of the small flood
TIMES = 10  # as many in the large one
COOL_DOWNS = 10
VISITS = 20  # requests of the flood between two of the good user's
FRAMES = 20  # of an allocation's stack, which tell whose it is
WARM_UP = {TINY: 20}  # requests before it, which fill what is of a fixed size
FIRST = "first seen"
ABOUT_FLOOD = (
    "What is allocated and not freed, by tracemalloc and without the user pool's own server, after "
    "a flood and\nafter one that is ten times as large; what each further request leaves behind; "
    f"and fetches of the key set after\nthe first, while {COOL_DOWNS} cool-downs pass. A token "
    "with an unknown `kid` that says it was issued just now\nmay be signed with a key that is "
    "newer than the key set: for these one fetch is made after each cool-down,\nhowever many come."
)


class Good(NamedTuple):
    """What forgers work with: tokens of a pool, and some of them that have run out."""

    tokens: Sequence[str]
    expired: Sequence[str]


def _segment(members: dict) -> str:
    content = json.dumps(members, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def changed(token: str, header: dict, claims: dict) -> str:
    """`token` with other members, and a signature that was not made for them."""
    *segments, signature = token.split(".")
    old = [json.loads(base64.urlsafe_b64decode(segment + "==")) for segment in segments]
    new = [{**old[0], **header}, {**old[1], "jti": secrets.token_urlsafe(27), **claims}]
    return ".".join([*map(_segment, new), "" if new[0]["alg"] == "none" else signature])


def missigned(token: str) -> str:
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{signature[:20]}{secrets.token_hex(16)}{signature[52:]}"


def kid() -> dict[str, str]:
    return {"kid": secrets.token_urlsafe(32)}


EXPIRED = "expired"
NEW_KID = "unknown kid, issued just now"
# Why it is refused, and how a good token (and the time) is made into one.
KINDS: dict[str, tuple[str, Callable[[str, int], str]]] = {
    "forged signature": ("bad_signature", lambda token, _: missigned(token)),
    "unknown kid": ("unknown_key", lambda token, now: changed(token, kid(), {"iat": now - 3000})),
    NEW_KID: ("keys_unavailable", lambda token, now: changed(token, kid(), {"iat": now})),
    EXPIRED: ("token_expired", lambda token, _: token),
    "wrong issuer": ("wrong_issuer", lambda token, _: changed(token, {}, {"iss": "https://a.b"})),
    "alg none": ("unsupported_algorithm", lambda token, _: changed(token, {"alg": "none"}, {})),
    "garbage": ("malformed_token", lambda token, _: secrets.token_urlsafe(len(token) * 3 // 4)),
}


def tokens_of(pool, count: int) -> Good:
    attributes = {"given_name": "Ada", "family_name": "Lovelace", "email": "ada@example.com"}
    pool.add_user("ada", groups=["editors"], attributes=attributes)
    long_ago = time() - 7200
    return Good(
        [pool.mint("ada") for _ in range(count)],
        [pool.mint("ada", issued_at=long_ago, expires_in=3600) for _ in range(count)],
    )


def forgeries(kind: str, good: Good, clock: Callable[[], float]) -> Iterator[str]:
    """Cookie headers without end. No two are the same, but for expired ones: these were signed."""
    _, forge = KINDS[kind]
    for token in cycle(good.expired if kind == EXPIRED else good.tokens):
        yield cookie_header(forge(token, int(clock())))


def witnesses(engine: Engine, seen: list[str]) -> tuple:
    """Both shells around apps that note who is signed in, or why nobody is."""

    def note() -> None:
        try:
            seen.append(get_current_user().username)
        except AuthError as error:
            seen.append(error.reason)

    def wsgi(environ, start_response):
        note()
        return wsgi_app(environ, start_response)

    async def asgi(scope, receive, send):
        note()
        await asgi_app(scope, receive, send)

    return AmplifyWSGIMiddleware(wsgi, engine), AmplifyASGIMiddleware(asgi, engine)


def measure(plan: Plan, count: int, forged: int) -> dict[str, float]:
    """Microseconds a request of each kind."""
    from amplify_mw.testing import LocalUserPool

    with LocalUserPool() as pool:
        good = tokens_of(pool, count)
        clock = repeat(time()).__next__
        headers = {FIRST: [cookie_header(token) for token in good.tokens]}
        for kind in KINDS:
            headers[kind] = list(islice(forgeries(kind, good, clock), forged))
        config = pool.config(cache_entries=count // 2)
        # An engine each: what one shell has seen is not to be known to the other.
        engines = [Engine(config, clock), Engine(config, clock)]
        for engine in engines:
            _check(engine, {kind: some[0] for kind, some in headers.items()})
        fetched = pool.count("jwks")
        assert fetched == len(engines)
        shells = {
            "WSGI": (wsgi_app, AmplifyWSGIMiddleware(wsgi_app, engines[0]), wsgi_calls),
            "ASGI": (asgi_app, AmplifyASGIMiddleware(asgi_app, engines[1]), asgi_calls),
        }
        cases = {}
        for shell, (app, ours, calls) in shells.items():
            cases[f"{shell}: bare app"] = calls(app, headers[FIRST])
            for kind, some in headers.items():
                cases[f"{shell}: {kind}"] = calls(ours, some)
        times = interleaved(cases, plan.rounds, plan.batch)
        assert pool.count("jwks") == fetched
        for engine in engines:
            engine.close()
    return times


def _check(engine: Engine, headers: dict[str, str]) -> None:
    """What is timed works: the good one is a user's, the others are refused for what they are."""
    seen: list[str] = []
    app, _ = witnesses(engine, seen)
    for header in headers.values():
        wsgi_call(app, header)()
    assert seen == ["ada", *(reason for reason, _ in KINDS.values())], seen


class Flooded(NamedTuple):
    """What a flood came to: bytes held after the small and the large one, and fetches."""

    held: tuple[int, int]
    fetches: int


def bytes_held() -> int:
    """What is allocated and not freed, but for the user pool's server, which is in this process."""
    gc.collect()
    others = [socketserver.__file__, tracemalloc.__file__]
    snapshot = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(False, file, all_frames=True) for file in others]
    )
    return sum(trace.size for trace in snapshot.traces)


def flooded(kind: str, requests: int, warm_up: int, pool, good: Good) -> Flooded:
    """Floods of one kind, through both shells by turns, on one event loop."""
    seen: list[str] = []
    now = time()

    def clock() -> float:
        return now

    engine = Engine(pool.config(), clock)
    wsgi, asgi = witnesses(engine, seen)
    user = wsgi_call(wsgi, cookie_header(good.tokens[0]))
    forged = forgeries(kind, good, clock)

    async def flood(count: int, seconds: float) -> int:
        nonlocal now
        for number in range(count):
            now += seconds / count
            if number % VISITS == 0:
                user()
                assert seen.pop() == "ada"
                assert verdicts.get(good.tokens[0].encode()) is known
            if number % 2:
                wsgi_call(wsgi, next(forged))()
            else:
                await asgi(scope(next(forged)), receive, send)
            assert seen.pop() == KINDS[kind][0]
        return bytes_held()

    async def both() -> tuple[int, int]:
        small = COOL_DOWN * COOL_DOWNS / TIMES
        tracemalloc.start(FRAMES)
        await flood(warm_up, 2 * COOL_DOWN)
        pool.requests.clear()
        first = await flood(requests, small)
        return first, await flood(requests * (TIMES - 1), small * (TIMES - 1))

    user()
    seen.clear()
    verdicts = engine.authenticator.verdicts
    known = verdicts.get(good.tokens[0].encode())
    assert known is not None
    assert pool.count("jwks") == 1
    try:
        held = asyncio.run(both())
    finally:
        tracemalloc.stop()
        engine.close()
    return Flooded(held, pool.count("jwks"))


def measure_floods(_: Plan, requests: int, warm_up: int, count: int) -> dict[str, Flooded]:
    from amplify_mw.testing import LocalUserPool

    with LocalUserPool() as pool:
        good = tokens_of(pool, count)
        found = {}
        for kind in KINDS:
            pool.requests.clear()
            found[kind] = flooded(kind, requests, warm_up, pool, good)
        return found


def cost_rows(shell: str) -> list[Row]:
    bare = f"{shell}: bare app"
    unit = Row(f"{shell}: {FIRST}", bare)
    aim = "flood of {}, {}: of a first-seen token's cost"
    forged = [
        Row(f"{shell}: {kind}", bare, unit, at_most(1.0), aim.format(kind, shell)) for kind in KINDS
    ]
    return [Row(bare), unit, *forged]


def flood_table(floods: dict[str, Flooded], requests: int) -> Table:
    rows, aims = [], []
    for kind, (held, fetches) in floods.items():
        growth = (held[1] - held[0]) / (requests * (TIMES - 1))
        kibibytes = [f"{some / 1024:.1f}" for some in held]
        rows.append((kind, *kibibytes, f"{growth:.2f}", str(fetches)))
        aims.append(Aim(f"flood of {kind}: bytes a request", Spread.of([growth]), at_most(1)))
        # One may bring a fetch after each cool-down, the others none.
        per, limit = ("cool-down", 1) if kind == NEW_KID else ("flood", 0)
        what = f"flood of {kind}: fetches after the first, each {per}"
        some = fetches / (COOL_DOWNS if kind == NEW_KID else 1)
        aims.append(Aim(what, Spread.of([some]), at_most(limit)))
    sizes = [f"KiB after {some:,}" for some in (requests, requests * TIMES)]
    head = ("", *sizes, "bytes each", "fetches")
    return Table("What a flood leaves behind", head, rows, ABOUT_FLOOD, aims=aims)


def tables(plan: Plan = FULL) -> Iterator[Table]:
    count, forged = GOOD.get(plan, 400), FORGED.get(plan, 2_000)
    if installed("werkzeug") is None:  # the user pool's server
        yield Table("What a flood costs", ("",), [], notes=["Left out: there is no werkzeug."])
        return
    runs = in_fresh_processes(measure, plan, count, forged)
    for shell in ("WSGI", "ASGI"):
        yield table(
            f"What a flood of forged tokens costs: {shell}",
            cost_rows(shell),
            runs,
            unit="first-seen",
            notes=[versions(["cryptography", "joserfc"])],
        )
    requests = FLOOD.get(plan, FLOOD[QUICK])
    sizes = (requests, WARM_UP.get(plan, 1_000), count)
    (floods,) = in_fresh_processes(measure_floods, replace(plan, processes=1), *sizes)
    yield flood_table(floods, requests)


if __name__ == "__main__":
    print(*tables(), sep="\n")
