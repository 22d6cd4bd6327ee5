#!/usr/bin/env bash
# Streamlit's st.logout() leads a user of Cognito to an error page of Cognito's.
#
# Version    PyPI streamlit 1.67.0, Authlib 1.9.10.
# Behaviour  st.logout() deletes Streamlit's cookies and goes to the `end_session_endpoint` of the
#            provider's discovery document, with client_id, id_token_hint and
#            post_logout_redirect_uri, as OpenID Connect has it. Cognito's document names /logout
#            there, which wants client_id and logout_uri or redirect_uri: "Required String parameter
#            'redirect_uri' is not present".
# Expected   The app's page again. Either the parameters that Cognito takes, or (as for providers
#            without that endpoint) the app itself.
# Hurt       Everybody who signs out of a Streamlit app with a user pool: the last page that they see
#            is an error, and there is no way back to the app.
# Way out    No st.logout(): a link to https://DOMAIN/logout?client_id=...&logout_uri=..., whose page
#            deletes the cookies; or a server_metadata_url of one's own without end_session_endpoint
#            (Cognito's session then goes on, so that the next st.login() asks for no password).
# Source     streamlit/streamlit, lib/streamlit/auth_util.py (build_logout_url). Issue 14601, closed.
#            Amazon's guide, "The hosted UI sign-out endpoint: /logout".
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | signed in: 302 to the app, with a cookie
#   | signed out: 302 to https://example.auth.eu-west-1.amazoncognito.com/logout
#   | with client_id, id_token_hint, post_logout_redirect_uri
#   | a parameter that Cognito needs, logout_uri or redirect_uri: none
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  streamlit==1.67.0 authlib==1.9.10 httpx==0.28.1 joserfc 2>log || { cat log >&2; exit 2; }

mkdir .streamlit
cat >app.py <<'PY'
import streamlit

streamlit.write("hello")
PY
cat >ask.py <<'PY'
import json
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "2ab3cd4ef5gh6ij7kl8mn9op0q"
POOL = "https://example.auth.eu-west-1.amazoncognito.com"
ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example"
key = RSAKey.generate_key(2048, {"kid": "k", "alg": "RS256", "use": "sig"})
nonces = []


class Provider(BaseHTTPRequestHandler):
    """What a pool answers to a server: its discovery document, its keys, and tokens."""

    def do_GET(self):
        here = f"http://127.0.0.1:{self.server.server_port}"
        document = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{POOL}/oauth2/authorize",
            "token_endpoint": f"{here}/oauth2/token",
            "jwks_uri": f"{here}/jwks",
            "end_session_endpoint": f"{POOL}/logout",
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        self.answer({"keys": [key.as_dict(private=False)]} if self.path == "/jwks" else document)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        now = int(time.time())
        claims = {"sub": "0f3c", "iss": ISSUER, "aud": CLIENT, "iat": now, "exp": now + 3600}
        claims |= {"nonce": nonces[-1], "cognito:username": "ada", "token_use": "id"}
        token = jwt.encode({"alg": "RS256", "kid": "k"}, claims, key)
        self.answer({"id_token": token, "access_token": token, "token_type": "Bearer"})

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


provider = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
Thread(target=provider.serve_forever, daemon=True).start()
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
Path(".streamlit/secrets.toml").write_text(
    f"""
[auth]
redirect_uri = "http://localhost:{port}/oauth2callback"
cookie_secret = "a secret of the app, long enough for it"
client_id = "{CLIENT}"
client_secret = "secret"
server_metadata_url = "http://127.0.0.1:{provider.server_port}/.well-known/openid-configuration"
"""
)
command = ["-m", "streamlit", "run", "app.py", "--server.port", str(port), "--server.headless=true"]
command += ["--browser.gatherUsageStats=false", "--server.address=localhost"]
command += ["--global.developmentMode=false"]  # it would be, outside of site-packages
with open("streamlit.log", "w") as log:
    app = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log)
try:
    browser = httpx.Client(base_url=f"http://localhost:{port}", timeout=60)
    while app.poll() is None:
        try:
            if browser.get("/_stcore/health").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.1)
    from streamlit.auth_util import encode_provider_token  # what st.login() puts into the address

    leaving = browser.get("/auth/login", params={"provider": encode_provider_token("default")})
    sent = dict(parse_qsl(urlsplit(leaving.headers["Location"]).query))
    nonces.append(sent["nonce"])
    back = browser.get("/oauth2callback", params={"code": "code", "state": sent["state"]})
    cookie = "with a cookie" if "_streamlit_user" in back.headers["Set-Cookie"] else "no cookie"
    print(f"signed in: {back.status_code} to the app, {cookie}")
    out = browser.get("/auth/logout")
    way = urlsplit(out.headers["Location"])
    print(f"signed out: {out.status_code} to {way.scheme}://{way.netloc}{way.path}")
    given = dict(parse_qsl(way.query))
    print(f"with {', '.join(sorted(given))}")
    needed = sorted({"logout_uri", "redirect_uri"} & given.keys())
    print(f"a parameter that Cognito needs, logout_uri or redirect_uri: {' '.join(needed) or 'none'}")
finally:
    app.terminate()
    app.wait()
PY
PYTHONPATH=packages python3 ask.py >seen || { cat streamlit.log >&2; exit 1; }

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
