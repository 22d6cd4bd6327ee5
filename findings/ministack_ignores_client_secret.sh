#!/usr/bin/env bash
# ministack gives app clients a secret, and never looks at the one that is sent.
#
# Version    PyPI ministack 1.5.33, with cryptography 46.0.3.
# Behaviour  For a client with a secret, signing in, refreshing and revoking work with a wrong
#            secret and without one.
# Expected   NotAuthorizedException ("Unable to verify secret hash for client ..."), as Cognito and
#            moto's refresh answer.
# Hurt       Tests of what has to prove a secret: a wrong hash, an environment variable that is not
#            set, a rotation whose new secret is not there yet. They pass, and fail at Cognito for
#            everybody.
# Way out    Compute the hash in a test, and compare it with what the code sends.
# Source     ministackorg/ministack, ministack/services/cognito.py: _initiate_auth,
#            _get_tokens_from_refresh_token and _revoke_token read neither SECRET_HASH nor
#            ClientSecret.
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | the right secret: sign-in 200, refresh 200, revocation 200
#   | a wrong secret: sign-in 200, refresh 200, revocation 200
#   | no secret: sign-in 200, refresh 200, revocation 200
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
server=
finish() {
  if [ -n "$server" ]; then
    kill "$server" || true
    wait "$server" || true
  fi
  rm -rf "$work"
}
trap finish EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  ministack==1.5.33 cryptography==46.0.3 2>log || { cat log >&2; exit 2; }

export PYTHONPATH=packages TMPDIR="$work" STATE_DIR="$work"
GATEWAY_PORT=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
export GATEWAY_PORT
BIND_HOST=127.0.0.1 SERVICES=cognito-idp SFTP_ENABLED=0 IOT_MTLS_ENABLED=0 \
  python3 -m ministack >log 2>&1 &
server=$!

cat >ask.py <<'PY'
import base64
import hashlib
import hmac
import json
import os
import time
import urllib.error
import urllib.request

home = f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}/"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(action, **members):
    request = urllib.request.Request(home, json.dumps(members).encode())
    request.add_header("Content-Type", "application/x-amz-json-1.1")
    request.add_header("X-Amz-Target", f"AWSCognitoIdentityProviderService.{action}")
    try:
        with opener.open(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


for _ in range(600):
    try:
        _, made = ask("CreateUserPool", PoolName="people")
        break
    except urllib.error.URLError:
        time.sleep(0.1)
pool = made["UserPool"]["Id"]
flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
_, made = ask(
    "CreateUserPoolClient",
    UserPoolId=pool,
    ClientName="web",
    GenerateSecret=True,
    ExplicitAuthFlows=flows,
)
client, secret = made["UserPoolClient"]["ClientId"], made["UserPoolClient"]["ClientSecret"]
ada = {"UserPoolId": pool, "Username": "ada"}
ask("AdminCreateUser", **ada, MessageAction="SUPPRESS")
ask("AdminSetUserPassword", **ada, Password="Corr3ct!horse", Permanent=True)

for name, sent in (("the right secret", secret), ("a wrong secret", "wrong"), ("no secret", None)):
    parameters = {"USERNAME": "ada", "PASSWORD": "Corr3ct!horse"}
    proof = {}
    if sent is not None:
        digest = hmac.digest(sent.encode(), f"ada{client}".encode(), hashlib.sha256)
        parameters["SECRET_HASH"] = base64.b64encode(digest).decode()
        proof = {"ClientSecret": sent}
    flow = {"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters}
    sign_in, answer = ask("InitiateAuth", ClientId=client, **flow)
    token = answer["AuthenticationResult"]["RefreshToken"]
    refresh, _ = ask("GetTokensFromRefreshToken", ClientId=client, RefreshToken=token, **proof)
    revocation, _ = ask("RevokeToken", ClientId=client, Token=token, **proof)
    print(f"{name}: sign-in {sign_in}, refresh {refresh}, revocation {revocation}")
PY
python3 ask.py >seen || { cat log >&2; exit 2; }

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
