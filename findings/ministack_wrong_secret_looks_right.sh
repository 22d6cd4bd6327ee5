#!/usr/bin/env bash
# ministack's token endpoint looks at the code before it looks at the client: a wrong client secret,
# or an unknown client, is answered as a stale code.
#
# Version    PyPI ministack 1.5.33, asked in the process with httpx 0.28.1.
# Behaviour  A POST to /oauth2/token with a made-up code is `invalid_grant`, be the secret right,
#            wrong or missing, and also for a client id that does not exist. Only with a code that is
#            good is the wrong secret told, as `invalid_client`.
# Expected   `invalid_client` for each of them but the first. Cognito has it for a failed client
#            authentication and names no condition; RFC 6749 5.2 has it first for an unknown client.
# Hurt       Checks of a configuration that need no user: one asks with a made-up code, and reads
#            `invalid_grant` as "client and secret are right". Against ministack that check is always
#            green, so it cannot be tried there; and a misspelt client id in a test is looked for in
#            the code and its expiry.
# Way out    In tests take the code from a real sign-in at /login before judging the secret.
# Source     ministackorg/ministack, ministack/services/cognito.py (_oauth2_token).
#            https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | made-up code, right secret: 400 invalid_grant
#   | made-up code, wrong secret: 400 invalid_grant
#   | made-up code, no secret: 400 invalid_grant
#   | made-up code, unknown client: 400 invalid_grant
#   | good code, wrong secret: 400 invalid_client
#   | good code, right secret: 200
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  ministack==1.5.33 httpx==0.28.1 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import asyncio
import html
import os
import re

os.environ["SERVICES"] = "cognito-idp"
os.environ["LOG_LEVEL"] = "ERROR"

import httpx  # noqa: E402
from ministack.app import app  # noqa: E402

URL = "http://localhost:4566"
BACK = "http://localhost/callback"
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


async def main(browser):
    async def call(action, **body):
        target = f"AWSCognitoIdentityProviderService.{action}"
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
        return (await browser.post("/", headers=headers, json=body)).json()

    pool = (await call("CreateUserPool", PoolName="pool"))["UserPool"]["Id"]
    made = await call(
        "CreateUserPoolClient",
        UserPoolId=pool,
        ClientName="web",
        GenerateSecret=True,
        CallbackURLs=[BACK],
        AllowedOAuthFlows=["code"],
        AllowedOAuthFlowsUserPoolClient=True,
        AllowedOAuthScopes=["openid"],
        SupportedIdentityProviders=["COGNITO"],
    )
    client, secret = made["UserPoolClient"]["ClientId"], made["UserPoolClient"]["ClientSecret"]
    ada = {"UserPoolId": pool, "Username": "ada"}
    await call("AdminCreateUser", **ada)
    await call("AdminSetUserPassword", **ada, Password="Corr3ct!horse", Permanent=True)

    async def code():
        asked = {"response_type": "code", "client_id": client, "redirect_uri": BACK, "scope": "openid"}
        page = await browser.get("/oauth2/authorize", params=asked)
        form = {name: html.unescape(value) for name, value in HIDDEN.findall(page.text)}
        answer = await browser.post("/login", data=form | {"username": "ada", "password": "Corr3ct!horse"})
        return httpx.URL(answer.headers["Location"]).params["code"]

    async def show(title, code, *credentials):
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
        if len(credentials) == 1:
            form["client_id"] = credentials[0]
        auth = credentials if len(credentials) == 2 else None
        answer = await browser.post("/oauth2/token", data=form, auth=auth)
        print(f"{title}: {answer.status_code} {answer.json().get('error', '')}".rstrip())

    await show("made-up code, right secret", "made-up", client, secret)
    await show("made-up code, wrong secret", "made-up", client, "wrong")
    await show("made-up code, no secret", "made-up", client)
    await show("made-up code, unknown client", "made-up", "nobody", "wrong")
    good = await code()
    await show("good code, wrong secret", good, client, "wrong")
    await show("good code, right secret", good, client, secret)


async def ask():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as browser:
        await main(browser)


asyncio.run(ask())
PY
PYTHONPATH=packages python3 ask.py >seen 2>log || { cat log >&2; exit 1; }

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
