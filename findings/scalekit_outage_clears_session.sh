#!/usr/bin/env bash
# scalekit-sdk-python deletes a session's cookie if its service cannot be reached for one refresh.
#
# Version    PyPI scalekit-sdk-python 2.21.0, with the flask extra (Flask 3.1.3).
# Behaviour  The cookie holds all tokens, encrypted. If the access token has expired, the guard
#            refreshes it. Any failure of that, a time-out and a refused connection too, is answered
#            by a redirect to sign-in and a Set-Cookie that deletes the session.
# Expected   The session is kept, since its refresh token is still good, and the next request tries
#            again. The SDK does not cache the failure either, so a later request could succeed; but
#            the browser has nothing left to send with it.
# Hurt       All users of a site whose tokens expire during a short outage are signed out, though
#            the service comes back with their sessions alive.
# Way out    A request hook of the app's own that catches the failure and drops that Set-Cookie; or
#            a client that retries for longer than outages last.
# Source     scalekit-inc/scalekit-sdk-python, scalekit/middleware/session_manager.py
#            (SessionRefreshManager._refresh).
# Needs      bash, python 3.11 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | fresh token: 200, cookie kept
#   | expired token, service up: 200, cookie renewed
#   | expired token, service down: 302, cookie deleted
#   | the same browser, service up again: 302, no session
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  "scalekit-sdk-python[flask]==2.21.0" flask==3.1.3 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import logging
import time

from flask import Flask
from scalekit.frameworks.flask import ScalekitAuth

logging.disable()


class Service:
    """What the SDK asks of its service: new tokens, and the claims of one."""

    is_up = True

    def refresh_access_token(self, refresh_token):
        if not self.is_up:
            raise ConnectionError("the service cannot be reached")
        return {"access_token": "new", "refresh_token": refresh_token}

    def validate_access_token_and_get_claims(self, token):
        return {"sub": "ada", "exp": time.time() + 3600}


service = Service()
app = Flask("site")
auth = ScalekitAuth(
    app,
    client=service,
    redirect_uri="https://app.example.com/callback",
    cookie_encryption_secret="a secret of the site, long enough for it",
)


@app.get("/account")
@auth.requires_auth
def account():
    return auth.current_user["sub"]


def browser(expires_in, refresh_token):
    """A browser with a session whose access token expires in so many seconds."""
    session = {
        "user": {"sub": "ada"},
        "access_token": "old",
        "refresh_token": refresh_token,
        "id_token": "id",
        "expires_at": time.time() + expires_in,
    }
    client = app.test_client()
    client.set_cookie("sk_session", auth.manager.create_session_cookie(session))
    return client


def ask(client):
    before = client.get_cookie("sk_session")
    answer = client.get("/account", base_url="https://localhost")
    after = client.get_cookie("sk_session")
    if before is None:
        done = "no session"
    elif after is None:
        done = "cookie deleted"
    else:
        done = "cookie kept" if after.value == before.value else "cookie renewed"
    return f"{answer.status_code}, {done}"


print("fresh token:", ask(browser(3600, "one")))
print("expired token, service up:", ask(browser(-60, "two")))
service.is_up = False
client = browser(-60, "three")
print("expired token, service down:", ask(client))
service.is_up = True
print("the same browser, service up again:", ask(client))
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
