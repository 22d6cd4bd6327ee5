"""A cluster: primaries that share the slots, and replicas of each."""

import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot

from tests.patience import until
from tests.valkey.links import Link
from tests.valkey.server import Valkey, free_port, settle

SLOTS: Final = 16_384
_SMALL: Final = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
_EAGER: Final = ("--cluster-replica-validity-factor", "0")  # to be promoted, however late it is


def slot_of(key: str | bytes) -> int:
    """The slot of a key."""
    return int(key_slot(key.encode() if isinstance(key, str) else key))


class Node(Valkey):
    """A server in a cluster.

    `link`: what its replicas copy it through, if there is one; `door`: what clients reach it
    through.
    """

    def __init__(
        self, folder: Path, *options: str, link: Link | None = None, door: Link | None = None
    ) -> None:
        self.link = link
        self.door = door
        super().__init__(folder, *options)
        self.id: str = self.do("CLUSTER", "MYID")

    def _choose_ports(self) -> None:
        super()._choose_ports()
        self.bus_port = free_port()
        for relay in filter(None, (self.link, self.door)):
            relay.leads_to = self.port

    def _command(self) -> list[str]:
        command = [*super()._command(), "--cluster-enabled", "yes"]
        command += ["--cluster-port", str(self.bus_port), "--cluster-config-file"]
        command += [f"{self.port}.conf", "--cluster-announce-client-port", str(self.client_port)]
        if self.link is not None:
            command += ["--cluster-announce-port", str(self.link.port)]
        return command

    @property
    def client_port(self) -> int:
        """The port that the cluster names to clients."""
        return self.port if self.door is None else self.door.port

    @property
    def state(self) -> dict[str, str]:
        """What `CLUSTER INFO` says."""
        found: dict[str, str] = self.do("CLUSTER INFO")
        return found

    def view(self) -> list["Seen"]:
        """The nodes of the cluster, as this one sees them."""
        told = self.do("CLUSTER", "NODES")
        return [Seen.of(line) for line in told.splitlines()]


@dataclass(frozen=True)
class Seen:
    """A node as another sees it: a line of `CLUSTER NODES`."""

    id: str
    flags: frozenset[str]
    primary: str
    epoch: int
    is_linked: bool
    slots: frozenset[int] = field(repr=False)

    @classmethod
    def of(cls, line: str) -> "Seen":
        name, _, flags, primary, _, _, epoch, link, *ranges = line.split()
        slots: set[int] = set()
        for told in ranges:
            if not told.startswith("["):  # that is a slot on the move
                first, _, last = told.partition("-")
                slots |= set(range(int(first), int(last or first) + 1))
        kinds = frozenset(flags.split(","))
        return cls(name, kinds, primary, int(epoch), link == "connected", frozenset(slots))

    @property
    def is_primary(self) -> bool:
        return "master" in self.flags

    @property
    def has_failed(self) -> bool:
        return "fail" in self.flags


