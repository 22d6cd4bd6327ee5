"""`RedisStore` with credentials that are asked for at each connection, and change."""

import asyncio
import logging
import pickle
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from redis.credentials import CredentialProvider

from amplify_mw.errors import ConfigurationError
from amplify_mw.sessions.record import Record
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.redis.credentials import left_out
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing.store_contract import KEY
from tests.stores.redis_tools import Way
from tests.valkey import Valkey

SECRETS = ("a-secret-1", "a-secret-2")


class Renewed:
    """A provider whose password is renewed, as a cloud's tokens are."""

    def __init__(self) -> None:
        self.password = SECRETS[0]
        self.times_asked = 0
        self.threads: set[int] = set()

    def __call__(self) -> tuple[str, str]:
        self.times_asked += 1
        self.threads.add(threading.get_ident())
        return "web", self.password


class Blocking(CredentialProvider):
    """redis-py's kind of provider, without an awaited way."""

    def __init__(self, ask: Renewed) -> None:
        self._ask = ask

    def get_credentials(self) -> tuple[str, str]:
        return self._ask()


class Awaited(Blocking):
    """The same, with one."""

    async def get_credentials_async(self) -> tuple[str, str]:
        await asyncio.sleep(0)
        return self._ask()


def of_a_module() -> tuple[str, str]:
    return "web", SECRETS[0]


def fails() -> tuple[str, str]:
    raise RuntimeError(SECRETS[0])


def set_password(server: Valkey, password: str) -> None:
    server.do(*f"ACL SETUSER web on resetpass >{password} ~* &* +@all".split())


@pytest.fixture
def server(own_valkey: Valkey) -> Valkey:
    """A server that takes the first password."""
    set_password(own_valkey, SECRETS[0])
    return own_valkey


@pytest.fixture
def renewed() -> Renewed:
    return Renewed()


@pytest.fixture(params=["callable", "blocking", "awaited"])
def provider(request: pytest.FixtureRequest, renewed: Renewed) -> Any:
    kinds = {"callable": renewed, "blocking": Blocking(renewed), "awaited": Awaited(renewed)}
    return kinds[request.param]


@pytest.fixture
def guarded(server: Valkey, provider: Any) -> Iterator[RedisStore]:
    store = RedisStore(server.url, credentials=provider)
    yield store
    store.close()


def test_a_provider_is_asked_for_each_connection_and_no_more(
    guarded: RedisStore,
    renewed: Renewed,
    record: Record,
    ask: Way,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert ask(guarded, "create", KEY, record)
    assert ask(guarded, "load", KEY) == record

    assert renewed.times_asked == 1
    assert not caplog.records


def test_a_blocking_provider_never_runs_on_the_loops_thread(
    guarded: RedisStore, provider: Any, renewed: Renewed
) -> None:
    with Way.awaiting() as way:
        way(guarded, "load", KEY)

    assert (threading.get_ident() in renewed.threads) == isinstance(provider, Awaited)


def test_a_password_that_is_renewed_is_found_by_itself(
    server: Valkey, guarded: RedisStore, renewed: Renewed, record: Record, ask: Way
) -> None:
    assert ask(guarded, "create", KEY, record)
    set_password(server, SECRETS[1])
    assert ask(guarded, "load", KEY) == record  # a connection outlives its password

    drop_connections(server)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="wrong user name or password") as failed:
            ask(guarded, "load", KEY)
        assert "a-secret" not in "".join(traceback.format_exception(failed.value))

    renewed.password = SECRETS[1]
    assert ask(guarded, "load", KEY) == record


def test_a_user_who_was_made_anew_is_logged_in_again(
    server: Valkey, guarded: RedisStore, renewed: Renewed, record: Record, ask: Way
) -> None:
    assert ask(guarded, "create", KEY, record)
    server.do("ACL", "DELUSER", "web")
    set_password(server, SECRETS[1])
    renewed.password = SECRETS[1]

    assert ask(guarded, "load", KEY) == record


def test_old_connections_are_renewed_with_new_credentials(
    guarded: RedisStore, renewed: Renewed, ask: Way
) -> None:
    ask(guarded, "load", KEY)
    guarded._connections._pools._until = 0.0

    ask(guarded, "load", KEY)

    assert renewed.times_asked == 2


def drop_connections(server: Valkey) -> None:
    with server.client() as client:
        for found in client.client_list():
            if found["name"] == "amplify_mw":
                client.client_kill_filter(_id=found["id"])


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        (fails, "CREDENTIALS: credentials= has raised RuntimeError"),
        (lambda: SECRETS[0], "must return a pair of texts"),
        (lambda: ("web", None), "must return a pair of texts"),
        (lambda: ("web", SECRETS[0], "more"), "must return a pair of texts"),
        (left_out, "was left out of the store's pickle"),
    ],
)
def test_a_provider_that_fails_is_an_outage_that_shows_no_secret(
    server: Valkey, ask: Way, provider: Any, said: str
) -> None:
    store = RedisStore(server.url, credentials=provider)

    with pytest.raises(StoreUnavailable, match=said) as failed:
        ask(store, "load", KEY)
    assert "a-secret" not in "".join(traceback.format_exception(failed.value))


def test_a_url_with_a_password_needs_no_credentials() -> None:
    with pytest.raises(ConfigurationError, match="leave user and password out of the url"):
        RedisStore("redis://:a-secret@127.0.0.1", credentials=of_a_module)


async def awaited() -> tuple[str, str]:
    return "web", "a-secret"


@pytest.mark.parametrize("provider", ["web", ("web", "a-secret"), 5, awaited])
def test_credentials_that_cannot_be_asked_are_refused(provider: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"credentials: a function") as refused:
        RedisStore("redis://127.0.0.1", credentials=provider)
    assert "a-secret" not in str(refused.value)


def test_a_pickle_names_a_function_and_leaves_an_object_out(renewed: Renewed) -> None:
    by_name = RedisStore("redis://127.0.0.1", credentials=of_a_module)
    as_object = RedisStore("redis://127.0.0.1", credentials=Blocking(renewed))
    as_closure = RedisStore("redis://127.0.0.1", credentials=lambda: renewed())

    for store in (by_name, as_object, as_closure):
        pickled = pickle.dumps(store)
        assert pickle.loads(pickled) is store
        assert b"a-secret" not in pickled
        assert "a-secret" not in repr(store)
    assert [each.__reduce__()[1][2]["credentials"] for each in (by_name, as_object)] == [
        of_a_module,
        left_out,
    ]


def test_a_local_cache_logs_in_as_well(
    server: Valkey, renewed: Renewed, record: Record, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.patience import until

    store = RedisStore(server.url, credentials=renewed, local_cache=60)
    assert store.create(KEY, record)

    def is_near() -> bool:
        store.load(KEY)
        assert store._listener is not None
        return store._listener.cache.find(KEY) is not None

    with caplog.at_level(logging.WARNING, "amplify_mw"):
        until(is_near)
    assert not caplog.records
    store.close()
