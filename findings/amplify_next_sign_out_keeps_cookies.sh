#!/usr/bin/env bash
# Amplify's sign-out route for Next.js deletes no cookie if the username has a letter like é.
#
# Version    npm @aws-amplify/adapter-nextjs 1.8.0, aws-amplify 6.22.1, next 16.4.6.
# Behaviour  Amplify's cookie storage in the browser writes the cookie LastAuthUser
#            percent-encoded. The sign-out callback for the App Router reads it without decoding,
#            looks for cookies of a user `zo%C3%A9`, finds no refresh token, and redirects to the
#            application: nothing is revoked, no cookie is deleted.
# Expected   What happens for a user `zoe` or `zoe@example.com`: the refresh token is
#            revoked, and five cookies are deleted.
# Hurt       Users whose name has a letter outside ASCII, or one of the few signs that are encoded
#            in a cookie's value, such as % or ;. They are told that they are signed out, and are
#            not: on a shared computer the next person goes on as them.
# Way out    Wrap the route's handler: when it is done, delete every cookie whose name begins with
#            `CognitoIdentityServiceProvider.` and the client's ID, and revoke the refresh token.
# Source     aws-amplify/amplify-js, packages/adapter-nextjs/src/auth/utils/
#            getCookieValuesFromRequest.ts: it encodes names, and leaves values as they came.
#            Issue 14781 reports this for @ in the name, which 1.8.0 has put right.
# Needs      bash, node 20.9 or newer, npm; a minute if npm's cache is cold. Exit status: 0 if
#            nothing has changed.
# Seen:
#   | zoe: LastAuthUser=zoe, status 302, tokens revoked: 1, cookies deleted: 5
#   | zoe@example.com: LastAuthUser=zoe@example.com, status 302, tokens revoked: 1, cookies deleted: 5
#   | zoé: LastAuthUser=zo%C3%A9, status 302, tokens revoked: 0, cookies deleted: 0
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error \
  @aws-amplify/adapter-nextjs@1.8.0 aws-amplify@6.22.1 next@16.4.6 >/dev/null

cat >ask.mjs <<'JS'
process.env.AMPLIFY_APP_ORIGIN = 'https://app.example.com';

// A browser, as far as Amplify's cookie storage needs one.
const jar = new Map();
globalThis.document = {
	get cookie() {
		return [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
	},
	set cookie(line) {
		const [, name, value] = /^([^=]*)=([^;]*)/.exec(line);
		jar.set(name, value);
	},
};
// The user pool's domain: the callback revokes the refresh token there.
let revoked = 0;
globalThis.fetch = async input => {
	if (new URL(input).pathname !== '/oauth2/revoke') throw new TypeError(`no way to ${input}`);
	revoked++;
	return new Response(null, { status: 200 });
};

const { CookieStorage } = await import('aws-amplify/utils');
const { AUTH_KEY_PREFIX, createKeysForAuthStorage } = await import('aws-amplify/adapter-core');
const { createServerRunner } = await import('@aws-amplify/adapter-nextjs');
const { NextRequest } = await import('next/server.js');

const userPoolClientId = 'client';
const oauth = {
	domain: 'auth.example.com',
	scopes: ['openid'],
	redirectSignIn: ['https://app.example.com/auth/sign-in-callback'],
	redirectSignOut: ['https://app.example.com/auth/sign-out-callback'],
	responseType: 'code',
};
const Cognito = { userPoolId: 'eu-west-1_Example', userPoolClientId, loginWith: { oauth } };
const { createAuthRouteHandlers } = createServerRunner({ config: { Auth: { Cognito } } });
const handle = createAuthRouteHandlers({ redirectOnSignOutComplete: '/' });

for (const username of ['zoe', 'zoe@example.com', 'zoé']) {
	jar.clear();
	revoked = 0;
	const storage = new CookieStorage();
	const keys = createKeysForAuthStorage(AUTH_KEY_PREFIX, `${userPoolClientId}.${username}`);
	const lastAuthUser = `${AUTH_KEY_PREFIX}.${userPoolClientId}.LastAuthUser`;
	await storage.setItem(lastAuthUser, username);
	for (const key of [keys.accessToken, keys.idToken, keys.refreshToken]) {
		await storage.setItem(key, 'token');
	}
	const cookie = `${document.cookie}; com.amplify.server_auth.isSigningOut=true`;
	const request = new NextRequest(oauth.redirectSignOut[0], { headers: { cookie } });
	const params = Promise.resolve({ slug: 'sign-out-callback' });
	const answer = await handle(request, { params });
	const deleted = answer.headers.getSetCookie().length;
	console.log(
		`${username}: LastAuthUser=${jar.get(lastAuthUser)}, status ${answer.status}, ` +
			`tokens revoked: ${revoked}, cookies deleted: ${deleted}`,
	);
}
JS
NODE_ENV=production node ask.mjs >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
