#!/usr/bin/env bash
# BlackSheep's authentication by JWT refuses every access token of a Cognito user pool.
#
# Version    PyPI blacksheep 2.6.4, guardpost 1.1.0, PyJWT 2.15.1.
# Behaviour  JWTBearerAuthentication has to be given `valid_audiences`, and a token without the claim
#            `aud` is refused, also with an empty list (which refuses every other, too). There is no
#            option for another claim. An access token of Cognito's names its app in `client_id`, and has no
#            `aud`, unless it was asked for with a resource.
# Expected   A way to take such tokens, such as the name of the claim to compare. (RFC 9068 demands
#            `aud`, but says that tokens of that profile have the type at+jwt, and Cognito's have not.)
# Hurt       An API behind Cognito: 401 for each program that sends its access token, as OAuth 2 has
#            it. ID tokens pass, so people send those, which are not made for APIs.
# Way out    A subclass of guardpost's AsymmetricJWTValidator, or an AuthenticationHandler of one's own
#            that compares `client_id` and `token_use`.
# Source     Neoteroi/GuardPost, guardpost/jwts/__init__.py; Neoteroi/BlackSheep,
#            blacksheep/server/authentication/jwt.py. Amazon's guide, "Understanding the access token".
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | audiences ['client'], access token: 401
#   | audiences ['client'], ID token: 200 0f3c
#   | audiences [], access token: 401
#   | audiences [], ID token: 401
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  blacksheep==2.6.4 guardpost==1.1.0 pyjwt==2.15.1 cryptography==50.0.2 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import asyncio
import json
import time

import jwt
from blacksheep import Application, Request, Router, auth
from blacksheep.server.authentication.jwt import JWTBearerAuthentication
from blacksheep.testing import TestClient
from cryptography.hazmat.primitives.asymmetric import rsa
from guardpost import Policy
from guardpost.common import AuthenticatedRequirement
from guardpost.jwks import JWKS, KeysProvider

ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example"
private = rsa.generate_private_key(65537, 2048)
jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key()))
key_set = {"keys": [jwk | {"kid": "k", "alg": "RS256", "use": "sig"}]}


class Keys(KeysProvider):
    async def get_keys(self):
        return JWKS.from_dict(key_set)


def signed(**claims):
    now = int(time.time())
    ordinary = {"sub": "0f3c", "iss": ISSUER, "iat": now, "exp": now + 3600}
    return jwt.encode(ordinary | claims, private, "RS256", headers={"kid": "k"})


TOKENS = {
    "access token": signed(token_use="access", client_id="client", username="ada", scope="openid"),
    "ID token": signed(token_use="id", aud="client", **{"cognito:username": "ada"}),
}


async def ask(audiences):
    app = Application(router=Router())
    app.use_authentication().add(
        JWTBearerAuthentication(
            valid_audiences=audiences, valid_issuers=[ISSUER], keys_provider=Keys()
        )
    )
    app.use_authorization().add(Policy("user", AuthenticatedRequirement()))

    @auth("user")
    @app.router.get("/")
    async def page(request: Request):
        return request.user["sub"]

    await app.start()
    client = TestClient(app)
    for name, token in TOKENS.items():
        answer = await client.get("/", headers={"Authorization": f"Bearer {token}"})
        said = f" {await answer.text()}" if answer.status == 200 else ""
        print(f"audiences {audiences}, {name}: {answer.status}{said}")
    await app.stop()


for audiences in (["client"], []):
    asyncio.run(ask(audiences))
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
