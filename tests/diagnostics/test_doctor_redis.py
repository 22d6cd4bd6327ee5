"""`doctor` on a `RedisStore`: faults of real servers, and the mends that turn their lines green."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import AmplifyConfig, SealedSession, StoredSession
from amplify_mw.diagnostics import examine
from amplify_mw.models.check import Check
from amplify_mw.stores import RedisStore
from tests.diagnostics.keys import KEYS
from tests.docs.pages import PAGES
from tests.patience import until
from tests.stores.redis_tools import Relay
from tests.valkey import PASSWORD, Valkey, free_port
from tests.valkey.sentinels import Sentinel

DUMP = "dump"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server as it should be. Tests break it, and mend it."""
    server = Valkey(tmp_path_factory.mktemp("doctor"), "--dbfilename", DUMP)
    server.do("CONFIG", "SET", "maxmemory", "200mb", "appendonly", "yes")
    until(lambda: server.do("INFO", "persistence")["aof_rewrite_in_progress"] == 0)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A cluster of one node."""
    bus = ("--cluster-port", str(free_port()), "--cluster-require-full-coverage", "no")
    server = Valkey(tmp_path_factory.mktemp("node"), "--cluster-enabled", "yes", *bus)
    server.do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    until(lambda: server.do("CLUSTER INFO")["cluster_state"] == "ok")
    yield server
    server.stop()


def told(store: RedisStore) -> dict[str, Check]:
    """The lines by their names, each of which there is once."""
    try:
        found = store.examine()
    finally:
        store.close()
    assert len({check.name for check in found}) == len(found)
    return {check.name: check for check in found}


def outcome(store: RedisStore, name: str) -> str:
    return told(store)[name].outcome


def test_a_server_as_it_should_be_has_only_lines_that_are_ok(valkey: Valkey) -> None:
    found = told(RedisStore(valkey.url, local_cache=3))
    assert {check.outcome for check in found.values()} == {"ok"}
    assert len(found) == 10
    with valkey.client() as client:  # what is left is nobody's, and goes by itself
        assert all(0 <= client.ttl(key) <= 61 for key in client.scan_iter())


@pytest.mark.parametrize(
    ("name", "said", "fault", "mend"),
    [
        (
            *("store_eviction", "warning"),
            "CONFIG SET maxmemory-policy volatile-lru",
            "CONFIG SET maxmemory-policy noeviction",
        ),
        ("store_memory", "wrong", "CONFIG SET maxmemory 1000", "CONFIG SET maxmemory 200mb"),
        (
            *("store_persistence", "warning"),
            "CONFIG SET appendonly no",
            "CONFIG SET appendonly yes",
        ),
        ("store_role", "wrong", "REPLICAOF 127.0.0.1 {port}", "REPLICAOF NO ONE"),
    ],
)
def test_a_setting_that_endangers_sessions_is_told(
    valkey: Valkey, name: str, said: str, fault: str, mend: str
) -> None:
    valkey.do(*fault.format(port=free_port()).split())
    try:
        found = told(RedisStore(valkey.url))[name]
    finally:
        valkey.do(*mend.split())
    assert found.outcome == said
    assert found.found
    assert found.mend
    assert outcome(RedisStore(valkey.url), name) == "ok"


def test_snapshots_are_as_good_as_an_append_only_file(valkey: Valkey) -> None:
    valkey.do("CONFIG", "SET", "appendonly", "no")
    assert outcome(RedisStore(valkey.url), "store_persistence") == "warning"
    try:
        valkey.do("CONFIG", "SET", "save", "3600 1")
        assert outcome(RedisStore(valkey.url), "store_persistence") == "ok"
    finally:
        valkey.do("CONFIG", "SET", "save", "", "appendonly", "yes")


def test_a_server_that_cannot_save_is_told(valkey: Valkey) -> None:
    (folder,) = [valkey._folder / DUMP]
    folder.mkdir()  # where its file should be
    try:
        saved(valkey, "err")
        assert outcome(RedisStore(valkey.url), "store_persistence") == "wrong"
    finally:
        folder.rmdir()
    saved(valkey, "ok")
    assert outcome(RedisStore(valkey.url), "store_persistence") == "ok"


def saved(server: Valkey, status: str) -> None:
    """Have it try to save, until that ends so."""

    def is_done() -> bool:
        found = server.do("INFO", "persistence")
        if found["rdb_bgsave_in_progress"] or found["aof_rewrite_in_progress"]:
            return False
        if found["rdb_last_bgsave_status"] == status:
            return True
        server.do("BGSAVE", "SCHEDULE")
        return False

    until(is_done)


def test_replicas_that_are_missing_are_told(valkey: Valkey, tmp_path: Path) -> None:
    found = told(RedisStore(valkey.url, replicas=1, timeout=0.3))
    assert found["store_replicas"].outcome == "wrong"
    assert found["store"].outcome == "wrong"
    assert "NOREPLICAS" in found["store"].found
    quick = ("--repl-diskless-sync-delay", "0")
    valkey.do("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    replica = Valkey(tmp_path, "--replicaof", "127.0.0.1", str(valkey.port), *quick)
    try:
        until(lambda: valkey.replication.get("slave0", {}).get("state") == "online")
        mended = told(RedisStore(valkey.url, replicas=1))
        assert {mended[name].outcome for name in ("store", "store_replicas")} == {"ok"}
    finally:
        replica.stop()


# Rights


LEAST = next(
    line.split()[5:]
    for line in PAGES["many-machines"].splitlines()
    if line.startswith("ACL SETUSER web on ")
)
COMMANDS = [word for word in LEAST if word.startswith("+")]


def test_each_right_that_is_missing_is_named(valkey: Valkey) -> None:
    url = valkey.allow(" ".join(["ACL SETUSER web on >a-secret", *LEAST, "+info"]))
    try:
        assert outcome(RedisStore(url), "store_rights") == "ok"
        for command in COMMANDS:
            valkey.do("ACL", "SETUSER", "web", f"-{command[1:]}")
            line = told(RedisStore(url))["store_rights"]
            assert line.outcome == "wrong"
            assert line.mend.split()[:4] == ["ACL", "SETUSER", "THIS_USER", command]
            valkey.do("ACL", "SETUSER", "web", command)
        assert outcome(RedisStore(url), "store_rights") == "ok"
    finally:
        valkey.do("ACL", "DELUSER", "web")


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"replicas": 1, "timeout": 0.3}, "+wait"),
        ({"local_cache": 3}, "+publish +ping +subscribe &amplify_mw:changed"),
        ({"prefix": "shop:"}, "~shop:*"),
    ],
)
def test_what_an_option_needs_is_named(
    valkey: Valkey, options: dict[str, Any], missing: str
) -> None:
    url = valkey.allow(" ".join(["ACL SETUSER web on >a-secret", *LEAST, "+info"]))
    try:
        line = told(RedisStore(url, **options))["store_rights"]
        assert line.mend == f"ACL SETUSER THIS_USER {missing}"
        valkey.do(*line.mend.replace("THIS_USER", "web").split())
        assert outcome(RedisStore(url, **options), "store_rights") == "ok"
    finally:
        valkey.do("ACL", "DELUSER", "web")


def test_what_a_server_may_not_say_is_not_known(valkey: Valkey) -> None:
    url = valkey.allow(" ".join(["ACL SETUSER web on >a-secret", *LEAST]))
    try:
        found = told(RedisStore(url))
        assert found["store_server"].outcome == "unknown"
        assert {c.outcome for name, c in found.items() if name != "store_server"} == {"ok"}
        valkey.do("ACL", "SETUSER", "web", "+info", "-time")
        assert "store_clock" not in told(RedisStore(url))
    finally:
        valkey.do("ACL", "DELUSER", "web")


# The wrong server, or none


def test_nothing_there_is_told_with_the_stores_own_words(valkey: Valkey) -> None:
    found = told(RedisStore(f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0"))
    assert {*found} == {"store", "store_tls"}
    assert (found["store"].outcome, found["store_tls"].outcome) == ("wrong", "ok")
    assert "nothing listens there" in found["store"].found
    assert found["store"].mend
    assert PASSWORD not in str(found)
    assert outcome(RedisStore(valkey.url), "store") == "ok"


def test_a_wrong_password_is_told_and_not_shown(valkey: Valkey) -> None:
    wrong = valkey.url.replace("//", f"//web:{PASSWORD}@")
    found = told(RedisStore(wrong))
    assert found["store"].outcome == "wrong"
    assert PASSWORD not in str(found)


def test_a_way_without_tls_is_told(valkey: Valkey) -> None:
    place = "cache.invalid:6379/0?socket_connect_timeout=0.5"
    found = told(RedisStore(f"redis://{place}"))["store_tls"]
    assert (found.outcome, "rediss://" in found.mend) == ("warning", True)
    assert outcome(RedisStore(f"rediss://{place}"), "store_tls") == "ok"
    assert outcome(RedisStore("redis://127.0.0.2:1/0"), "store_tls") == "ok"


def test_a_cluster_is_told_to_a_store_for_one_server_and_the_other_way_round(
    valkey: Valkey, node: Valkey
) -> None:
    alone, clustered = told(RedisStore(node.url)), told(RedisStore(valkey.url, cluster=True))
    assert alone["store"].mend == "write RedisStore(url, cluster=True)"
    assert clustered["store"].mend == "write RedisStore(url) alone"
    found = told(RedisStore(node.url, cluster=True))
    assert found["store_cluster"].outcome == found["store"].outcome == "ok"
    assert outcome(RedisStore(valkey.url), "store") == "ok"


def test_slots_that_nobody_serves_are_told(node: Valkey) -> None:
    node.do("CLUSTER", "DELSLOTS", 5)
    try:
        assert outcome(RedisStore(node.url, cluster=True), "store_cluster") == "wrong"
    finally:
        node.do("CLUSTER", "ADDSLOTS", 5)
    assert outcome(RedisStore(node.url, cluster=True), "store_cluster") == "ok"


class Older(Relay):
    """Stands before a server, and calls it a Redis 6. The two words are of one length.

    Redis 6 cannot read the first line of a script, `#!lua`.
    """

    def _answer(self, client: Any) -> None:
        import socket

        with socket.create_connection(("127.0.0.1", self._server)) as server:
            while asked := client.recv(65536):
                if scripts := asked.count(b"\r\nEVAL"):
                    client.sendall(b"-ERR Error compiling script\r\n" * scripts)
                    return
                server.sendall(asked)
                answer = server.recv(65536)
                answer = answer.replace(b"redis_version:7", b"redis_version:6")
                client.sendall(answer.replace(b"valkey_version", b"walkey_version"))


def test_a_server_that_is_too_old_is_told(valkey: Valkey) -> None:
    relay = Older(valkey.port)
    try:
        lines = told(RedisStore(f"redis://127.0.0.1:{relay.port}/0"))
    finally:
        relay.close()
    found = lines["store_server"]
    assert (lines["store"].outcome, "store_rights" in lines) == ("wrong", False)
    assert (found.outcome, found.found.startswith("127.0.0.1: Redis 6")) == ("wrong", True)
    assert outcome(RedisStore(valkey.url), "store_server") == "ok"


def test_a_clock_that_differs_is_told(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    real = time.time
    with monkeypatch.context() as this_machine:
        this_machine.setattr("amplify_mw.stores.redis.examination.time.time", lambda: real() + 90)
        found = told(RedisStore(valkey.url))["store_clock"]
    assert (found.outcome, "behind" in found.found) == ("warning", True)
    assert outcome(RedisStore(valkey.url), "store_clock") == "ok"


def test_sentinels_that_do_not_answer_are_told(valkey: Valkey, tmp_path: Path) -> None:
    watch = (f"monitor mymaster 127.0.0.1 {valkey.port} 1",)
    sentinel = Sentinel(tmp_path, *watch)
    here, nobody = ("127.0.0.1", sentinel.port), ("127.0.0.1", free_port())
    try:
        some = told(RedisStore.sentinel([nobody, here], service="mymaster"))
        assert some["store"].outcome == "ok"
        assert some["store_sentinels"].outcome == "warning"
        assert str(nobody[1]) in some["store_sentinels"].found
        other = told(RedisStore.sentinel([here], service="another"))
        assert (other["store"].outcome, other["store_sentinels"].outcome) == ("wrong", "wrong")
        mended = told(RedisStore.sentinel([here], service="mymaster"))
        assert mended["store_sentinels"].outcome == "ok"
    finally:
        sentinel.stop()


def test_the_store_of_any_session_is_examined_with_the_rest(valkey: Valkey) -> None:
    store = RedisStore(valkey.url)
    common: dict[str, Any] = {"user_pool_id": "eu-west-1_Ab12Cd34E", "client_id": "web"}
    for session in (StoredSession(store), SealedSession(keys=KEYS, coordinator=store)):
        config = AmplifyConfig(**common, session=session, http_timeout=0.1, proxy=nowhere())
        names = [check.name for check in examine(config).checks]
        assert names.count("store") == names.count("store_eviction") == 1
        local = [check.name for check in examine(config, network=False).checks]
        assert "store" not in local
    store.close()


def nowhere() -> str:
    """A proxy that does not answer: nobody at Cognito is asked."""
    return f"http://127.0.0.1:{free_port()}"


def test_a_store_is_examined_from_several_threads_at_once(valkey: Valkey) -> None:
    store, found = RedisStore(valkey.url), []
    threads = [
        threading.Thread(target=lambda: found.append([c.outcome for c in store.examine()]))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert len(found) == 3
    assert all({*outcomes} == {"ok"} for outcomes in found)
