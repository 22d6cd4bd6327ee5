#!/usr/bin/env bash
# moto says that a user pool's issuer is UPDATED, and signs its tokens as the ORIGINAL.
#
# Version    PyPI moto 5.2.5, botocore 1.44.8, PyJWT 2.15.1.
# Behaviour  IssuerConfiguration is stored and described as it was given. Tokens have the `iss`
#            https://cognito-idp.REGION.amazonaws.com/POOL all the same.
# Expected   https://issuer-cognito-idp.REGION.amazonaws.com/POOL, as botocore's model has it for
#            UPDATED; or an error that says that it is not built.
# Hurt       Tests of the switch of a pool's issuer. They pass with a verifier that knows the
#            ORIGINAL alone, and that refuses everybody at Cognito.
# Way out    Sign the tokens of such tests with a key of one's own and serve its key set.
# Source     getmoto/moto, moto/cognitoidp/models.py: CognitoIdpUserPool.create_jwt writes `iss`,
#            update_extended_config keeps whatever it is given.
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | ORIGINAL: described as ORIGINAL, iss at cognito-idp.eu-west-1.amazonaws.com
#   | UPDATED: described as UPDATED, iss at cognito-idp.eu-west-1.amazonaws.com
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  "moto[cognitoidp]==5.2.5" boto3==1.44.8 botocore==1.44.8 pyjwt==2.15.1 2>log ||
  { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import os
from urllib.parse import urlsplit

import boto3
import jwt
from moto import mock_aws

os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
with mock_aws():
    cognito = boto3.client("cognito-idp", region_name="eu-west-1")
    for kind in ("ORIGINAL", "UPDATED"):
        made = cognito.create_user_pool(PoolName="people", IssuerConfiguration={"Type": kind})
        pool = made["UserPool"]["Id"]
        described = cognito.describe_user_pool(UserPoolId=pool)["UserPool"]["IssuerConfiguration"]
        client = cognito.create_user_pool_client(
            UserPoolId=pool, ClientName="web", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
        )["UserPoolClient"]["ClientId"]
        ada = {"UserPoolId": pool, "Username": "ada"}
        cognito.admin_create_user(**ada)
        cognito.admin_set_user_password(**ada, Password="Corr3ct!horse", Permanent=True)
        signed_in = cognito.initiate_auth(
            ClientId=client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "ada", "PASSWORD": "Corr3ct!horse"},
        )["AuthenticationResult"]
        claims = jwt.decode(signed_in["IdToken"], options={"verify_signature": False})
        host = urlsplit(claims["iss"]).netloc
        print(f"{kind}: described as {described['Type']}, iss at {host}")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
