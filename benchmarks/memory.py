"""What does a cache hold? Bytes of a cached verdict, and of cached attributes.

Measured with tracemalloc: what is allocated after as many requests of different users, by the
number of users. It includes the cache's own tables and the key, which a verdict shares.
"""

import gc
import json
import os
import secrets
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from amplify_mw import SealedSession, StoredSession
from amplify_mw.cognito.api import read_get_user
from amplify_mw.cognito.attributes import Attributes
from amplify_mw.effects import Response, Sized
from amplify_mw.engine.cache import BoundedCache
from amplify_mw.engine.engine import Engine
from amplify_mw.sessions.verdicts import SignedIn
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.wsgi import AmplifyWSGIMiddleware

from .harness import FULL, QUICK, TINY, Plan
from .report import Table
from .requests import cookie_header, wsgi_app, wsgi_call
from .sessions import sign_in
from .tokens import Mint

USERS = {FULL: 10_000, QUICK: 1_000, TINY: 20}
LASTING = 1_000  # users at most
ROOMY = {"cache_entries": 1_000_000, "cache_bytes": 10**12}


@dataclass(frozen=True)
class Held:
    """What a cache holds for so many users, in bytes, and what it says of that."""

    what: str
    held: int
    content: int
    counted: int
    users: int

    @property
    def cells(self) -> tuple[str, ...]:
        each = [f"{size / self.users:,.0f}" for size in (self.held, self.content, self.counted)]
        ratios = [f"{self.held / self.content:.2f}", f"{self.counted / self.held:.2f}"]
        return (self.what, f"{self.users:,}", *each[:2], ratios[0], each[2], ratios[1])


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


def kept_by(engine: Engine, values: Iterable[str]) -> list[SignedIn]:
    """The verdicts that the engine has at hand for cookies with these values."""
    found = (engine.authenticator.verdicts.get(value.encode()) for value in values)
    return [verdict for verdict in found if verdict is not None]


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


def _verdicts(mint: Mint, tokens: list[str], cookies: list[str]) -> Held:
    engine = Engine(mint.config.replace(**ROOMY))
    held = allocated(visits(engine, cookies))
    verdicts = kept_by(engine, tokens)
    assert len(verdicts) == len(tokens)
    return Held("verdict on a token", held, sum(map(len, tokens)), _size_of(verdicts), len(tokens))


def _lasting(mint: Mint, users: int) -> Iterator[Held]:
    """The same for sessions that last: a verdict of theirs holds three tokens."""
    sets = mint.sets(users)
    with TemporaryDirectory(prefix="amplify_mw-benchmark-") as folder:
        store = SQLiteStore(os.path.join(folder, "sessions.db"))
        kinds = {
            "sealed": SealedSession(keys=[secrets.token_bytes(32)]),
            "stored": StoredSession(store),
        }
        for name, kind in kinds.items():
            config = mint.config.replace(session=kind)
            values = sign_in(Engine(config), sets)
            cookies = [cookie_header(value) for value in values]
            visits(Engine(config), cookies[:10])()
            engine = Engine(config.replace(**ROOMY))
            held = allocated(visits(engine, cookies))
            verdicts = kept_by(engine, values)
            assert len(verdicts) == users
            content = sum(len(token) for tokens in sets for token in tokens.values())
            content += sum(map(len, values))
            yield Held(f"verdict on a {name} session", held, content, _size_of(verdicts), users)
        store.close()


def _attributes(users: int) -> Held:
    cache = BoundedCache(1_000_000, 10**12)
    fill_attributes(BoundedCache(10, 1 << 20), 1)
    held = allocated(lambda: fill_attributes(cache, users))
    kept = [cache.get(key_of(number)) for number in range(users)]
    content = sum(len(name) + len(value) for each in kept for name, value in each.values.items())
    return Held("a user's attributes", held, content, _size_of(kept), users)


def _size_of(kept: Iterable[Sized]) -> int:
    return sum(each.size for each in kept)


def _bounds(mint: Mint, tokens: list[str], cookies: list[str]) -> Iterator[tuple[str, ...]]:
    """More users than fit, with each bound in turn as the tighter one."""
    few = max(len(cookies) // 2, 1)
    by_entries = Engine(mint.config.replace(cache_entries=few, cache_bytes=10**12))
    held = allocated(visits(by_entries, cookies))
    kept = len(kept_by(by_entries, tokens))
    assert kept <= few
    yield (f"{few:,} entries", f"{len(cookies):,}", f"{kept:,}", f"{held / 1024:,.0f}", "")
    bound = len(cookies) * 1024
    by_bytes = Engine(mint.config.replace(cache_entries=1_000_000, cache_bytes=bound))
    held = allocated(visits(by_bytes, cookies))
    kept = len(kept_by(by_bytes, tokens))
    assert 0 < kept < len(cookies)
    cells = (f"{len(cookies):,}", f"{kept:,}", f"{held / 1024:,.0f}", f"{held / bound:.2f}")
    yield (f"{bound // 1024:,} KiB", *cells)


def tables(plan: Plan = FULL) -> Iterator[Table]:
    users = USERS.get(plan, 1_000)
    mint = Mint()
    tokens = mint.tokens(users)
    cookies = [cookie_header(token) for token in tokens]
    visits(Engine(mint.config), cookies[:10])()  # what loads lazily is loaded
    found = [_verdicts(mint, tokens, cookies), *_lasting(mint, min(users, LASTING))]
    found.append(_attributes(users))
    yield Table(
        "What one entry of a cache holds, in bytes",
        ("", "users", "held", "content", "held / content", "counted", "counted / held"),
        [each.cells for each in found],
        about="Content: the tokens and the cookie, or the names and values. Counted: what the "
        "cache, which is\nbounded by bytes, believes (`size`).",
    )
    yield Table(
        "What a cache keeps when more comes than fits",
        ("bound", "users", "kept", "KiB held", "held / bound"),
        list(_bounds(mint, tokens, cookies)),
    )


if __name__ == "__main__":
    print(*tables(), sep="\n")
