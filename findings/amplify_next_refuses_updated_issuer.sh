#!/usr/bin/env bash
# Amplify's adapter for Next.js takes everybody for signed out once a user pool's issuer is UPDATED.
#
# Version    npm @aws-amplify/adapter-nextjs 1.8.0 (aws-jwt-verify 4.0.1, by its range ^4.0.1),
#            aws-amplify 6.22.1, next 16.4.6.
# Behaviour  On the server every token in a cookie is verified first, and is left out if that fails.
#            The verifier knows the issuer https://cognito-idp.REGION.amazonaws.com/POOL alone. A
#            pool whose IssuerConfiguration is UPDATED writes another one into its tokens,
#            https://issuer-cognito-idp.REGION.amazonaws.com/POOL.
# Expected   Both are Amazon's names for one pool. aws-jwt-verify takes both since 5.2.0, and Amazon
#            recommends UPDATED for all user pools.
# Hurt       Sites with Amplify on the server whose pool is switched: signed in again, everybody is
#            signed in in the browser, and nobody on the server. Nothing is logged.
# Way out    Leave such a pool ORIGINAL, or override aws-jwt-verify to 5.2.1 in package.json, with a
#            test of one's own.
# Source     aws-amplify/amplify-js, packages/adapter-nextjs/package.json (aws-jwt-verify ^4.0.1)
#            and src/utils/isValidCognitoToken.ts, which answers every other error with false.
# Needs      bash, node 20.9 or newer, npm; a minute if npm's cache is cold. Exit status: 0 if
#            nothing has changed.
# Seen:
#   | aws-jwt-verify 4.0.1
#   | cognito-idp.eu-west-1.amazonaws.com: ada
#   | issuer-cognito-idp.eu-west-1.amazonaws.com: UserUnAuthenticatedException
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error \
  @aws-amplify/adapter-nextjs@1.8.0 aws-amplify@6.22.1 next@16.4.6 aws-jwt-verify@4.0.1 >/dev/null

cat >ask.mjs <<'JS'
import { createSign, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire, syncBuiltinESMExports } from 'node:module';

const [userPoolId, userPoolClientId] = ['eu-west-1_Example', 'client'];
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'RS256', use: 'sig' };

// Amazon's hosts, as far as the verifier needs them: any address has the pool's key set.
const server = http.createServer((_, answer) => {
	answer.setHeader('content-type', 'application/json');
	answer.end(JSON.stringify({ keys: [key] }));
});
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
const home = `http://127.0.0.1:${server.address().port}`;
https.request = (uri, options, onResponse) =>
	http.request(new URL(new URL(uri).pathname, home), options, onResponse);
syncBuiltinESMExports();

const { AUTH_KEY_PREFIX, createKeysForAuthStorage } = await import('aws-amplify/adapter-core');
const { createServerRunner } = await import('@aws-amplify/adapter-nextjs');
const { getCurrentUser } = await import('aws-amplify/auth/server');
const { NextRequest, NextResponse } = await import('next/server.js');

// The adapter's own copy of the verifier.
const { resolve } = createRequire(createRequire(import.meta.url).resolve('@aws-amplify/adapter-nextjs'));
const manifest = resolve('aws-jwt-verify').replace(/dist.*/, 'package.json');
console.log(`aws-jwt-verify ${JSON.parse(readFileSync(manifest)).version}`);

const base64url = value => Buffer.from(JSON.stringify(value)).toString('base64url');
function signed(host, claims) {
	const now = Math.floor(Date.now() / 1000);
	const iss = `https://${host}/${userPoolId}`;
	const head = base64url({ kid: 'k', alg: 'RS256' });
	const body = base64url({ sub: '0f3c', iss, iat: now, exp: now + 3600, ...claims });
	const signature = createSign('RSA-SHA256').update(`${head}.${body}`).sign(privateKey, 'base64url');
	return `${head}.${body}.${signature}`;
}

const { runWithAmplifyServerContext } = createServerRunner({
	config: { Auth: { Cognito: { userPoolId, userPoolClientId } } },
});
const keys = createKeysForAuthStorage(AUTH_KEY_PREFIX, `${userPoolClientId}.ada`);
for (const name of ['cognito-idp', 'issuer-cognito-idp']) {
	const host = `${name}.eu-west-1.amazonaws.com`;
	const access = { token_use: 'access', client_id: userPoolClientId, username: 'ada' };
	const id = { token_use: 'id', aud: userPoolClientId, 'cognito:username': 'ada' };
	const cookie = [
		`${AUTH_KEY_PREFIX}.${userPoolClientId}.LastAuthUser=ada`,
		`${keys.accessToken}=${signed(host, access)}`,
		`${keys.idToken}=${signed(host, id)}`,
	].join('; ');
	const request = new NextRequest('https://app.example.com/', { headers: { cookie } });
	const seen = await runWithAmplifyServerContext({
		nextServerContext: { request, response: NextResponse.next() },
		operation: context => getCurrentUser(context),
	}).then(user => user.username, error => error.name);
	console.log(`${host}: ${seen}`);
}
server.close();
JS
NODE_ENV=production node ask.mjs >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
