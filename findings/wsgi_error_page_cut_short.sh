#!/usr/bin/env bash
# gunicorn and waitress cut a WSGI application's error page to the length of the page that failed.
#
# Version    PyPI gunicorn 27.0.1, PyPI waitress 3.0.2; python's own wsgiref to compare with.
# Behaviour  An application calls start_response with Content-Length 5, fails before it has given
#            any output, and calls start_response again, with exc_info, for an error page without
#            Content-Length. Both servers send that page's status with the old Content-Length, and
#            only the first 5 bytes of the page. gunicorn keeps all the headers of the first call
#            beside the new ones, so that there are two Content-Type.
# Expected   The whole page, and no header of the first call. PEP 3333, "The start_response()
#            callable": called again with exc_info before output, it replaces the stored headers.
#            wsgiref does so.
# Hurt       Middleware that turns a late failure into an error page, and its users, who see an
#            empty or broken page. With gunicorn the page also carries Set-Cookie and Cache-Control
#            that were meant for another one.
# Way out    Call the server's start_response once, when the first bytes are there; or give the
#            error page a Content-Length (enough for waitress: gunicorn then sends both).
# Source     benoitc/gunicorn, gunicorn/http/wsgi.py (Response.start_response adds to self.headers,
#            and response_length stays); Pylons/waitress, src/waitress/task.py (WSGITask.execute
#            empties response_headers, and content_length stays).
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | wsgiref: 500, Content-Length 39, Content-Type text/html, X-First none, 39 of 39 bytes
#   | gunicorn: 500, Content-Length 5, Content-Type text/plain + text/html, X-First yes, 5 of 39 bytes
#   | waitress: 500, Content-Length 5, Content-Type text/html, X-First none, 5 of 39 bytes
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  gunicorn==27.0.1 waitress==3.0.2 2>log || { cat log >&2; exit 2; }

cat >site_that_fails.py <<'PY'
import sys

PAGE = b"Something went wrong; please try again."


def app(environ, start_response):
    headers = [("Content-Type", "text/plain"), ("Content-Length", "5"), ("X-First", "yes")]
    start_response("200 OK", headers)
    try:
        raise RuntimeError("the database is away")
    except RuntimeError:
        error_headers = [("Content-Type", "text/html")]
        start_response("500 Internal Server Error", error_headers, sys.exc_info())
        return [PAGE]


if __name__ == "__main__":
    from wsgiref.simple_server import make_server

    make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
PY
cat >ask.py <<'PY'
import socket
import subprocess
import sys
import time
from email import message_from_bytes

from site_that_fails import PAGE

GUNICORN = ["-m", "gunicorn", "--no-control-socket", "--bind=127.0.0.1:{port}"]
SERVERS = {
    "wsgiref": ["site_that_fails.py", "{port}"],
    "gunicorn": [*GUNICORN, "site_that_fails:app"],
    "waitress": ["-m", "waitress", "--listen=127.0.0.1:{port}", "site_that_fails:app"],
}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def connected(port, server):
    while server.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit(2)


for name, arguments in SERVERS.items():
    port = free_port()
    command = [sys.executable, *(argument.format(port=port) for argument in arguments)]
    with open("log", "ab") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with connected(port, server) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n")
            head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    finally:
        server.terminate()
        server.wait()
    status_line, _, lines = head.partition(b"\r\n")
    headers = message_from_bytes(lines)
    told = ", ".join(
        f"{key} {' + '.join(headers.get_all(key, ['none']))}"
        for key in ("Content-Length", "Content-Type", "X-First")
    )
    status = status_line.split()[1].decode()
    print(f"{name}: {status}, {told}, {len(body)} of {len(PAGE)} bytes")
PY
PYTHONPATH=packages python3 ask.py >seen || { cat log >&2; exit 2; }

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
