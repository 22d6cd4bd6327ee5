#!/usr/bin/env bash
# Authlib's client for Flask keeps each sign-in that was begun in the session's cookie: after twenty
# the browser does not store the cookie any more, and no sign-in succeeds.
#
# Version    PyPI Authlib 1.9.10, Flask 3.1.3; its client for Starlette 1.10.0 to compare with.
# Behaviour  authorize_redirect() adds state, nonce and PKCE's verifier of one sign-in to the session,
#            about 180 bytes in Flask's cookie. Those of sign-ins that nobody finished are taken out
#            only when a later one succeeds. Beyond 4,096 bytes browsers do not store the cookie: the
#            newest state is never kept, and the callback is a MismatchingStateError.
# Expected   As in its client for Starlette, which forgets the ones before when a new one begins.
# Hurt       Sites that send a signed-out page to the sign-in by themselves: a tab that reloads, or a
#            page that polls, begins sign-ins that nobody finishes. From the 21st on, sign-in fails
#            until the browser is closed or the cookie deleted.
# Way out    Delete the session's keys `_state_*` before authorize_redirect(), or keep the session on
#            the server.
# Source     authlib/authlib, authlib/integrations/base_client/framework_integration.py
#            (set_state_data). Issue 622, closed by a change of Starlette's client alone.
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | Flask: sign-ins kept after 1, 5, 25: 1, 5, 25; finishing the newest after 5: fetches tokens
#   | Flask: the cookie fits a browser after 5: yes, after 25: no; finishing the newest after 25: MismatchingStateError
#   | Starlette: sign-ins kept after 1, 5, 25: 1, 1, 1
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  authlib==1.9.10 flask==3.1.3 requests==2.34.2 starlette==1.10.0 httpx2==2.16.2 \
  itsdangerous==2.2.0 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import asyncio
import warnings
from types import SimpleNamespace
from unittest import mock
from urllib.parse import parse_qs, urlsplit

from authlib.integrations.base_client.errors import MismatchingStateError
from authlib.integrations.flask_client import OAuth
from authlib.integrations.starlette_client import OAuth as StarletteOAuth
from flask import Flask, session

warnings.simplefilter("ignore")  # Werkzeug warns of the cookie's size
BACK = "https://app.example.com/callback"
LIMIT = 4096  # bytes of name and value (RFC 6265bis 5.6)
COGNITO = {
    "client_id": "2ab3cd4ef5gh6ij7kl8mn9op0q",
    "client_secret": "secret",
    "authorize_url": "https://auth.example.com/oauth2/authorize",
    "access_token_url": "https://auth.example.com/oauth2/token",
    "client_kwargs": {"scope": "openid email", "code_challenge_method": "S256"},
}

app = Flask("site")
app.secret_key = "a secret of the site, long enough for it"
oauth = OAuth(app)
oauth.register("cognito", **COGNITO)


@app.get("/login")
def login():
    return oauth.cognito.authorize_redirect(BACK)


@app.get("/kept")
def kept():
    return str(sum(name.startswith("_state_") for name in session))


@app.get("/callback")
def callback():
    try:
        with mock.patch.object(oauth.cognito, "fetch_access_token", lambda **_: {"token": "t"}):
            oauth.cognito.authorize_access_token()
    except MismatchingStateError as error:
        return type(error).__name__
    return "fetches tokens"


class Browser:
    """Keeps a cookie if it is small enough."""

    def __init__(self):
        self.cookie, self.fits = "", True

    def get(self, path):
        client = app.test_client(use_cookies=False)
        answer = client.get(path, headers={"Cookie": self.cookie})
        for line in answer.headers.getlist("Set-Cookie"):
            pair = line.partition(";")[0]
            self.fits = len(pair) <= LIMIT
            if self.fits:
                self.cookie = pair
        return answer


def begun(times):
    """A browser that has begun so many sign-ins, and the way back from the newest."""
    browser = Browser()
    for _ in range(times):
        leaving = browser.get("/login").location
    state = parse_qs(urlsplit(leaving).query)["state"][0]
    return browser, f"/callback?code=code&state={state}"


def in_session(times):
    """The number of sign-ins in Flask's session, if nothing limits it."""
    client = app.test_client()
    for _ in range(times):
        client.get("/login")
    return client.get("/kept").text


async def in_starlette(times):
    client = StarletteOAuth()
    client.register("cognito", **COGNITO)
    request = SimpleNamespace(session={})
    for _ in range(times):
        await client.cognito.authorize_redirect(request, BACK)
    return str(sum(name.startswith("_state_") for name in request.session))


few, way_of_few = begun(5)
many, way_of_many = begun(25)
print(
    f"Flask: sign-ins kept after 1, 5, 25: {', '.join(map(in_session, (1, 5, 25)))}; "
    f"finishing the newest after 5: {few.get(way_of_few).text}"
)
fits = {True: "yes", False: "no"}
print(
    f"Flask: the cookie fits a browser after 5: {fits[few.fits]}, after 25: {fits[many.fits]}; "
    f"finishing the newest after 25: {many.get(way_of_many).text}"
)
seen = [asyncio.run(in_starlette(times)) for times in (1, 5, 25)]
print(f"Starlette: sign-ins kept after 1, 5, 25: {', '.join(seen)}")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
