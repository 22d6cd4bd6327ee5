"""`TokenSession`: what a verdict weighs, and when it ends."""

import gc
import tracemalloc
from typing import Any

import pytest

from amplify_mw.engine.engine import Engine
from amplify_mw.sessions.verdicts import SignedIn
from amplify_mw.testing import LocalUserPool
from tests.visits import visiting


def resolve(engine: Engine, token: str) -> Any:
    """The verdict on a token."""
    cookie = f"{engine.authenticator.config.cookie.name}={token}".encode()
    return engine.driver.run(visiting(engine.authenticator, cookie, engine.clock())).verdict


@pytest.mark.parametrize("count", [0, 10, 100])
def test_a_verdict_knows_about_how_many_bytes_it_holds(pool: LocalUserPool, count: int) -> None:
    engine = Engine(pool.config(keys=pool.jwks()))
    claims = [{"cognito:groups": [f"group{n}-{i:03}" for i in range(count)]} for n in range(41)]
    tokens = [pool.mint("ada", "access", claims=mine) for mine in claims]
    resolve(engine, tokens[-1])  # what is imported and made once is no verdict's
    kept: list[SignedIn] = []
    gc.collect()
    tracemalloc.start()
    try:
        kept.extend(resolve(engine, token) for token in tokens[:40])
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 0.8 < sum(verdict.size for verdict in kept) / held < 1.5


def test_a_verdict_ends_with_its_token_and_the_leeway(pool: LocalUserPool) -> None:
    engine = Engine(pool.config(leeway=7))
    token = pool.mint("ada", claims={"exp": 4_000_000_000})
    assert resolve(engine, token).expires_at == 4_000_000_007
