"""The steps of `RedisStore`: their round trips, their scripts, and answers that get lost."""

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest
import redis

from amplify_mw.sessions.record import ENDED, LONGEST_LEASE, Record, asks_again, tombstone
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.redis import scripts
from amplify_mw.stores.redis.commands import Batch, Commands
from amplify_mw.stores.redis.exchange import Lending
from amplify_mw.stores.redis.records import FENCE_AT, HELD_UNTIL_AT, TAKER_AT, unpack
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing.store_contract import KEY, LONG, OTHER, THIRD
from tests.patience import until
from tests.stores.redis_tools import Relay, Trips, Way
from tests.valkey import Valkey, free_port

SESSION = b"amplify_mw:s:" + KEY
LIST = Commands(b"amplify_mw:").list_of("ada")


@pytest.fixture
def trips(store: RedisStore) -> Trips:
    return Trips(store)


@pytest.fixture
def another(own_valkey: Valkey) -> Iterator[RedisStore]:
    """The store of another process, which has not seen any session yet."""
    store = RedisStore(own_valkey.url)
    yield store
    store.close()


def found(store: RedisStore) -> Record:
    """The record as it is loaded, with its stamp."""
    record = store.load(KEY)
    assert record is not None
    return record


# Round trips

STEPS: dict[str, tuple[tuple[Any, ...], int]] = {
    "load": ((KEY,), 1),
    "replace": ((KEY, Record(b"new", 9, 4e9, "ada")), 1),
    "acquire": ((KEY, LONG), 1),
    "acquire_and_load": ((KEY, LONG), 1),
    "renew": ((KEY, 1, LONG), 1),
    "release": ((KEY, 1), 1),
    "replace_and_release": ((KEY, Record(b"new", 9, 4e9, "ada"), 1), 1),
    "delete": ((KEY,), 1),
    "end": ((KEY,), 1),
    "of_user": (("ada",), 2),
    "end_of_user": (("ada",), 2),
}


@pytest.mark.parametrize("method", STEPS)
def test_a_step_takes_so_many_trips(
    store: RedisStore, trips: Trips, kept: Record, ask: Way, method: str
) -> None:
    arguments, expected = STEPS[method]

    assert trips.of(lambda: ask(store, method, *arguments)) == expected


def test_a_sign_in_takes_one_trip_its_list_first(
    store: RedisStore, trips: Trips, record: Record, ask: Way
) -> None:
    assert trips.of(lambda: ask(store, "create", KEY, record)) == 1

    (batch,) = trips.batches
    assert [command.key for command in batch.commands] == [LIST, SESSION]
    assert batch.in_order


def test_a_known_read_takes_one_trip_and_moves_a_few_bytes(
    store: RedisStore, trips: Trips, own_valkey: Valkey, record: Record, ask: Way
) -> None:
    store.create(KEY, replace(record, value=bytes(20_000)))
    known = found(store)
    ask(store, "reload", KEY, known)  # opens the connection that is used
    with own_valkey.client() as client:
        before = moved(client)

        assert trips.of(lambda: ask(store, "reload", KEY, known)) == 1

        assert 0 < moved(client) - before < 200
    (command,) = trips.commands
    assert command.words[0] == "GETRANGE"


def moved(client: Any) -> int:
    """The bytes that the server has exchanged with stores."""
    of_stores = [found for found in client.client_list() if found["name"] == "amplify_mw"]
    if "tot-net-in" not in of_stores[0]:
        pytest.skip("this server does not count the bytes of a connection")
    return sum(int(found["tot-net-in"]) + int(found["tot-net-out"]) for found in of_stores)


def test_a_read_of_what_has_changed_takes_two_trips(
    store: RedisStore, trips: Trips, kept: Record, ask: Way
) -> None:
    known, new = found(store), replace(kept, value=b"new")
    store.replace(KEY, new)

    answers: list[Record] = []
    assert trips.of(lambda: answers.append(ask(store, "reload", KEY, known))) == 2

    assert answers == [new]
    assert answers[0].stamp != known.stamp


def test_a_read_of_what_is_gone_takes_one_trip(
    store: RedisStore, trips: Trips, kept: Record, ask: Way
) -> None:
    known = found(store)
    store.delete(KEY)
    with_value = replace(known, stamp=b"")

    assert ask(store, "reload", KEY, known) is None
    assert ask(store, "reload", KEY, with_value) is None


def test_a_record_that_is_known_is_returned_itself(
    store: RedisStore, kept: Record, ask: Way
) -> None:
    known = found(store)

    assert ask(store, "reload", KEY, known) is known


