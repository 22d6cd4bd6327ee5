"""Does a store with very many sessions answer as one with a thousand? What does a session take?

Records of a real session's size, each of another user, are created one by one as sign-ins do, in a
store of 1,000 and in a large one. Then sessions of each are looked up at random, by turns.

    python -m benchmarks            the large store holds 20,000
    python -m benchmarks --million  1,000,000: some minutes, 7 GB of disk and then 4 GB of memory
"""

import os
import random
from collections.abc import Iterator
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, time
from typing import Any

from amplify_mw import StoredSession
from amplify_mw.engine import Engine
from amplify_mw.sessions.record import Record
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.stores.redis import RedisStore
from amplify_mw.stores.sqlite import SQLiteStore

from .harness import FULL, TINY, Call, Plan, Row, in_processes, table
from .memory import allocated
from .sessions import sign_in
from .stored import bare_select, fill_bare
from .tokens import Mint
from .valkey import Valkey, missing

MILLION = 1_000_000
SMALL = {TINY: 20}
LARGE = {TINY: 100}
SAMPLE = 20_000  # look-ups by turns: more than any cache of a reader's own holds
IN_MEMORY = 20_000


def key_of(number: int) -> bytes:
    return sha256(number.to_bytes(8, "big")).digest()


def template() -> Record:
    """The record of a real session, which holds three tokens."""

    class Keeping(MemoryStore):
        def create(self, key, record):
            kept.append(record)
            return super().create(key, record)

    kept: list[Record] = []
    mint = Mint()
    config = mint.config.replace(session=StoredSession(Keeping()))
    sign_in(Engine(config), mint.sets(1))
    (record,) = kept
    return record


def fill(store: Any, sessions: int, like: Record) -> float:
    """Create so many records; seconds that it took."""
    begun, until = perf_counter(), time() + 86_400
    for number in range(sessions):
        assert store.create(key_of(number), record_like(like, number, until))
    return perf_counter() - begun


def record_like(like: Record, number: int, expires_at: float) -> Record:
    """As `like`, of another user and with bytes of its own."""
    return Record(
        value=os.urandom(len(like.value)),  # encrypted text cannot be told from it
        version=0,
        expires_at=expires_at + number % 3600,
        user=f"{like.user[:-12]}{number:012d}",
        handle=f"{number:0{len(like.handle)}d}",
        created_at=like.created_at,
        seen_at=like.seen_at,
        user_agent=like.user_agent,
    )


def some(sessions: int) -> list[bytes]:
    """Keys of sessions at random, each of which is there."""
    draw = random.Random(1)
    return [key_of(draw.randrange(sessions)) for _ in range(SAMPLE)]


def lookups(store: Any, sessions: int) -> Call:
    following = cycle(some(sessions))

    def call():
        assert store.load(next(following)) is not None

    return call


def gets(url: str, sessions: int) -> Call:
    import redis

    get = redis.Redis.from_url(url).get
    following = cycle([b"amplify_mw:s:" + key for key in some(sessions)])

    def call():
        assert get(next(following)) is not None

    return call


def sqlite_cases(folder: str, *counts: str) -> dict[str, Call]:
    cases = {}
    for count in map(int, counts):
        path = os.path.join(folder, f"{count}.db")
        cases[f"SELECT among {count:,}"] = bare_select(f"{path}.bare", some(count))
        cases[f"load among {count:,}"] = lookups(SQLiteStore(path), count)
    return cases


def redis_cases(*servers: str) -> dict[str, Call]:
    cases = {}
    for url, text in zip(servers[::2], servers[1::2], strict=True):
        count = int(text)
        cases[f"GET among {count:,}"] = gets(url, count)
        cases[f"load among {count:,}"] = lookups(RedisStore(url), count)
    return cases


def rows(verb: str, few: int, many: int) -> list[Row]:
    bare = Row(f"{verb} among {few:,}")
    ours = Row(f"load among {few:,}")
    return [
        bare,
        Row(f"{verb} among {many:,}", unit=bare),
        ours,
        Row(f"load among {many:,}", unit=ours, bar=1.5),
    ]


def of_sqlite(plan: Plan, few: int, many: int, like: Record) -> str:
    with TemporaryDirectory(prefix="amplify_mw-benchmark-") as folder:
        for count in (few, many):
            path = os.path.join(folder, f"{count}.db")
            store = SQLiteStore(path)
            seconds = fill(store, count, like)
            store.close()
            size = sum(found.stat().st_size for found in Path(folder).glob(f"{count}.db*"))
            keys = sorted(map(key_of, range(count)))  # in any other order it takes too long
            fill_bare(f"{path}.bare", ((key, os.urandom(len(like.value))) for key in keys))
        runs = in_processes("benchmarks.many:sqlite_cases", plan, folder, str(few), str(many))
    return table(
        f"Looking up one of very many sessions: SQLite ({size / many:,.0f} bytes on disk each, "
        f"{seconds / many * 1e6:.0f} µs to create)",
        rows("SELECT", few, many),
        runs,
        unit="fewer",
    )


def of_redis(plan: Plan, few: int, many: int, like: Record) -> str:
    title = "Looking up one of very many sessions: Valkey"
    if (why := missing()) is not None:
        return f"{title}\n\nskipped ({why})\n"
    with Valkey() as small, Valkey() as large:
        fill(RedisStore(small.url), few, like)
        store, empty = RedisStore(large.url), large.memory()
        seconds = fill(store, many, like)
        size = large.memory() - empty
        servers = (small.url, str(few), large.url, str(many))
        runs = in_processes("benchmarks.many:redis_cases", plan, *servers)
    return table(
        f"{title} ({size / many:,.0f} bytes of memory each, {seconds / many * 1e6:.0f} µs to "
        "create)",
        rows("GET", few, many),
        runs,
        unit="fewer",
    )


def of_memory(sessions: int, like: Record) -> str:
    def filled() -> MemoryStore:
        store = MemoryStore()
        fill(store, sessions, like)
        return store

    held = allocated(filled) / sessions
    return f"A session in MemoryStore: {held:,.0f} bytes ({sessions:,} of them)\n"


def parts(plan: Plan, large: int) -> Iterator[str]:
    """The tables, one by one: each takes its time."""
    plan = plan.shorter
    few, many = SMALL.get(plan, 1_000), LARGE.get(plan, large)
    like = template()
    yield f"A session's record: {len(like.value):,} bytes of tokens, encrypted\n"
    yield of_sqlite(plan, few, many, like)
    yield of_redis(plan, few, many, like)
    yield of_memory(min(many, IN_MEMORY), like)


def tables(plan: Plan = FULL) -> str:
    return "\n".join(parts(plan, 20_000))


if __name__ == "__main__":
    print(tables())
