#!/usr/bin/env bash
# granian sends status 200 and no headers if a WSGI application is a generator.
#
# Version    PyPI granian 2.8.9, --interface wsgi; python's own wsgiref to compare with.
# Behaviour  In a generator application start_response is called when the first piece of the body
#            is asked for. granian has taken status and headers before that: whatever the
#            application says, the answer is 200 without its headers.
# Expected   The status and headers of the application. PEP 3333: "servers must not assume that
#            start_response() has been called before they begin iterating over the iterable".
#            wsgiref keeps to that.
# Hurt       Middleware written as a generator (`yield from app(environ, start_response)`, so that
#            it can tidy up afterwards), and all behind it: a redirect to the sign-in page becomes
#            an empty 200, cookies are not set, and monitoring sees no error.
# Way out    Call the inner application first and return an iterator over what it gave.
# Source     emmett-framework/granian, granian/wsgi.py (_runner). Issue 845, closed as "wontfix":
#            it is not going to change.
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | wsgiref, plain: 302, Location /sign-in, Set-Cookie from=page
#   | wsgiref, behind a generator: 302, Location /sign-in, Set-Cookie from=page
#   | granian, plain: 302, Location /sign-in, Set-Cookie from=page
#   | granian, behind a generator: 200, Location none, Set-Cookie none
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  granian==2.8.9 click==8.5.1 2>log || { cat log >&2; exit 2; }

cat >site_to_ask.py <<'PY'
import sys


def plain(environ, start_response):
    headers = [("Location", "/sign-in"), ("Set-Cookie", "from=page"), ("Content-Length", "0")]
    start_response("302 Found", headers)
    return [b""]


def generator(environ, start_response):
    yield from plain(environ, start_response)


if __name__ == "__main__":
    from wsgiref.simple_server import make_server

    make_server("127.0.0.1", int(sys.argv[2]), globals()[sys.argv[1]]).serve_forever()
PY
cat >ask.py <<'PY'
import http.client
import socket
import subprocess
import sys
import time

GRANIAN = ["-m", "granian", "--interface=wsgi", "--host=127.0.0.1", "--port={port}"]
SERVERS = {
    "wsgiref": ["site_to_ask.py", "{app}", "{port}"],
    "granian": [*GRANIAN, "site_to_ask:{app}"],
}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def answer(port, server):
    while server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/")
            return connection.getresponse()
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit(2)


for name, arguments in SERVERS.items():
    for app, title in [("plain", "plain"), ("generator", "behind a generator")]:
        port = free_port()
        filled = (argument.format(port=port, app=app) for argument in arguments)
        with open("log", "ab") as log:
            server = subprocess.Popen([sys.executable, *filled], stdout=log, stderr=log)
        try:
            came = answer(port, server)
        finally:
            server.terminate()
            server.wait()
        keys = ("Location", "Set-Cookie")
        told = ", ".join(f"{key} {came.getheader(key, 'none')}" for key in keys)
        print(f"{name}, {title}: {came.status}, {told}")
PY
PYTHONPATH=packages python3 ask.py >seen || { cat log >&2; exit 2; }

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