def test_a_lease_is_no_change(store: RedisStore, kept: Record, ask: Way) -> None:
    known = found(store)
    fence = store.acquire(KEY, LONG)
    assert fence is not None
    store.renew(KEY, fence, LONG)

    assert ask(store, "reload", KEY, known) is known
    store.release(KEY, fence)
    assert ask(store, "reload", KEY, known) is known


def test_a_write_of_the_same_record_is_a_change(store: RedisStore, kept: Record, ask: Way) -> None:
    known = found(store)
    store.replace(KEY, known)

    again = ask(store, "reload", KEY, known)

    assert again == known
    assert again.stamp != known.stamp


@pytest.mark.parametrize("value", [b"", b"x", b"garbage" * 9])
def test_garbage_is_not_found_by_who_knows_a_record(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way, value: bytes
) -> None:
    known = found(store)
    with own_valkey.client() as client:
        client.set(SESSION, value)

    assert ask(store, "reload", KEY, known) is None
    with own_valkey.client() as client:
        client.delete(SESSION)
        client.rpush(SESSION, value)
    assert ask(store, "reload", KEY, known) is None


def test_a_sign_out_by_a_process_that_knows_no_list_takes_another_trip(
    another: RedisStore, kept: Record, own_valkey: Valkey, ask: Way
) -> None:
    trips = Trips(another)

    assert trips.of(lambda: ask(another, "end", KEY)) == 2

    with own_valkey.client() as client:
        assert not client.exists(LIST)


def test_what_must_survive_a_failover_says_so(
    store: RedisStore, trips: Trips, kept: Record
) -> None:
    def last_says_so(method: str, *arguments: Any) -> bool:
        trips.of(lambda: getattr(store, method)(*arguments))
        return trips.batches[-1].to_replicas

    assert not last_says_so("replace", KEY, kept)
    assert not last_says_so("acquire_and_load", KEY, LONG)
    assert last_says_so("replace_and_release", KEY, kept, 1)
    assert last_says_so("end_of_user", "ada")
    assert last_says_so("replace", KEY, tombstone(kept.expires_at))
    assert last_says_so("end", KEY)
    assert last_says_so("end", KEY, True)
    assert last_says_so("delete", KEY)


# Scripts


