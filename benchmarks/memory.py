"""What does the memory of a cache hold? Bytes of a cached verdict, and of cached attributes.

Measured with tracemalloc: what is allocated after as many requests of different users, by the
number of users. It includes the cache's own tables and the key, which a verdict shares.
"""

import gc
import json
import os
import secrets
import time
import tracemalloc
from collections.abc import Callable
from tempfile import TemporaryDirectory

from amplify_mw import SealedSession, StoredSession
from amplify_mw.cognito.api import read_get_user
from amplify_mw.cognito.attributes import Attributes
from amplify_mw.drive import BoundedCache
from amplify_mw.effects import Response
from amplify_mw.engine import Engine
from amplify_mw.sessions.base import SignedIn
from amplify_mw.stores.sqlite import SQLiteStore
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .harness import FULL, QUICK, TINY, Plan
from .requests import cookie_header, wsgi_app, wsgi_call
from .sessions import sign_in
from .tokens import Mint

USERS = {FULL: 10_000, QUICK: 1_000, TINY: 20}
LASTING = 1_000  # users at most
ROOMY = {"cache_entries": 1_000_000, "cache_bytes": 10**12}


def allocated(work: Callable[[], object]) -> int:
    """Bytes that are held after `work` and were not before."""
    gc.collect()
    tracemalloc.start()
    try:
        result = work()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    del result
    return held


def kept_by(engine: Engine, cookies: list[str]) -> list[SignedIn]:
    """The verdicts that the engine has at hand for these `Cookie` headers."""
    visits = (engine.authenticator.peek(cookie.encode(), time.time()) for cookie in cookies)
    return [visit.verdict for visit in visits if visit is not None]


def visits(engine: Engine, cookies: list[str]) -> Callable[[], object]:
    """A request of each of `cookies`."""
    app = AmplifyWSGIMiddleware(wsgi_app, engine)

    def work():
        for cookie in cookies:
            wsgi_call(app, cookie)()
        return app

    return work


def get_user_answer(number: int) -> bytes:
    values = {
        "sub": f"0f3c9a52-6d1e-4b7a-9c55-{number:012d}",
        "email": f"ada.lovelace.{number}@example.com",
        "email_verified": "true",
        "given_name": "Ada",
        "family_name": f"Lovelace-{number}",
        "phone_number": f"+44{number:010d}",
        "phone_number_verified": "false",
        "locale": "en-GB",
        "zoneinfo": "Europe/London",
        "custom:tenant": f"tenant-{number % 97}",
    }
    members = [{"Name": name, "Value": value} for name, value in values.items()]
    return json.dumps({"Username": "ada", "UserAttributes": members}).encode()


def key_of(number: int) -> bytes:
    """As long as the digest that is the key there."""
    return number.to_bytes(32, "big")


def fill_attributes(cache: BoundedCache, users: int) -> object:
    until = time.time() + 60
    for number in range(users):
        values = read_get_user(Response(200, {}, get_user_answer(number)))
        cache.put(key_of(number), Attributes(values, until))
    return cache


def tables(plan: Plan = FULL) -> str:
    users = USERS.get(plan, 1_000)
    mint = Mint()
    tokens = mint.tokens(users)
    cookies = [cookie_header(token) for token in tokens]
    visits(Engine(mint.config), cookies[:10])()  # what loads lazily is loaded
    parts = [
        _verdicts(mint, tokens, cookies),
        _lasting(mint, min(users, LASTING)),
        _attributes(users),
        _bounds(mint, cookies),
    ]
    return "\n".join(parts)


def _verdicts(mint: Mint, tokens: list[str], cookies: list[str]) -> str:
    engine = Engine(mint.config.replace(**ROOMY))
    held = allocated(visits(engine, cookies))
    verdicts = kept_by(engine, cookies)
    assert len(verdicts) == len(tokens)
    length = sum(map(len, tokens)) / len(tokens)
    said = sum(verdict.size for verdict in verdicts) / len(tokens)
    each = held / len(tokens)
    return (
        f"Cached verdicts of {len(tokens)} users, bytes each\n\n"
        f"held             {each:8.0f}\n"
        f"its token        {length:8.0f}\n"
        f"all but that     {each - length:8.0f}\n"
        f"counted (`size`) {said:8.0f}   {said / each:.2f} of what is held\n"
    )


def _lasting(mint: Mint, users: int) -> str:
    """The same for sessions that last: a verdict of theirs holds three tokens."""
    sets = mint.sets(users)
    lines = [f"Cached verdicts of sessions that last ({users} of each), bytes each", ""]
    with TemporaryDirectory(prefix="amplify_mw-benchmark-") as folder:
        store = SQLiteStore(os.path.join(folder, "sessions.db"))
        for kind in (SealedSession(keys=[secrets.token_bytes(32)]), StoredSession(store)):
            config = mint.config.replace(session=kind)
            values = sign_in(Engine(config), sets)
            cookies = [cookie_header(value) for value in values]
            visits(Engine(config), cookies[:10])()
            engine = Engine(config.replace(**ROOMY))
            each = allocated(visits(engine, cookies)) / users
            verdicts = [engine.authenticator.verdicts[value.encode()] for value in values]
            said = sum(verdict.size for verdict in verdicts) / users
            name = type(kind).__name__
            lines.append(
                f"{name:16} held {each:8.0f}   counted (`size`) {said:8.0f}   "
                f"{said / each:.2f} of what is held"
            )
        store.close()
    return "\n".join([*lines, ""])


def _attributes(users: int) -> str:
    cache = BoundedCache(1_000_000, 10**12)
    fill_attributes(BoundedCache(10, 1 << 20), 1)
    held = allocated(lambda: fill_attributes(cache, users)) / users
    said = sum(cache.get(key_of(number)).size for number in range(users)) / users
    return (
        f"Cached attributes of {users} users, bytes each\n\n"
        f"held             {held:8.0f}\n"
        f"counted (`size`) {said:8.0f}   {said / held:.2f} of what is held\n"
    )


def _bounds(mint: Mint, cookies: list[str]) -> str:
    """More users than fit, with each bound in turn as the tighter one."""
    few = max(len(cookies) // 2, 1)
    by_entries = Engine(mint.config.replace(cache_entries=few, cache_bytes=10**12))
    held = allocated(visits(by_entries, cookies))
    kept = len(kept_by(by_entries, cookies))
    assert kept <= few
    lines = [
        "What a cache keeps when more comes than fits",
        "",
        f"{'bound':32}{'users':>8}{'kept':>8}{'KiB held':>12}",
        f"{f'{few} entries':32}{len(cookies):>8}{kept:>8}{held / 1024:>12.0f}",
    ]
    bound = len(cookies) * 1024
    by_bytes = Engine(mint.config.replace(cache_entries=1_000_000, cache_bytes=bound))
    held = allocated(visits(by_bytes, cookies))
    kept = len(kept_by(by_bytes, cookies))
    assert 0 < kept < len(cookies)
    bytes_line = f"{bound // 1024} KiB"
    lines.append(f"{bytes_line:32}{len(cookies):>8}{kept:>8}{held / 1024:>12.0f}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(tables())
