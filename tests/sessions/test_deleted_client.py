"""An app client that was deleted: its sessions end where Amazon itself says so, and only there."""

from collections.abc import Iterator
from typing import Any

import pytest

from amplify_mw.effects import Rejection, Response
from amplify_mw.testing import LocalUserPool
from tests.sessions.steps import T, World, error, told

OVER = T + 3605.0  # when the tokens of a sign-in at T are no longer good
ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Local0001"
AT_AMAZON = {"endpoint_url": None, "issuer": None}
GONE = error("ResourceNotFoundException", "User pool client local-client does not exist.")
NO_POOL = error("ResourceNotFoundException", "User pool eu-west-1_Local0001 does not exist.")


@pytest.fixture(params=["sealed", "coordinated", "stored"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    time = [0.0]
    pool = LocalUserPool(clock=lambda: time[0], issuer=ISSUER)
    pool.start()
    pool.close()  # nobody can reach it; it signs tokens
    pool.add_user("ada")
    world = World(pool, time, request.param)
    yield world
    for engine in world.engines:
        engine.close()


def visit(world: World, answer: Response, **config: Any) -> Any:
    """What a session comes to whose tokens are over, and what the operator is told."""
    process = world.process(config=config)
    cookie = process.start()
    world.now, world.script = OVER, [answer]
    found = told(process.visit(cookie))
    return found, [(one.code, one.outcome) for one in world.told if isinstance(one, Rejection)]


def test_the_word_of_the_pools_own_endpoint_ends_the_session(world: World) -> None:
    found, said = visit(world, GONE, **AT_AMAZON)
    assert found == ("client_not_found", True)
    assert said == [("ResourceNotFoundException", "such sessions end")]


@pytest.mark.parametrize(
    ("answer", "config"), [(GONE, {}), (NO_POOL, AT_AMAZON)], ids=["elsewhere", "the pool"]
)
def test_any_other_word_may_come_of_a_wrong_address(
    world: World, answer: Response, config: dict[str, Any]
) -> None:
    found, said = visit(world, answer, **config)
    assert found == ("cognito_misconfigured", False)
    assert said == [("ResourceNotFoundException", "sessions are kept meanwhile")]
