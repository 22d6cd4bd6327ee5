"""What a Redis server says of itself, compared with what sessions need.

Rules:
- Everything is read. Nothing is written, and no setting is changed.
- Commands beyond the least rights (`INFO`, `CONFIG GET`) may be refused: then a line says what is
  not known.
- Of a cluster all primaries are asked. What is well everywhere makes one line.
- No text holds a url, a user's name, a password or a key.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

import redis

from ...models.check import Check
from ...web.origins import is_loopback
from ..examination import clock
from .server import FAILURES, Server
from .slots import SLOTS
from .urls import Address, pool

_OLDEST: Final = 7  # the first Redis with scripts as these
_FULL: Final = 0.9  # of maxmemory
_NO_EVICTION: Final = "noeviction"
_NO_EVAL: Final = ("+eval",)

# Returns the numbers of the commands that the user may not give. ARGV: for each command, how many
# words it has, and these.
_REFUSED: Final = """#!lua flags=no-writes,allow-oom
local refused, at, number = {}, 1, 0
if not redis.acl_check_cmd then return refused end
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  local words = {}
  for each = 1, count do words[each] = ARGV[at + each] end
  local known, permitted = pcall(redis.acl_check_cmd, unpack(words))
  if known and not permitted then refused[#refused + 1] = number end
  at, number = at + count + 1, number + 1
end
return refused
"""


class Told(NamedTuple):
    """What one server has said. None: it is not allowed to."""

    place: str
    info: Mapping[str, Any] | None
    clock: tuple[float, float, float] | None
    """Its clock, and this machine's before and after."""
    snapshots: bool | None
    refused: tuple[str, ...] | None
    """Commands that its ACL refuses, as an ACL writes them. `_NO_EVAL`: others are not known."""
    cluster: Mapping[str, str] | None


class Examined:
    """The servers of a store, looked at. `listens`: it has a local cache."""

    def __init__(self, server: Server, prefix: str, replicas: int, listens: bool) -> None:
        self._server = server
        self._prefix = prefix
        self._replicas = replicas
        self._listens = listens

    def checks(self) -> Iterator[Check]:
        """All lines. Without an answer only what needs none."""
        yield self._tls()
        if self._server.sentinels is not None:
            yield self._sentinels()
        slots = self._server.slots
        places: tuple[Address | None, ...] = (None,)
        if slots is not None:
            places = slots.primaries or (self._server.address,)
        told = []
        for place in places:
            with suppress(*FAILURES):  # the line `store` says why
                told.append(self._ask(place))
        for look in (
            *(self._version, self._role, self._eviction, self._memory, self._persistence),
            *(self._copies, self._rights, self._clock, self._cluster),
        ):
            found = [check for one in told for check in look(one)]
            well = [check for check in found if check.outcome == "ok"]
            yield from [check for check in found if check.outcome != "ok"] or well[:1]

    # Asking

    def _ask(self, address: Address | None) -> Told:
        # Without what a user may not be allowed at the beginning of each connection.
        options = {**self._server.options, "client_name": None, "db": 0}
        client: Any = redis.Redis.from_pool(pool(options, address))
        place = self._server.place if address is None else f"{address[0]}:{address[1]}"
        try:
            asked = time.time()
            theirs = _allowed(client, "TIME")
            answered = time.time()
            return Told(
                place,
                _allowed(client, "INFO"),
                None if theirs is None else (theirs[0] + theirs[1] / 1e6, asked, answered),
                _snapshots(_allowed(client, "CONFIG GET", "save")),
                self._refused(client),
                None if self._server.slots is None else _allowed(client, "CLUSTER INFO"),
            )
        finally:
            client.connection_pool.disconnect()

    def _refused(self, client: Any) -> tuple[str, ...] | None:
        wanted = self._wanted()
        words = [word for each in wanted.values() for word in (len(each), *each)]
        try:
            found = client.execute_command("EVAL", _REFUSED, 0, *words)
        except redis.exceptions.NoPermissionError:
            return _NO_EVAL
        except redis.ResponseError:  # it is too old for scripts as these
            return None
        names = [*wanted]
        refused = [names[number] for number in found]
        if set(_keyed(self._prefix)) <= set(refused):
            refused = [name for name in refused if name not in _keyed(self._prefix)]
            refused.append(f"~{self._prefix}*")
        return tuple(refused)

    def _wanted(self) -> dict[str, tuple[Any, ...]]:
        """The commands that the store gives, by their names in an ACL."""
        channel = f"{self._prefix}changed"
        wanted = {**_keyed(self._prefix), "+time": ("TIME",)}
        wanted["+client|setname"] = ("CLIENT", "SETNAME", "amplify_mw")
        if self._server.url.database:
            wanted["+select"] = ("SELECT", self._server.url.database)
        if self._replicas:
            wanted["+wait"] = ("WAIT", self._replicas, 1)
        if self._server.slots is not None:
            wanted |= {"+cluster|slots": ("CLUSTER", "SLOTS"), "+asking": ("ASKING",)}
        if self._listens:
            wanted |= {"+publish": ("PUBLISH", channel, ""), "+ping": ("PING",)}
            wanted[f"+subscribe &{channel}"] = ("SUBSCRIBE", channel)
            if self._server.slots is not None:
                wanted["+cluster|info"] = ("CLUSTER", "INFO")
        return wanted

    # Judging

    def _tls(self) -> Check:
        url, sentinels = self._server.url, self._server.sentinels
        hosts = [url.host or "localhost"] if sentinels is None else sentinels.hosts
        away = [host for host in hosts if not _is_here(host)]
        if url.is_tls or url.path is not None or not away:
            return Check("store_tls", "ok", "TLS" if url.is_tls else "on this machine")
        return Check(
            "store_tls",
            "warning",
            f"no TLS to {', '.join(away)}: the network sees its password, and who is signed in",
            "rediss://",
            "write rediss:// in the url, unless this network is private or encrypted itself",
        )

    def _sentinels(self) -> Check:
        assert self._server.sentinels is not None  # noqa: S101
        named = self._server.sentinels.each()
        silent = [place for place, primary in named.items() if primary is None]
        if silent:
            return Check(
                "store_sentinels",
                "warning" if len(silent) < len(named) else "wrong",
                f"no primary named by {', '.join(silent)}",
                "an answer of each Sentinel",
                "start them, or correct their hosts, ports and service=",
            )
        if len(set(named.values())) > 1:
            return Check(
                "store_sentinels",
                "warning",
                "they name different primaries: a failover is under way, or they watch two",
                "one primary",
                "wait and look again; else see SENTINEL MASTERS at each of them",
            )
        return Check("store_sentinels", "ok", f"{len(named)} name the same primary")

    def _version(self, told: Told) -> Iterator[Check]:
        info = told.info
        if info is None:
            yield Check(
                "store_server",
                "unknown",
                f"{told.place}: its ACL does not allow INFO: version, eviction, memory, "
                "persistence and replicas are not known",
                mend="allow +info to have them examined",
            )
            return
        is_valkey = "valkey_version" in info
        version = str(info["valkey_version"] if is_valkey else info.get("redis_version", ""))
        name = f"{'Valkey' if is_valkey else 'Redis'} {version}"
        number = str(info.get("redis_version", version)).partition(".")[0]
        if number.isdigit() and int(number) < _OLDEST:
            yield Check(
                "store_server",
                "wrong",
                f"{told.place}: {name}",
                f"Redis {_OLDEST} or newer, or Valkey",
                "upgrade it: older ones refuse the scripts that keep sessions",
            )
        else:
            yield Check("store_server", "ok", name)

    def _role(self, told: Told) -> Iterator[Check]:
        role = (told.info or {}).get("role")
        if role == "slave":
            yield Check(
                "store_role",
                "wrong",
                f"{told.place} is a replica, which takes no writes",
                "the primary",
                "write the primary's address, not the reader endpoint",
            )
        elif role is not None:
            yield Check("store_role", "ok", "a primary")

    def _eviction(self, told: Told) -> Iterator[Check]:
        if told.info is None or "maxmemory_policy" not in told.info:
            return
        policy = str(told.info["maxmemory_policy"])
        if policy == _NO_EVICTION or not told.info.get("maxmemory"):
            limit = "" if told.info.get("maxmemory") else ", and no maxmemory"
            yield Check("store_eviction", "ok", f"{policy}{limit}")
            return
        yield Check(
            "store_eviction",
            "warning",
            f"{told.place}: {policy}: it drops sessions, leases and the marks of ended sessions "
            "when it is full",
            _NO_EVICTION,
            "CONFIG SET maxmemory-policy noeviction (a cloud: in its parameter group)",
        )

    def _memory(self, told: Told) -> Iterator[Check]:
        if told.info is None or "used_memory" not in told.info:
            return
        used, most = int(told.info["used_memory"]), int(told.info.get("maxmemory") or 0)
        in_words = f"{used >> 20} MiB used, of {f'{most >> 20} MiB' if most else 'no limit'}"
        if not most or used < _FULL * most:
            yield Check("store_memory", "ok", in_words)
            return
        yield Check(
            "store_memory",
            "wrong" if used >= most else "warning",
            f"{told.place}: {in_words}: when it is full, sign-ins and refreshes get a 503",
            f"less than {_FULL:.0%} of maxmemory",
            "raise maxmemory, or see who else keeps data there",
        )

    def _persistence(self, told: Told) -> Iterator[Check]:
        name, info = "store_persistence", told.info
        if info is None or "aof_enabled" not in info:
            return
        failed = [word for word in _STATES if info.get(word, "ok") != "ok"]
        if failed:
            yield Check(
                name,
                "wrong",
                f"{told.place}: its last attempt to save to disk failed ({', '.join(failed)}); it "
                "takes no writes then, unless it was told to",
                "data on disk",
                "see its own log; make room, or correct the rights of its folder",
            )
        elif info["aof_enabled"] or told.snapshots or info.get("rdb_saves"):
            yield Check(name, "ok", "AOF" if info["aof_enabled"] else "snapshots")
        else:
            yield Check(
                name,
                "unknown" if told.snapshots is None else "warning",
                f"{told.place}: no AOF, and "
                + ("snapshots are not told" if told.snapshots is None else "no snapshots")
                + ": a restart loses all sessions, and a coordinator forgets which have ended",
                "AOF or snapshots",
                "CONFIG SET appendonly yes (a cloud: its backups, or a replica in another zone)",
            )

    def _copies(self, told: Told) -> Iterator[Check]:
        if told.info is None or "connected_slaves" not in told.info:
            return
        copies = [one for name, one in told.info.items() if _is_copy(name, one)]
        online = sum(one.get("state") == "online" for one in copies)
        if online >= self._replicas:
            yield Check("store_replicas", "ok", f"{online}, and replicas={self._replicas}")
            return
        yield Check(
            "store_replicas",
            "wrong",
            f"{told.place}: {online} replicas, and replicas={self._replicas}: sign-outs and "
            "refreshes get a 503",
            f"{self._replicas} at least",
            "bring the replicas back, or write a smaller replicas=",
        )

    def _rights(self, told: Told) -> Iterator[Check]:
        name = "store_rights"
        if told.refused is None:
            return  # the lines `store` and `store_server` say why
        if told.refused == _NO_EVAL:
            yield Check(
                name,
                "wrong",
                f"{told.place}: its ACL refuses EVAL; of other commands nothing is known",
                "the least rights, under Many machines in the documentation",
                f"ACL SETUSER THIS_USER +eval ~{self._prefix}*",
            )
        elif told.refused:
            yield Check(
                name,
                "wrong",
                f"{told.place}: its ACL lacks {' '.join(told.refused)}",
                "the least rights, under Many machines in the documentation",
                f"ACL SETUSER THIS_USER {' '.join(told.refused)}",
            )
        else:
            yield Check(name, "ok", "all commands that sessions need")

    def _clock(self, told: Told) -> Iterator[Check]:
        if told.clock is not None:
            yield clock(*told.clock)

    def _cluster(self, told: Told) -> Iterator[Check]:
        state = told.cluster
        if state is None:
            return
        served = int(state.get("cluster_slots_ok", 0))
        if state.get("cluster_state") == "ok" and served == SLOTS:
            yield Check("store_cluster", "ok", f"{state.get('cluster_size')} primaries, all slots")
            return
        yield Check(
            "store_cluster",
            "wrong",
            f"{told.place}: state {state.get('cluster_state')}, {served} of {SLOTS} slots served: "
            "a part of the sessions is out of reach, or all",
            "all slots",
            "bring the missing primaries back (redis-cli --cluster check, --cluster fix)",
        )


_STATES: Final = ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")


def _keyed(prefix: str) -> dict[str, tuple[Any, ...]]:
    """The commands that touch a key, each by its name in an ACL."""
    one, user = f"{prefix}s:", f"{prefix}u:"
    return {
        "+get": ("GET", one),
        "+set": ("SET", one, ""),
        "+del": ("DEL", one),
        "+eval": ("EVAL", "", 1, one),
        "+getrange": ("GETRANGE", one, 0, 0),
        "+setrange": ("SETRANGE", one, 0, ""),
        "+zadd": ("ZADD", user, 0, ""),
        "+zrem": ("ZREM", user, ""),
        "+zremrangebyscore": ("ZREMRANGEBYSCORE", user, 0, 0),
        "+zrange": ("ZRANGE", user, 0, 0),
        "+expireat": ("EXPIREAT", user, 0),
    }


def _allowed(client: Any, *words: str) -> Any:
    """The answer to a command; None if it is refused."""
    try:
        return client.execute_command(*words)
    except redis.ResponseError:  # an ACL's, or a cloud's that knows no CONFIG
        return None


def _snapshots(configured: Any) -> bool | None:
    """Whether the server saves snapshots by itself; None if it does not say."""
    return None if configured is None else any(dict(configured).values())


def _is_copy(name: str, value: object) -> bool:
    return name.startswith("slave") and name[5:].isdigit() and isinstance(value, dict)


def _is_here(host: str) -> bool:
    if is_loopback(host):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
