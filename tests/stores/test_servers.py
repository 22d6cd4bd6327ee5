"""The servers of the tests themselves, looked at with redis-py's own clients."""

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from tests.certificates import server_context as tls_context
from tests.patience import until
from tests.stores.redis_tools import certificate
from tests.valkey import Link, Valkey, ValkeyCluster, ValkeySentinels, slot_of
from tests.valkey import own_valkey_cluster as own_valkey_cluster
from tests.valkey import own_valkey_sentinels as own_valkey_sentinels
from tests.valkey import valkey_cluster as valkey_cluster


def in_the_end(client: "RedisCluster | redis.Redis", key: str, value: str) -> None:
    """Write, however often that fails first."""

    def is_written() -> bool:
        with suppress(redis.RedisError, OSError):
            return bool(client.set(key, value))
        return False

    until(is_written)


def test_a_cluster_serves_all_slots(valkey_cluster: ValkeyCluster) -> None:
    with valkey_cluster.client() as client:
        for number in range(30):
            client.set(f"key{number}", number)

    owners = {valkey_cluster.owner(f"key{number}") for number in range(30)}
    assert len(owners) == 3
    assert len(valkey_cluster.keys("key")) == 30
    assert [len(valkey_cluster.replicas_of(owner)) for owner in owners] == [1, 1, 1]


def test_a_cluster_goes_on_after_a_kill_and_takes_the_node_back(
    own_valkey_cluster: ValkeyCluster,
) -> None:
    cluster = own_valkey_cluster
    with cluster.client() as client:
        client.set("key", "before")
        dead = cluster.owner("key")
        dead.stop()
        heir = cluster.wait_for_heir(dead)
        in_the_end(client, "key", "after")

        assert heir is cluster.owner("key")
        dead.start()
        cluster.wait_until_well()
        assert cluster.replicas_of(heir) == [dead]


def test_a_cluster_fails_over_as_planned(own_valkey_cluster: ValkeyCluster) -> None:
    old = own_valkey_cluster.owner("key")

    heir = own_valkey_cluster.fail_over(old)

    assert own_valkey_cluster.owner("key") is heir
    assert own_valkey_cluster.replicas_of(heir) == [old]


def test_a_slot_moves_in_three_steps(own_valkey_cluster: ValkeyCluster) -> None:
    cluster, slot = own_valkey_cluster, slot_of("key")
    source = cluster.owner("key")
    to = cluster.others(source)[0]
    with cluster.client() as client:
        client.set("key", "value")
        cluster.begin_to_move(slot, to)
        with pytest.raises(redis.exceptions.AskError):
            source.do("GET", "{key}absent")
        assert cluster.move_keys(slot, to) == 1
        assert client.get("key") == b"value"  # asked for at `to`
        cluster.finish_moving(slot, to)

        assert cluster.owner("key") is to
        assert client.get("key") == b"value"


def test_a_slot_without_an_owner(own_valkey_cluster: ValkeyCluster) -> None:
    node = own_valkey_cluster.owner("key")

    own_valkey_cluster.drop_slot(slot_of("key"))

    with pytest.raises(redis.ResponseError, match=r"(?i)hash slot not served"):
        node.do("GET", "key")


def test_a_replica_on_a_stalled_link_lacks_what_it_did_not_hear(tmp_path: Path) -> None:
    cluster = ValkeyCluster(tmp_path, links=True)
    primary = cluster.owner("key")
    (replica,) = cluster.replicas_of(primary)
    assert primary.link is not None
    with primary.client(single_connection_client=True) as client:
        client.set("key", "heard")
        assert client.wait(1, 0) == 1

        primary.link.stall()
        client.set("key", "unheard")
        assert client.wait(1, 10) == 0
    primary.stop()

    assert cluster.wait_for_heir(primary) is replica
    assert replica.do("GET", "key") == "heard"
    cluster.close()


def test_sentinels_name_another_primary_after_a_kill_and_after_a_plan(
    own_valkey_sentinels: ValkeySentinels,
) -> None:
    sentinels = own_valkey_sentinels
    primary = sentinels.client().master_for(sentinels.service)
    in_the_end(primary, "key", "first")
    dead = sentinels.primary
    dead.stop()
    heir = sentinels.wait_for_heir(dead)
    in_the_end(primary, "key", "second")
    assert heir.do("GET", "key") == "second"
    dead.start()
    sentinels.wait_until_well()

    assert sentinels.fail_over() is dead


def test_servers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    code = f"""
        import os, pathlib, signal
        from tests.valkey import Valkey
        server = Valkey(pathlib.Path({str(tmp_path)!r}))
        print(server._process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert told.returncode == -signal.SIGKILL
    pid = int(told.stdout)

    def has_ended() -> bool:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, 0)
            # One that nobody waits for stays in the table as a zombie.
            stat = Path(f"/proc/{pid}/stat")
            return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"
        return True

    until(has_ended)


def test_a_link_cuts_stalls_and_leads_elsewhere(tmp_path: Path) -> None:
    servers = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        servers.append(Valkey(tmp_path / name))
        servers[-1].do("SET", "name", name)
    link = Link(servers[0].port)
    with redis.Redis(port=link.port, retry=None, socket_timeout=0.1) as client:
        until(lambda: answer(client) == b"first")
        link.stall()
        assert answer(client) is None
        link.leads_to = servers[1].port
        link.flow()
        link.cut()
        until(lambda: answer(client) == b"second")
    link.close()
    for server in servers:
        server.stop()


def answer(client: "redis.Redis") -> object:
    with suppress(redis.RedisError):
        return client.get("name")
    return None


def test_a_cluster_behind_tls_names_ports_with_tls(tmp_path: Path) -> None:
    file = certificate(tmp_path)
    cluster = ValkeyCluster(tmp_path, primaries=2, replicas=0, tls=tls_context(file))
    url = cluster.allow("ACL SETUSER web on >a-secret ~* +@all")

    with RedisCluster.from_url(f"{url}?ssl_ca_certs={file}") as client:
        for number in range(20):
            client.set(f"key{number}", number)
        client.disconnect_connection_pools()

    assert len({cluster.owner(f"key{number}") for number in range(20)}) == 2
    cluster.close()
