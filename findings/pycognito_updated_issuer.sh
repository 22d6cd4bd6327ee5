#!/usr/bin/env bash
# pycognito renews no token once a user pool's issuer is UPDATED.
#
# Version    PyPI pycognito 2024.5.1, boto3 1.44.8.
# Behaviour  What Cognito answers to a sign-in or a refresh is verified first, against the issuer
#            https://cognito-idp.REGION.amazonaws.com/POOL. A pool that is UPDATED writes
#            https://issuer-cognito-idp.REGION.amazonaws.com/POOL: TokenVerificationException, and
#            the new tokens are lost. There is no option for the issuer.
# Expected   Both of Amazon's issuers for the pool count; Amazon recommends UPDATED for all pools.
# Hurt       Programs whose pool is switched. Their access tokens last to the end of the hour. Then
#            every refresh fails, though Cognito has answered it, and so does every sign-in.
# Way out    A subclass of Cognito with another `user_pool_url`, which names the key set's address
#            too; deployed at the moment of the switch.
# Source     NabuCasa/pycognito, pycognito/__init__.py: user_pool_url, verify_token, _set_tokens.
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | cognito-idp: renewed
#   | issuer-cognito-idp: TokenVerificationException, the old token is kept
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  pycognito==2024.5.1 boto3==1.44.8 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import json
import os
import time

import jwt
from botocore.stub import ANY, Stubber
from cryptography.hazmat.primitives.asymmetric import rsa

POOL, CLIENT = "eu-west-1_Example", "client"
private = rsa.generate_private_key(65537, 2048)
jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key()))
key_set = {"keys": [jwk | {"kid": "k", "alg": "RS256", "use": "sig"}]}

from pycognito import Cognito  # noqa: E402


def signed(host, **claims):
    now = int(time.time())
    iss = f"https://{host}.eu-west-1.amazonaws.com/{POOL}"
    ordinary = {"sub": "0f3c", "iss": iss, "iat": now, "exp": now + 3600}
    return jwt.encode(ordinary | claims, private, "RS256", headers={"kid": "k"})


def renewed(host):
    """What comes of a refresh, when Cognito answers it as it should."""
    user = Cognito(POOL, CLIENT, access_token="old", refresh_token="refresh", username="ada")
    user.pool_jwk = key_set
    answer = {
        "AccessToken": signed(host, token_use="access", client_id=CLIENT, username="ada"),
        "IdToken": signed(host, token_use="id", aud=CLIENT),
        "TokenType": "Bearer",
        "ExpiresIn": 3600,
    }
    asked = {"ClientId": CLIENT, "AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": ANY}
    with Stubber(user.client) as stubber:
        stubber.add_response("initiate_auth", {"AuthenticationResult": answer}, asked)
        try:
            user.renew_access_token()
        except Exception as error:
            kept = "kept" if user.access_token == "old" else "gone"
            return f"{type(error).__name__}, the old token is {kept}"
    return "renewed" if user.access_token == answer["AccessToken"] else "not renewed"


os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
for host in ("cognito-idp", "issuer-cognito-idp"):
    print(f"{host}: {renewed(host)}")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
