#!/usr/bin/env bash
# aws-jwt-verify takes user pools of the European Sovereign Cloud, and looks for them elsewhere.
#
# Version    npm aws-jwt-verify 5.2.1; PyPI botocore 1.44.8.
# Behaviour  Since 5.2.0 it accepts ids such as eusc-de-east-1_Example. It fetches their keys below
#            amazonaws.com, and believes no issuer but that, as it does in every Region.
# Expected   The host that Amazon's own SDKs have for that Region: hosts of this partition end in
#            amazonaws.eu (and China's in amazonaws.com.cn).
# Hurt       Sites in the sovereign cloud. The verifier is made without a word; every token is
#            refused, or its keys are not found, when the first user comes.
# Way out    JwtVerifier of the same package, with `issuer`, `audience` and a check of `token_use`
#            and `client_id` of one's own.
# Source     awslabs/aws-jwt-verify, src/cognito-verifier.ts (parseUserPoolId); its pull request 276
#            widened the pattern of ids alone. botocore, data/partitions.json and data/endpoints.json.
# Needs      bash, node 18 or newer, npm, python 3.10 or newer with pip. Exit status: 0 if nothing
#            has changed.
# Seen:
#   | eu-west-1: aws-jwt-verify asks cognito-idp.eu-west-1.amazonaws.com, botocore the same
#   | us-gov-west-1: aws-jwt-verify asks cognito-idp.us-gov-west-1.amazonaws.com, botocore the same
#   | eusc-de-east-1: aws-jwt-verify asks cognito-idp.eusc-de-east-1.amazonaws.com, botocore cognito-idp.eusc-de-east-1.amazonaws.eu
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --ignore-scripts --no-audit --no-fund --loglevel=error aws-jwt-verify@5.2.1 >/dev/null
python3 -m pip install --quiet --disable-pip-version-check --target packages botocore==1.44.8 \
  2>log || { cat log >&2; exit 2; }

cat >theirs.mjs <<'JS'
import { CognitoJwtVerifier } from 'aws-jwt-verify';

// A token as the pool of that Region would send it, with a good form and no signature to speak of:
// it is enough for the verifier to say which address it would fetch keys from.
const base64url = value => Buffer.from(JSON.stringify(value)).toString('base64url');
for (const region of process.argv.slice(2)) {
	const userPoolId = `${region}_Example`;
	const fetcher = { fetch: async uri => Promise.reject(new Error(new URL(uri).host)) };
	const { SimpleJwksCache } = await import('aws-jwt-verify/jwk');
	const jwksCache = new SimpleJwksCache({ fetcher });
	const verifier = CognitoJwtVerifier.create({ userPoolId, clientId: 'client', tokenUse: 'id' }, { jwksCache });
	const iss = `https://cognito-idp.${region}.amazonaws.com/${userPoolId}`;
	const token = `${base64url({ kid: 'k', alg: 'RS256' })}.${base64url({ iss })}.AAAA`;
	console.log(await verifier.verify(token).then(String, error => error.message));
}
JS
cat >amazons.py <<'PY'
import sys

import botocore.session

session = botocore.session.get_session()
for region in sys.argv[1:]:
    client = session.create_client(
        "cognito-idp", region_name=region, aws_access_key_id="x", aws_secret_access_key="x"
    )
    print(client.meta.endpoint_url.removeprefix("https://"))
PY
regions="eu-west-1 us-gov-west-1 eusc-de-east-1"
# shellcheck disable=SC2086
paste -d ' ' <(printf '%s\n' $regions) <(node theirs.mjs $regions) \
  <(PYTHONPATH=packages python3 amazons.py $regions) >hosts
while read -r region theirs amazons; do
  if [ "$theirs" = "$amazons" ]; then amazons="the same"; fi
  echo "$region: aws-jwt-verify asks $theirs, botocore $amazons"
done <hosts >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
