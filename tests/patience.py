"""How long a test waits for what must come: for what hangs, and never for what is slow."""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar
from weakref import WeakSet

from amplify_mw import AmplifyConfig, AmplifyCookies, SealedSession, StoredSession
from amplify_mw.engine.flights import Flights
from amplify_mw.stores.postgres.store import PostgresStore
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.server import Gate

T = TypeVar("T")

PATIENCE: Final = 300.0  # seconds; a machine may have eight other things to do
A_MINUTE: Final = 60.0  # the longest that an `http_timeout` may be
_flights: "Final[WeakSet[Flights]]" = WeakSet()


def be_patient() -> None:
    """Let stores and pools take a minute for an answer, and requests wait a minute for new tokens.

    Unless a test names another time.

    A shorter one is for what is silent until the test is over, or until the test wakes it.
    """
    for store in (PostgresStore, RedisStore, SQLiteStore):
        store.__init__.__kwdefaults__["timeout"] = A_MINUTE
    for kind in (SealedSession, StoredSession, AmplifyCookies):
        init: Any = kind.__init__
        init.__wrapped__.__kwdefaults__["patience"] = A_MINUTE
    start = Flights.after_fork

    def noted(flights: Flights) -> None:
        _flights.add(flights)
        start(flights)

    Flights.after_fork = noted  # type: ignore[method-assign]
    Gate.wait_for_arrivals.__kwdefaults__["timeout"] = PATIENCE
    config = LocalUserPool.config

    def patient(pool: LocalUserPool, **overrides: Any) -> AmplifyConfig:
        return config(pool, **{"http_timeout": A_MINUTE, **overrides})

    LocalUserPool.config = patient  # type: ignore[method-assign]


def let_land() -> None:
    """Wait for what nobody waits for, such as a revocation, while there is a pool to answer it.

    The log of a later test would have a word about it otherwise.
    """
    until(lambda: not any(flights._airborne for flights in list(_flights)))


def until(condition: Callable[[], T]) -> T:
    """What `condition()` gave when it came true, for what tells nobody when it happens.

    The breaks are for the others on the machine, such as the server that is waited for.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if came := condition():
            return came
        time.sleep(0.002)
    raise AssertionError("it never came true")
