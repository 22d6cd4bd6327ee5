#!/usr/bin/env bash
# cognito-local answers an API action that it lacks with HTTP 500, and clients try again.
#
# Version    npm cognito-local 5.3.0, with the AWS SDK that it brings (aws-sdk 2.1693.0).
# Behaviour  GetTokensFromRefreshToken and GlobalSignOut are not built. Both are answered with
#            status 500 and the type `CognitoLocal#Unsupported`. The AWS SDK takes that for a
#            server in trouble and sends the request four times.
# Expected   400, as Cognito answers every request that will never succeed. 500 says "later".
# Hurt       Clients of Cognito that look at the status first. A missing action looks like an
#            outage: it is retried, and the session is kept for a refresh that never comes.
# Way out    Refresh with the REFRESH_TOKEN_AUTH flow of InitiateAuth, and look at `__type`
#            before the status.
# Source     cognito-local, src/server/server.ts (UnsupportedError) and src/server/Router.ts. Its
#            README lists GlobalSignOut as missing; it does not mention the status.
# Needs      bash, node 20 or newer, npm. Exit status: 0 if nothing has changed.
# Seen:
#   | InitiateAuth REFRESH_TOKEN_AUTH: 200, a new access token
#   | GetTokensFromRefreshToken: 500 CognitoLocal#Unsupported
#   | GlobalSignOut: 500 CognitoLocal#Unsupported
#   | GlobalSignOut with the AWS SDK: retryable, 4 requests
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

npm install --ignore-scripts --no-audit --no-fund --loglevel=error \
  cognito-local@5.3.0 aws-sdk@2.1693.0 >/dev/null

touch log
HOST=127.0.0.1 PORT=0 node node_modules/cognito-local/lib/bin/start.js >log 2>&1 &
server=$!
url=
for _ in $(seq 300); do
  url=$(grep -o 'http://127.0.0.1:[0-9]*' log) && break
  sleep 0.1
done

cat >ask.js <<'JS'
const url = process.argv[2];
const { CognitoIdentityServiceProvider } = require('aws-sdk');

async function ask(action, body) {
	const answer = await fetch(url, {
		method: 'POST',
		headers: {
			'Content-Type': 'application/x-amz-json-1.1',
			'X-Amz-Target': `AWSCognitoIdentityProviderService.${action}`,
		},
		body: JSON.stringify(body),
	});
	return { status: answer.status, ...(await answer.json()) };
}

async function main() {
	const pool = await ask('CreateUserPool', { PoolName: 'pool' });
	const UserPoolId = pool.UserPool.Id;
	const flows = ['ALLOW_USER_PASSWORD_AUTH', 'ALLOW_REFRESH_TOKEN_AUTH'];
	const made = { UserPoolId, ClientName: 'client', ExplicitAuthFlows: flows };
	const { ClientId } = (await ask('CreateUserPoolClient', made)).UserPoolClient;
	const [Username, Password] = ['ada@example.com', 'Correct-horse-1'];
	await ask('AdminCreateUser', { UserPoolId, Username, MessageAction: 'SUPPRESS' });
	await ask('AdminSetUserPassword', { UserPoolId, Username, Password, Permanent: true });
	const initiate = (AuthFlow, AuthParameters) =>
		ask('InitiateAuth', { ClientId, AuthFlow, AuthParameters });
	const signedIn = await initiate('USER_PASSWORD_AUTH', { USERNAME: Username, PASSWORD: Password });
	const { AccessToken, RefreshToken } = signedIn.AuthenticationResult;

	const refreshed = await initiate('REFRESH_TOKEN_AUTH', { REFRESH_TOKEN: RefreshToken });
	const token = refreshed.AuthenticationResult?.AccessToken;
	const came = token ? 'a new access token' : refreshed.__type;
	console.log(`InitiateAuth REFRESH_TOKEN_AUTH: ${refreshed.status}, ${came}`);
	for (const [action, body] of [
		['GetTokensFromRefreshToken', { ClientId, RefreshToken }],
		['GlobalSignOut', { AccessToken }],
	]) {
		const { status, __type } = await ask(action, body);
		console.log(`${action}: ${status} ${__type}`);
	}

	const sdk = new CognitoIdentityServiceProvider({
		endpoint: url,
		region: 'local',
		accessKeyId: 'local',
		secretAccessKey: 'local',
	});
	const request = sdk.globalSignOut({ AccessToken });
	const error = await request.promise().catch(error => error);
	const requests = request.response.retryCount + 1;
	const kind = error.retryable ? 'retryable' : 'final';
	console.log(`GlobalSignOut with the AWS SDK: ${kind}, ${requests} requests`);
}

main();
JS
node --no-warnings ask.js "$url" >seen || { cat log >&2; exit 2; }

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
