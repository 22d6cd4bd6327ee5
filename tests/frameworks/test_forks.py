"""`gunicorn --preload`: the middleware is built in the parent, and used in its forked workers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from amplify_mw.testing import LocalUserPool
from tests.frameworks.servers import Servers, Site
from tests.patience import PATIENCE

KEY_FETCHES = {
    "gunicorn-preload": 2,  # each worker its own
    "gunicorn-preload-warm": 1,  # the parent, whose keys the workers were born with
}


@pytest.fixture(params=KEY_FETCHES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(servers: Servers, pool: LocalUserPool, kind: str) -> Iterator[Site]:
    pool.requests.clear()
    server = servers.start(kind, WARM_UP_TOKEN=pool.sign_in("ada").access_token)
    yield Site(server, "flask")
    server.close()


def test_each_worker_authenticates_and_asks_cognito_by_itself(
    site: Site, pool: LocalUserPool, kind: str
) -> None:
    tokens = [pool.sign_in(name).access_token for name in ("ada", "bob")]
    site.get("/static/name")  # it is up, and has asked for nothing yet but to warm up
    with ThreadPoolExecutor() as executor, pool.hold("GetUser") as gate:
        asked = [executor.submit(site.get, "/whoami", token) for token in tokens]
        # A synchronous worker that waits for one takes no other: both of them are waiting now.
        gate.wait_for_arrivals(2, timeout=PATIENCE)
        gate.release()
        answers = [future.result().json() for future in asked]
    assert [answer["username"] for answer in answers] == ["ada", "bob"]
    assert len({answer["pid"] for answer in answers}) == 2
    assert pool.count("jwks") == KEY_FETCHES[kind]