@pytest.fixture(scope="module")
def cluster_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A node of a Redis Cluster, which has all slots."""
    enabled = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    server = Valkey(tmp_path_factory.mktemp("cluster"), *enabled)
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        until(lambda: "'cluster_state': 'ok'" in str(client.execute_command("CLUSTER INFO")))
    yield server
    server.stop()


def test_each_command_touches_one_key_and_says_which(
    store: RedisStore, trips: Trips, record: Record
) -> None:
    store.create(KEY, record)
    for method, (arguments, _) in STEPS.items():
        getattr(store, method)(*arguments)
        store.create(OTHER, record)
    store.reload(OTHER, record)
    store.end(OTHER, True)

    used = set()
    for words, key, _ in trips.commands:
        if words[0] == "EVAL":
            used.add(words[1])
            assert words[2:4] == (1, key)
        else:
            assert words[1] == key
    assert used == set(scripts.ALL)


@pytest.mark.parametrize("script", scripts.ALL)
def test_a_script_names_no_other_key(script: str) -> None:
    assert script.startswith("#!lua")
    assert script.count("KEYS") == script.count("KEYS[1]") > 0


@pytest.mark.parametrize("script", scripts.ALL)
def test_a_server_refuses_a_script_that_touches_another_key(
    cluster_node: Valkey, script: str
) -> None:
    head, _, body = script.partition("\n")
    touching = f"{head}\nredis.call('EXISTS', KEYS[1])\nredis.call('DEL', 'elsewhere')\n{body}"

    with (
        cluster_node.client() as client,
        pytest.raises(redis.ResponseError, match="do not hash to the same slot"),
    ):
        client.eval(touching, 1, SESSION, *["0"] * 5)


def test_all_steps_are_taken_by_a_node_of_a_cluster(cluster_node: Valkey, record: Record) -> None:
    commands = Commands(b"amplify_mw:")
    pool = redis.BlockingConnectionPool(host="127.0.0.1", port=cluster_node.port, protocol=2)
    with closing(Lending(pool)) as lending:

        def run(operation: Any) -> Any:
            try:
                batch = next(operation)
                while True:
                    answers = lending.send(batch)
                    assert not [found for found in answers if isinstance(found, Exception)]
                    batch = operation.send(answers)
            except StopIteration as done:
                return done.value

        for key in (KEY, OTHER, THIRD):
            assert run(commands.create(key, record))
        fence, loaded = run(commands.acquire_and_load(KEY, LONG))
        assert loaded == record
        assert run(commands.renew(KEY, fence, LONG))
        new = replace(record, version=fence)
        assert run(commands.replace_and_release(KEY, new, fence))
        assert run(commands.reload(KEY, loaded, commands.listing(loaded))) == new
        assert run(commands.end(KEY, listed=None)) == new
        assert run(commands.end(OTHER, True, listed=LIST)) == record
        assert run(commands.of_user("ada")) == [(THIRD, record)]
        assert run(commands.end_all("ada", run(commands.listed("ada")))) == [THIRD]
        assert asks_again(run(commands.load(THIRD)))


# Answers that get lost


@pytest.fixture
def relay(own_valkey: Valkey) -> Iterator[Relay]:
    relay = Relay(own_valkey.port)
    yield relay
    relay.close()


@pytest.fixture
def relayed(relay: Relay, record: Record) -> Iterator[RedisStore]:
    """A store whose answers may be lost, with a session."""
    store = RedisStore(f"redis://127.0.0.1:{relay.port}")
    store.create(KEY, record)
    yield store
    store.close()


LOSSES: dict[str, tuple[tuple[Any, ...], int]] = {
    "create": ((OTHER, Record(b"new", 9, 4e9, "ada")), 1),
    "replace": ((KEY, Record(b"new", 9, 4e9, "ada")), 1),
    "replace_and_release": ((KEY, Record(b"new", 9, 4e9, "ada"), 1), 1),
    "acquire_and_load": ((KEY, LONG), 1),
    "delete": ((KEY,), 1),
    "end": ((KEY,), 1),
    "end_of_user": (("ada",), 1),
    "end_of_user, ending": (("ada",), 2),
    "of_user, reading": (("ada",), 2),
}


@pytest.mark.parametrize("case", LOSSES)
def test_a_step_whose_answer_was_lost_is_taken_once_and_answers_the_same(
    own_valkey: Valkey, relay: Relay, relayed: RedisStore, record: Record, ask: Way, case: str
) -> None:
    method, (arguments, lost_trip) = case.partition(",")[0], LOSSES[case]
    expected = {
        "create": True,
        "delete": True,
        "replace": True,
        "replace_and_release": True,
        "end": record,
        "end_of_user": [KEY],
        "of_user": [(KEY, record)],
    }
    ask(relayed, "load", KEY)
    trips = Trips(relayed)

    def lose(number: int, _: Batch) -> None:
        relay.lossy = number == lost_trip

    trips.before = lose
    with own_valkey.client() as client:
        client.config_resetstat()
        answer = ask(relayed, method, *arguments)
        stats = client.info("commandstats")

    assert not relay.lossy
    if method == "acquire_and_load":
        fence, loaded = answer
        assert loaded == record
        assert ask(relayed, "renew", KEY, fence, LONG)
        assert ask(relayed, "acquire", KEY, LONG) is None
        return
    assert answer == expected[method]
    writes = 0 if method == "of_user" else 1
    assert stats.get("cmdstat_set", {"calls": 0})["calls"] == writes
    assert stats.get("cmdstat_publish", {"calls": 0})["calls"] == writes


def test_a_session_that_was_ended_from_elsewhere_stays_found_if_the_answer_was_lost(
    relay: Relay, relayed: RedisStore, ask: Way
) -> None:
    ask(relayed, "load", KEY)
    relay.lossy = True

    answer = ask(relayed, "end", KEY, True)

    assert not relay.lossy
    assert asks_again(answer)  # the record itself is gone
    assert ask(relayed, "end", KEY, True) is None


def test_what_has_ended_is_found_by_nobody_and_soon_gone(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    known = found(store)
    fence = store.acquire(KEY, LONG)
    assert fence is not None

    assert ask(store, "end", KEY) == kept

    assert ask(store, "load", KEY) is None
    assert ask(store, "reload", KEY, known) is None
    assert ask(store, "end", KEY) is None
    assert ask(store, "end", KEY, True) is None
    assert not ask(store, "replace", KEY, kept)
    assert ask(store, "acquire_and_load", KEY, LONG) == (None, None)
    assert not ask(store, "renew", KEY, fence, LONG)
    with own_valkey.client() as client:
        assert 0 < client.pttl(SESSION) <= 10_000
    assert ask(store, "create", KEY, kept)
    assert ask(store, "load", KEY) == kept


# Leases, by their bytes


def hold_for(server: Valkey, milliseconds: int) -> None:
    """Move the end of the lease to so far from now, as if the server's clock had been set."""
    with server.client() as client:
        seconds, microseconds = client.time()
        held_until = int(seconds * 1000 + microseconds // 1000) + milliseconds
        client.setrange(SESSION, HELD_UNTIL_AT, held_until.to_bytes(TAKER_AT - HELD_UNTIL_AT))


HOUR = 3_600_000


@pytest.mark.parametrize("off", [-HOUR, -1, HOUR + 10_000, 2**47])
def test_a_clock_that_was_set_neither_prolongs_a_lease_nor_gives_it_to_two(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way, off: int
) -> None:
    first = store.acquire(KEY, 10)
    hold_for(own_valkey, off)

    second = ask(store, "acquire", KEY, 10)

    assert first is not None
    assert second > first
    assert not ask(store, "renew", KEY, first, 10)
    ask(store, "release", KEY, first)
    assert ask(store, "acquire", KEY, 10) is None


def test_a_lease_is_held_for_as_long_as_one_can_be(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    store.acquire(KEY, 10)
    hold_for(own_valkey, int(LONGEST_LEASE * 1000) - 100)

    assert ask(store, "acquire", KEY, 10) is None


@pytest.mark.parametrize("last", [0, 5, 2**52, ENDED - 2])
def test_a_fence_is_above_the_last_the_version_and_the_servers_time(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way, last: int
) -> None:
    now = int(time.time() * 1000) - HOUR
    with own_valkey.client() as client:
        client.setrange(SESSION, FENCE_AT, last.to_bytes(HELD_UNTIL_AT - FENCE_AT))

    fence = ask(store, "acquire", KEY, LONG)

    assert max(now, last, kept.version) < fence < ENDED
    with own_valkey.client() as client:
        packed = client.get(SESSION)
    assert unpack(packed) == kept
    assert int.from_bytes(packed[FENCE_AT:HELD_UNTIL_AT]) == fence


def test_there_is_no_fence_above_the_highest(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    store.replace(KEY, replace(kept, version=ENDED - 1))

    assert ask(store, "acquire", KEY, LONG) is None


def test_a_write_with_a_release_keeps_what_somebody_else_holds(
    store: RedisStore, kept: Record, ask: Way
) -> None:
    fence = store.acquire(KEY, LONG)
    assert fence is not None

    assert ask(store, "replace_and_release", KEY, kept, fence + 1)
    assert ask(store, "acquire", KEY, LONG) is None
    assert not ask(store, "replace_and_release", KEY, replace(kept, version=0), fence)
    assert ask(store, "acquire", KEY, LONG) > fence


def test_a_full_server_ends_sessions_and_gives_leases_back(
    store: RedisStore, own_valkey: Valkey, kept: Record, ask: Way
) -> None:
    for key in (OTHER, THIRD):
        store.create(key, kept)
    fence = store.acquire(KEY, LONG)
    with own_valkey.client() as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailable, match=r"^Redis: OOM"):
            ask(store, "replace_and_release", KEY, kept, fence)
        ask(store, "release", KEY, fence)
        assert ask(store, "end", THIRD) == kept
        assert ask(store, "end", OTHER, True) == kept
        assert ask(store, "end_of_user", "ada") == [KEY]
        client.config_set("maxmemory", "0")

    assert asks_again(ask(store, "load", KEY))


# The local cache


@pytest.fixture
def near(own_valkey: Valkey, kept: Record) -> Iterator[RedisStore]:
    """A store that serves what it has loaded for an hour, and has loaded the session."""
    store = RedisStore(own_valkey.url, local_cache=3600)
    trips = Trips(store)
    until(lambda: trips.of(lambda: store.load(KEY)) == 0)
    yield store
    store.close()


def test_a_known_record_in_memory_takes_no_trip(near: RedisStore, ask: Way) -> None:
    known = found(near)
    stale = replace(known, stamp=b"staler")
    trips = Trips(near)

    assert ask(near, "reload", KEY, replace(known)) is not None
    assert ask(near, "reload", KEY, stale) is known
    assert not trips.batches


def test_what_was_reloaded_is_served_from_memory(
    store: RedisStore, near: RedisStore, kept: Record, ask: Way
) -> None:
    known, new = found(near), replace(kept, value=b"new")
    store.replace(KEY, new)
    until(lambda: near._listener.cache.find(KEY) is None)  # type: ignore[union-attr]

    assert ask(near, "reload", KEY, known) == new

    trips = Trips(near)
    assert trips.of(lambda: ask(near, "load", KEY)) == 0


@pytest.mark.parametrize("is_broken", [False, True])
@pytest.mark.parametrize("method", ["replace_and_release", "end", "end_of_user", "delete"])
def test_a_step_that_writes_drops_what_is_in_memory_even_if_it_fails(
    near: RedisStore, kept: Record, ask: Way, method: str, is_broken: bool
) -> None:
    arguments, last = STEPS[method]
    trips = Trips(near)

    def fail(number: int, _: Batch) -> None:
        if is_broken and number >= last:
            raise StoreUnavailable("broken")

    trips.before = fail
    with suppress(StoreUnavailable):
        ask(near, method, *arguments)
    is_broken = False  # for what closes the store

    assert near._listener is not None
    assert near._listener.cache.find(KEY) is None
