#!/usr/bin/env bash
# mangum starts and shuts down an ASGI application for each request, not for each Lambda process.
#
# Version    PyPI mangum 0.22.0, with its defaults (lifespan="auto").
# Behaviour  Each invocation runs `lifespan.startup`, one request, and `lifespan.shutdown`, on the
#            same application object.
# Expected   One start-up for as long as the process lives, as with a server, and as Lambda's own
#            advice has it: connect once, outside the handler. mangum's page on lifespan does not
#            say how often the two events come.
# Hurt       Applications that connect, or fetch signing keys, at start-up: they do it for every
#            request, which is slow and runs into rate limits. And those that close for good what
#            was made at import: the first request works, all later ones meet a closed pool.
# Way out    lifespan="off", and make connections when they are first needed; or let start-up
#            make anew all that shutdown closes.
# Source     Kludex/mangum, mangum/adapter.py (Mangum.__call__). Issue 342 asks for another way.
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | request 1: startup, 200 with an open pool, shutdown
#   | request 2: startup, 200 with a closed pool, shutdown
#   | request 3: startup, 200 with a closed pool, shutdown
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  mangum==0.22.0 typing_extensions==4.16.0 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
from mangum import Mangum

pool = "open"  # made at import, closed at shutdown
noted = []


async def app(scope, receive, send):
    global pool
    if scope["type"] == "lifespan":
        while True:
            message = (await receive())["type"]
            noted.append(message.removeprefix("lifespan."))
            if message == "lifespan.shutdown":
                pool = "closed"
            await send({"type": f"{message}.complete"})
            if message == "lifespan.shutdown":
                return
    noted.append(pool)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


handler = Mangum(app)
http = {"method": "GET", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}
event = {
    "version": "2.0",
    "rawPath": "/",
    "rawQueryString": "",
    "headers": {"host": "app.example.com"},
    "requestContext": {"http": http},
    "isBase64Encoded": False,
}
for number in (1, 2, 3):
    noted.clear()
    status = handler(event, None)["statusCode"]
    words = {"open": f"{status} with an open pool", "closed": f"{status} with a closed pool"}
    print(f"request {number}: {', '.join(words.get(word, word) for word in noted)}")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