class ValkeyCluster:
    """A cluster of one's own: `primaries`, and `replicas` of each.

    `node_timeout`: milliseconds of silence after which a node is taken for dead.
    `full_coverage`: whether all refuse to serve while one slot has no owner. `links`: replicas copy
    their primary through a `Link`. `tls`: clients reach the nodes through TLS.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        primaries: int = 3,
        replicas: int = 1,
        node_timeout: int = 1_500,
        full_coverage: bool = False,
        links: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        common = ("--cluster-node-timeout", str(node_timeout), *_SMALL, *_EAGER, *options)
        common += ("--cluster-require-full-coverage", "yes" if full_coverage else "no")
        self._relays: list[Link] = []
        self.nodes: list[Node] = []
        try:
            for _ in range(primaries * (1 + replicas)):
                link = self._relay(None) if links else None
                door = self._relay(tls) if tls is not None else None
                self.nodes.append(Node(folder, *common, link=link, door=door))
            self._form(primaries)
        except BaseException:
            self.close()
            raise
        scheme = "redis" if tls is None else "rediss"
        self.urls = [f"{scheme}://127.0.0.1:{node.client_port}" for node in self.nodes]
        self.url = self.urls[0]

    def _relay(self, tls: ssl.SSLContext | None) -> Link:
        self._relays.append(Link(tls=tls))
        return self._relays[-1]

    def _form(self, count: int) -> None:
        """Share the slots out, let the nodes meet, and the others be replicas."""
        first = self.nodes[0]
        for number, node in enumerate(self.nodes):
            if number < count:
                begin, end = SLOTS * number // count, SLOTS * (number + 1) // count - 1
                node.do("CLUSTER", "ADDSLOTSRANGE", begin, end)
            node.do("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            announced = node.port if node.link is None else node.link.port
            first.do("CLUSTER", "MEET", "127.0.0.1", announced, node.bus_port)
        until(lambda: all(self._is_acquainted(node) for node in self.nodes))
        for number, node in enumerate(self.nodes[count:]):
            node.do("CLUSTER", "REPLICATE", self.nodes[number % count].id)
        self.wait_until_well()

    def _is_acquainted(self, node: Node) -> bool:
        view = node.view()
        return len(view) == len(self.nodes) and all(seen.is_linked for seen in view)

    # Looking

    @property
    def running(self) -> list[Node]:
        """The nodes that can answer."""
        return [node for node in self.nodes if node.is_running]

    def node(self, name: str) -> Node:
        """The node of an id."""
        (found,) = (node for node in self.nodes if node.id == name)
        return found

    def view(self) -> list[Seen]:
        """The nodes by the account of the running primary with the newest epoch."""
        seen = {node.id: {each.id: each for each in node.view()} for node in self.running}
        newest = max(seen, key=lambda name: (seen[name][name].is_primary, seen[name][name].epoch))
        return list(seen[newest].values())

    def owner(self, key: str | bytes | int) -> Node:
        """The primary that has this key, or this slot."""
        slot = key if isinstance(key, int) else slot_of(key)
        owners = [seen for seen in self.view() if slot in seen.slots]
        return self.node(max(owners, key=lambda seen: seen.epoch).id)

    def others(self, *nodes: Node) -> list[Node]:
        """The running primaries apart from these."""
        primaries = [self.node(seen.id) for seen in self.view() if seen.is_primary and seen.slots]
        return [node for node in primaries if node not in nodes and node.is_running]

    def replicas_of(self, primary: Node) -> list[Node]:
        found = [self.node(seen.id) for seen in self.view() if seen.primary == primary.id]
        return [node for node in found if node.is_running]

    def keys(self, prefix: str = "") -> list[bytes]:
        """All keys that begin so, on whichever primary."""
        found: list[bytes] = []
        for node in self.others():
            with node.client() as client:
                found += client.keys(f"{prefix}*")
        return found

    def client(self, **options: Any) -> RedisCluster:
        """redis-py's own client of clusters."""
        nodes = [ClusterNode("127.0.0.1", node.client_port) for node in self.running]
        return RedisCluster(startup_nodes=nodes, **options)

    def each(self, *words: str | int, of: Iterable[Node] = ()) -> list[Any]:
        """What each running node answers to a command."""
        return [node.do(*words) for node in of or self.running]

    def allow(self, *lines: str) -> str:
        """Give all nodes users, by lines such as `ACL SETUSER web on ...`; the url for `web`."""
        for node in self.nodes:
            node.allow(*lines)
        return self.url.replace("//", "//web:a-secret@")

    def is_well(self) -> bool:
        """Whether all that run serve all slots, agree on owners, and replicas are up to date."""
        views = []
        for node in self.running:
            if node.state["cluster_state"] != "ok":
                return False
            replication = node.replication
            if replication["role"] == "slave" and replication["master_link_status"] != "up":
                return False
            views.append({(seen.id, seen.slots, seen.primary) for seen in _relevant(node)})
        served = [slot for _, slots, _ in views[0] for slot in slots]
        return len(served) == SLOTS and all(view == views[0] for view in views)

    def wait_until_well(self) -> None:
        def is_well() -> bool:
            with suppress(redis.RedisError):  # one that loads what its primary sends, say
                return self.is_well()
            return False

        until(is_well)

    def settle(self) -> None:
        """Until replicas have all that was written before."""
        for primary in self.others():
            settle(primary, self.replicas_of(primary))

    # Breaking

    def fail_over(self, primary: Node) -> Node:
        """A planned failover to a replica of a running primary; the new primary."""
        heir = self.replicas_of(primary)[0]
        until(lambda: heir.replication["master_link_status"] == "up")

        def has_taken_over() -> bool:
            with suppress(redis.ResponseError):  # it is under way, or has come too early
                heir.do("CLUSTER", "FAILOVER")
            return bool(heir.replication["role"] == "master")

        until(has_taken_over)
        self.wait_until_well()
        return heir

    def wait_for_heir(self, dead: Node) -> Node:
        """The node that has taken over a dead one's slots, once all that run know it."""

        def is_known(node: Node) -> bool:
            slots = {seen.id: seen.slots for seen in node.view()}
            return not slots.get(dead.id) and sum(map(len, slots.values())) == SLOTS

        until(lambda: all(is_known(node) for node in self.running))
        latest = max((seen for seen in self.view() if seen.slots), key=lambda seen: seen.epoch)
        return self.node(latest.id)

    def begin_to_move(self, slot: int, to: Node) -> None:
        """The classic way, first step: keys that are there stay, new ones are asked for at `to`."""
        source = self.owner(slot)
        to.do("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)

    def move_keys(self, slot: int, to: Node) -> int:
        """The second step: the keys go over; how many went."""
        source, went = self.owner(slot), 0
        with source.client() as client:
            while keys := client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                moved = ("MIGRATE", "127.0.0.1", to.port, "", 0, 60_000, "KEYS", *keys)
                went += client.execute_command(*moved) == b"OK" and len(keys)
        return went

    def finish_moving(self, slot: int, to: Node) -> None:
        """The third step: all are told."""
        source = self.owner(slot)
        for node in (to, source, *self.others(to, source)):
            node.do("CLUSTER", "SETSLOT", slot, "NODE", to.id)
        until(lambda: all(slot in _slots_of(to.id, node) for node in self.running))

    def move(self, slot: int, to: Node) -> None:
        """All three steps."""
        self.begin_to_move(slot, to)
        self.move_keys(slot, to)
        self.finish_moving(slot, to)

    def drop_slot(self, slot: int) -> None:
        """Let nobody own a slot. Each node has to be told, and hears otherwise from the others."""

        def is_dropped() -> bool:
            owning = [node for node in self.running if any(slot in s.slots for s in node.view())]
            for node in owning:
                with suppress(redis.ResponseError):
                    node.do("CLUSTER", "DELSLOTS", slot)
            return not owning

        until(is_dropped)

    @contextmanager
    def paused(self, *nodes: Node) -> Iterator[None]:
        for node in nodes:
            node.pause()
        try:
            yield
        finally:
            for node in nodes:
                node.go_on()

    def close(self) -> None:
        for node in self.nodes:
            node.stop()
        for relay in self._relays:
            relay.close()


def _relevant(node: Node) -> list[Seen]:
    """Without those that are gone: a killed primary stays in the view, without slots."""
    return [seen for seen in node.view() if not seen.has_failed or seen.slots]


def _slots_of(name: str, node: Node) -> frozenset[int]:
    (found,) = (seen.slots for seen in node.view() if seen.id == name)
    return found


Make = Callable[..., ValkeyCluster]
