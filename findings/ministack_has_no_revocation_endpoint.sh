#!/usr/bin/env bash
# ministack takes a POST to /oauth2/revoke for a broken API call, and the refresh token lives on.
#
# Version    PyPI ministack 1.5.33, asked in the process with httpx 0.28.1.
# Behaviour  The revocation endpoint of a Cognito domain is not there, and its discovery document
#            names none. A form sent to it falls through to the JSON API: 400 SerializationException,
#            "Invalid JSON". The action RevokeToken of that API does revoke.
# Expected   200, and `invalid_grant` for the next refresh, as from Cognito's /oauth2/revoke; or 404.
#            RFC 7009 2.2: a server answers 200 also for a token that it does not know.
# Hurt       Sign-out by OAuth: a library that revokes where the discovery document says so does
#            nothing, without an error, and one that knows Cognito's address gets a 400 that reads as
#            a mistake in its own request. A test that the session ends goes on working, signed in.
# Way out    Sign out by the action RevokeToken there, or skip the revocation in tests against it.
# Source     ministackorg/ministack, ministack/services/cognito.py (its list of paths at the head).
#            https://docs.aws.amazon.com/cognito/latest/developerguide/revocation-endpoint.html
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | discovery document: revocation_endpoint is None
#   | POST /oauth2/revoke: 400 SerializationException
#   | refresh at /oauth2/token: 200
#   | action RevokeToken: 200
#   | refresh at /oauth2/token: 400 invalid_grant
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  ministack==1.5.33 httpx==0.28.1 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import asyncio
import os

os.environ["SERVICES"] = "cognito-idp"
os.environ["LOG_LEVEL"] = "ERROR"

import httpx  # noqa: E402
from ministack.app import app  # noqa: E402


async def main(browser):
    async def call(action, **body):
        target = f"AWSCognitoIdentityProviderService.{action}"
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
        return await browser.post("/", headers=headers, json=body)

    pool = (await call("CreateUserPool", PoolName="pool")).json()["UserPool"]["Id"]
    made = await call(
        "CreateUserPoolClient",
        UserPoolId=pool,
        ClientName="web",
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    )
    client = made.json()["UserPoolClient"]["ClientId"]
    ada = {"UserPoolId": pool, "Username": "ada"}
    await call("AdminCreateUser", **ada)
    await call("AdminSetUserPassword", **ada, Password="Corr3ct!horse", Permanent=True)
    signed_in = await call(
        "InitiateAuth",
        ClientId=client,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "ada", "PASSWORD": "Corr3ct!horse"},
    )
    token = signed_in.json()["AuthenticationResult"]["RefreshToken"]

    def show(title, answer):
        body = answer.json() if answer.content else {}
        word = body.get("error") or body.get("__type") or ""
        print(f"{title}: {answer.status_code} {word}".rstrip())

    async def refresh():
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client}
        return await browser.post("/oauth2/token", data=form)

    document = (await browser.get(f"/{pool}/.well-known/openid-configuration")).json()
    print(f"discovery document: revocation_endpoint is {document.get('revocation_endpoint')}")
    form = {"token": token, "client_id": client}
    show("POST /oauth2/revoke", await browser.post("/oauth2/revoke", data=form))
    show("refresh at /oauth2/token", await refresh())
    show("action RevokeToken", await call("RevokeToken", ClientId=client, Token=token))
    show("refresh at /oauth2/token", await refresh())


async def ask():
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4566") as browser:
        await main(browser)


asyncio.run(ask())
PY
PYTHONPATH=packages python3 ask.py >seen 2>log || { cat log >&2; exit 1; }

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
