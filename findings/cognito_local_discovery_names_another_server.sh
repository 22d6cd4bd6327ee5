#!/usr/bin/env bash
# cognito-local's discovery document names localhost:9229, wherever the server listens and whatever
# issuer is configured.
#
# Version    npm cognito-local 5.3.0.
# Behaviour  `issuer` and `jwks_uri` are fixed. With PORT or HOST set, and with
#            TokenConfig.IssuerDomain in the configuration file, the tokens have another `iss`, and
#            the keys are somewhere else.
# Expected   `issuer` is the `iss` of its tokens, and `jwks_uri` can be fetched: OpenID Connect
#            Discovery 4.3 has the issuer be the one that the document was asked for.
# Hurt       Anything that configures itself by discovery (Authlib, Spring, API gateways) and runs
#            against a free port, as tests do: it refuses every token for its issuer, or fails to
#            fetch keys with a refused connection, or, where another cognito-local has the usual
#            port, verifies with that one's answers.
# Way out    Write issuer and address of the keys (/POOL/.well-known/jwks.json) into the application's
#            configuration, or leave HOST and PORT alone.
# Source     jagregory/cognito-local, src/server/server.ts.
#            https://github.com/jagregory/cognito-local/pull/407 and /pull/398 are open; the README
#            offers PORT and IssuerDomain without a word of this.
# Needs      bash, node 20 or newer, npm. Exit status: 0 if nothing has changed.
# Seen:
#   | HOST=127.0.0.1 PORT=PORT
#   |   iss of a token: http://127.0.0.1:PORT/POOL
#   |   issuer of the document: http://localhost:9229/POOL
#   |   jwks_uri of the document: http://localhost:9229/POOL/.well-known/jwks.json
#   | the same, with TokenConfig.IssuerDomain
#   |   iss of a token: http://pool.test/POOL
#   |   issuer of the document: http://localhost:9229/POOL
#   |   jwks_uri of the document: http://localhost:9229/POOL/.well-known/jwks.json
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
  cognito-local@5.3.0 >/dev/null

cat >ask.js <<'JS'
const [url, title] = process.argv.slice(2);
const { port } = new URL(url);

async function ask(action, body) {
	const answer = await fetch(url, {
		method: 'POST',
		headers: {
			'Content-Type': 'application/x-amz-json-1.1',
			'X-Amz-Target': `AWSCognitoIdentityProviderService.${action}`,
		},
		body: JSON.stringify(body),
	});
	return answer.json();
}

async function main() {
	const UserPoolId = (await ask('CreateUserPool', { PoolName: 'pool' })).UserPool.Id;
	const ExplicitAuthFlows = ['ALLOW_USER_PASSWORD_AUTH'];
	const made = await ask('CreateUserPoolClient', { UserPoolId, ClientName: 'web', ExplicitAuthFlows });
	const { ClientId } = made.UserPoolClient;
	const [Username, Password] = ['ada@example.com', 'Correct-horse-1'];
	await ask('AdminCreateUser', { UserPoolId, Username, MessageAction: 'SUPPRESS' });
	await ask('AdminSetUserPassword', { UserPoolId, Username, Password, Permanent: true });
	const AuthParameters = { USERNAME: Username, PASSWORD: Password };
	const signedIn = await ask('InitiateAuth', { ClientId, AuthFlow: 'USER_PASSWORD_AUTH', AuthParameters });
	const claims = signedIn.AuthenticationResult.AccessToken.split('.')[1];
	const { iss } = JSON.parse(Buffer.from(claims, 'base64url'));
	const found = await fetch(`${url}/${UserPoolId}/.well-known/openid-configuration`);
	const { issuer, jwks_uri } = await found.json();
	const plain = text => text.replace(`:${port}/`, ':PORT/').replace(UserPoolId, 'POOL');
	console.log(title);
	console.log(`  iss of a token: ${plain(iss)}`);
	console.log(`  issuer of the document: ${plain(issuer)}`);
	console.log(`  jwks_uri of the document: ${plain(jwks_uri)}`);
}

main();
JS

see() { # a title, in a folder of its own
  mkdir -p "$2/.cognito"
  [ -z "$3" ] || echo "$3" >"$2/.cognito/config.json"
  port=$(node -e "const s = require('net').createServer().listen(0, '127.0.0.1', () => {
    console.log(s.address().port); s.close(); })")
  (cd "$2" && HOST=127.0.0.1 PORT=$port exec node ../node_modules/cognito-local/lib/bin/start.js) \
    >"$2/log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    grep -q 'running on http://127.0.0.1' "$2/log" && break
    sleep 0.1
  done
  node --no-warnings ask.js "http://127.0.0.1:$port" "$1" || { cat "$2/log" >&2; exit 2; }
  kill "$server"
  wait "$server" || true
  server=
}

see 'HOST=127.0.0.1 PORT=PORT' plain '' >seen
see 'the same, with TokenConfig.IssuerDomain' named \
  '{"TokenConfig": {"IssuerDomain": "http://pool.test"}}' >>seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
