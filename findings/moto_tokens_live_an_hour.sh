#!/usr/bin/env bash
# moto keeps the token lifetimes of a Cognito app client, says them back, and signs tokens for an
# hour all the same.
#
# Version    PyPI moto 5.2.5, boto3 1.44.8, PyJWT 2.15.1.
# Behaviour  AccessTokenValidity and IdTokenValidity with TokenValidityUnits are stored and described.
#            Access and ID tokens have an `exp` one hour after `iat`, and ExpiresIn is 3600, in a
#            sign-in and in a refresh.
# Expected   `exp` as the client has it, from five minutes to a day; or an error that says that it is
#            not built.
# Hurt       Tests of what happens when a token runs out. With a client of five minutes a test that
#            turns the clock by six finds the user still signed in, without a refresh; with one of a
#            day, a refresh that production will not see for 23 hours.
# Way out    In tests turn the clock by more than an hour, or sign tokens oneself with another `exp`.
# Source     getmoto/moto, moto/cognitoidp/models.py (create_jwt: expires_in).
#            https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_CreateUserPoolClient.html
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | client of 5 and 10 minutes, described as 5 minutes and 10 minutes
#   |   sign-in: access token 60 minutes, ID token 60 minutes, ExpiresIn 60 minutes
#   |   refresh: access token 60 minutes, ID token 60 minutes, ExpiresIn 60 minutes
#   | client of 1 and 1 days, described as 1 days and 1 days
#   |   sign-in: access token 60 minutes, ID token 60 minutes, ExpiresIn 60 minutes
#   |   refresh: access token 60 minutes, ID token 60 minutes, ExpiresIn 60 minutes
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  'moto[cognitoidp]==5.2.5' boto3==1.44.8 pyjwt==2.15.1 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import os

os.environ |= {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "eu-west-1",
}

import boto3  # noqa: E402
import jwt  # noqa: E402
from moto import mock_aws  # noqa: E402


def show(access, identity, unit):
    cognito = boto3.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="pool")["UserPool"]["Id"]
    made = cognito.create_user_pool_client(
        UserPoolId=pool,
        ClientName="web",
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        AccessTokenValidity=access,
        IdTokenValidity=identity,
        TokenValidityUnits={"AccessToken": unit, "IdToken": unit},
    )["UserPoolClient"]["ClientId"]
    client = cognito.describe_user_pool_client(UserPoolId=pool, ClientId=made)["UserPoolClient"]
    units = client["TokenValidityUnits"]
    print(
        f"client of {access} and {identity} {unit}, described as"
        f" {client['AccessTokenValidity']} {units['AccessToken']}"
        f" and {client['IdTokenValidity']} {units['IdToken']}"
    )
    ada = {"UserPoolId": pool, "Username": "ada"}
    cognito.admin_create_user(**ada)
    cognito.admin_set_user_password(**ada, Password="Corr3ct!horse", Permanent=True)

    def ask(title, flow, **parameters):
        answer = cognito.initiate_auth(ClientId=made, AuthFlow=flow, AuthParameters=parameters)
        tokens = answer["AuthenticationResult"]
        lives = []
        for name in ("AccessToken", "IdToken"):
            claims = jwt.decode(tokens[name], options={"verify_signature": False})
            lives.append((claims["exp"] - claims["iat"]) // 60)
        print(
            f"  {title}: access token {lives[0]} minutes, ID token {lives[1]} minutes,"
            f" ExpiresIn {tokens['ExpiresIn'] // 60} minutes"
        )
        return tokens

    signed_in = ask("sign-in", "USER_PASSWORD_AUTH", USERNAME="ada", PASSWORD="Corr3ct!horse")
    ask("refresh", "REFRESH_TOKEN_AUTH", REFRESH_TOKEN=signed_in["RefreshToken"])


with mock_aws():
    show(5, 10, "minutes")
    show(1, 1, "days")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
