#!/usr/bin/env bash
# moto answers the refresh of a deleted user's tokens with a failure of its own, not with a
# refusal.
#
# Version    PyPI moto 5.2.5 (in the process, and its server), boto3 1.44.8.
# Behaviour  After AdminDeleteUser a REFRESH_TOKEN_AUTH of that user raises an AttributeError out of
#            boto3's client. moto's server answers 500 without an error type, and boto3 sends the
#            request three times. GetUser of the same user is UserNotFoundException.
# Expected   A 400 with one of InitiateAuth's error types, such as NotAuthorizedException, with which
#            moto refuses a refresh token that was never issued.
# Hurt       Tests of "the account is gone, the session ends". A client that tells a refusal from an
#            outage sees an outage, and rightly keeps the session; one that catches ClientError lets
#            the AttributeError through.
# Way out    In tests call AdminUserGlobalSignOut before AdminDeleteUser: moto then forgets the
#            refresh token, and refuses it.
# Source     getmoto/moto, moto/cognitoidp/models.py (create_tokens_from_refresh_token).
#            https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_InitiateAuth.html
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | never issued: 400 NotAuthorizedException
#   | user deleted: AttributeError
#   | user deleted, GetUser: 400 UserNotFoundException
#   | user signed out everywhere, then deleted: 400 NotAuthorizedException
#   | user deleted, moto's server: 500 500, 3 requests
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  'moto[cognitoidp,server]==5.2.5' boto3==1.44.8 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import logging
import os

os.environ |= {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "eu-west-1",
}
logging.getLogger("werkzeug").disabled = True

import boto3  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402
from moto import mock_aws  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402


class Pool:
    def __init__(self, endpoint=None):
        self.cognito = boto3.client("cognito-idp", endpoint_url=endpoint)
        self.pool = self.cognito.create_user_pool(PoolName="pool")["UserPool"]["Id"]
        made = self.cognito.create_user_pool_client(
            UserPoolId=self.pool,
            ClientName="web",
            ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        )
        self.client = made["UserPoolClient"]["ClientId"]
        self.ada = {"UserPoolId": self.pool, "Username": "ada"}
        self.cognito.admin_create_user(**self.ada)
        self.cognito.admin_set_user_password(**self.ada, Password="Corr3ct!horse", Permanent=True)

    def sign_in(self):
        return self.ask("USER_PASSWORD_AUTH", USERNAME="ada", PASSWORD="Corr3ct!horse")

    def refresh(self, token):
        return self.ask("REFRESH_TOKEN_AUTH", REFRESH_TOKEN=token)

    def ask(self, flow, **parameters):
        answer = self.cognito.initiate_auth(
            ClientId=self.client, AuthFlow=flow, AuthParameters=parameters
        )
        return answer["AuthenticationResult"]


def told(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except ClientError as error:
        answer = error.response
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        return f"{status} {answer['Error']['Code']}", answer["ResponseMetadata"]["RetryAttempts"]
    except AttributeError:
        return "AttributeError", 0
    return "tokens", 0


with mock_aws():
    pool = Pool()
    print(f"never issued: {told(pool.refresh, 'made-up')[0]}")
    tokens = pool.sign_in()
    pool.cognito.admin_delete_user(**pool.ada)
    print(f"user deleted: {told(pool.refresh, tokens['RefreshToken'])[0]}")
    asked = told(pool.cognito.get_user, AccessToken=tokens["AccessToken"])[0]
    print(f"user deleted, GetUser: {asked}")
    pool = Pool()
    tokens = pool.sign_in()
    pool.cognito.admin_user_global_sign_out(**pool.ada)
    pool.cognito.admin_delete_user(**pool.ada)
    refused = told(pool.refresh, tokens["RefreshToken"])[0]
    print(f"user signed out everywhere, then deleted: {refused}")

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
try:
    host, port = server.get_host_and_port()
    pool = Pool(f"http://{host}:{port}")
    tokens = pool.sign_in()
    pool.cognito.admin_delete_user(**pool.ada)
    words, again = told(pool.refresh, tokens["RefreshToken"])
    print(f"user deleted, moto's server: {words}, {again + 1} requests")
finally:
    server.stop()
PY
PYTHONPATH=packages python3 ask.py >seen 2>log || { cat log >&2; exit 1; }

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
