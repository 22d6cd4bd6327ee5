#!/usr/bin/env bash
# flask-cognito-lib answers every sign-in with a 500 once a user pool's issuer is UPDATED.
#
# Version    PyPI flask-cognito-lib 1.9.7, Flask 3.1.3.
# Behaviour  It builds the issuer itself, https://cognito-idp.REGION.amazonaws.com/POOL, and has no
#            option for another. The callback of a sign-in meets the tokens of a pool that is
#            UPDATED with a TokenVerifyError that nobody catches.
# Expected   Both of Amazon's issuers for the configured pool count. They are two names for it, and
#            Amazon recommends UPDATED for all pools.
# Hurt       Sites whose pool is switched, which is one call and needs no change of theirs: nobody
#            can sign in or be refreshed, and each attempt is an error of the server.
# Way out    A subclass of flask_cognito_lib.config.Config with the other `issuer`, deployed at the
#            moment of the switch: CognitoAuth(app, cfg=...). Tokens of before are refused then.
# Source     mblackgeo/flask-cognito-lib, src/flask_cognito_lib/config.py (issuer) and
#            services/token_svc.py (_jwt_validate).
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | cognito-idp: sign-in 302, then the page says ada
#   | issuer-cognito-idp: sign-in 500, then the page says nobody
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  flask-cognito-lib==1.9.7 flask==3.1.3 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import json
import logging
import time
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask, redirect, session
from flask_cognito_lib import CognitoAuth
from flask_cognito_lib.decorators import cognito_login, cognito_login_callback

logging.disable()
POOL, CLIENT = "eu-west-1_Example", "client"
private = rsa.generate_private_key(65537, 2048)
jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key()))
key_set = {"keys": [jwk | {"kid": "k", "alg": "RS256", "use": "sig"}]}

app = Flask("site")
app.config.update(
    SECRET_KEY="a secret of the site, long enough for it",
    AWS_REGION="eu-west-1",
    AWS_COGNITO_USER_POOL_ID=POOL,
    AWS_COGNITO_USER_POOL_CLIENT_ID=CLIENT,
    AWS_COGNITO_DOMAIN="https://auth.example.com",
    AWS_COGNITO_REDIRECT_URL="https://localhost/callback",
    AWS_COGNITO_LOGOUT_URL="https://localhost/",
)
auth = CognitoAuth(app)


@app.get("/login")
@cognito_login
def login():
    pass


@app.get("/callback")
@cognito_login_callback
def callback():
    return redirect("/")


@app.get("/")
def page():
    return session.get("claims", {}).get("username", "nobody")


def signed(host, **claims):
    now = int(time.time())
    iss = f"https://{host}.eu-west-1.amazonaws.com/{POOL}"
    ordinary = {"sub": "0f3c", "iss": iss, "iat": now, "exp": now + 3600}
    return jwt.encode(ordinary | claims, private, "RS256", headers={"kid": "k"})


def sign_in(host):
    """What the callback and then the page answer, when somebody comes back from Cognito."""
    browser = app.test_client()
    leaving = browser.get("/login", base_url="https://localhost").location
    sent = {name: values[0] for name, values in parse_qs(urlsplit(leaving).query).items()}
    tokens = {
        "access_token": signed(host, token_use="access", client_id=CLIENT, username="ada"),
        "id_token": signed(host, token_use="id", aud=CLIENT, nonce=sent["nonce"]),
        "expires_in": 3600,
        "token_type": "Bearer",
    }
    answer = requests.Response()
    answer.status_code, answer._content = 200, json.dumps(tokens).encode()
    way = f"/callback?code=code&state={sent['state']}"
    with (
        mock.patch("requests.post", lambda **_: answer),
        mock.patch("jwt.PyJWKClient.fetch_data", lambda _: key_set),
    ):
        back = browser.get(way, base_url="https://localhost")
    seen = browser.get("/", base_url="https://localhost").text
    return f"sign-in {back.status_code}, then the page says {seen}"


for host in ("cognito-idp", "issuer-cognito-idp"):
    print(f"{host}: {sign_in(host)}")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
