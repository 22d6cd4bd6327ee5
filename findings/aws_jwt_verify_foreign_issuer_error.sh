#!/usr/bin/env bash
# aws-jwt-verify 5.2 tells of another pool's token as it tells of a mistake in one's own code.
#
# Version    npm aws-jwt-verify 5.2.1; 5.1.1 for comparison.
# Behaviour  With one user pool, another pool's token was refused with KidNotFoundInJwksError, and one
#            of a shared key with JwtInvalidIssuerError. Since each pool has two issuers, 5.2 throws
#            ParameterValidationError, the class of a missing clientId or a malformed pool id. (With
#            several pools it did before.)
# Expected   One of the two errors still: the token is wrong, and the parameters are right.
# Hurt       Services that answer 401 to errors about tokens, and 500 with an alarm to a
#            ParameterValidationError: any visitor with a token of another pool is now an error of
#            the server. The upgrade is a minor one.
# Way out    Look at the text ("issuer not configured: "), or answer 401 to every JwtBaseError of
#            verify(), and make the verifier at start, where mistakes of one's own show.
# Source     awslabs/aws-jwt-verify, src/jwt-verifier.ts (getIssuerConfig) and
#            src/cognito-verifier.ts (two issuers for each pool since pull request 239).
# Needs      bash, node 18 or newer, npm. Exit status: 0 if nothing has changed.
# Seen:
#   | 5.1.1, own pool: valid
#   | 5.1.1, another pool: KidNotFoundInJwksError
#   | 5.1.1, another pool with the same key: JwtInvalidIssuerError
#   | 5.1.1, malformed pool id: ParameterValidationError
#   | 5.2.1, own pool: valid
#   | 5.2.1, another pool: ParameterValidationError
#   | 5.2.1, another pool with the same key: ParameterValidationError
#   | 5.2.1, malformed pool id: ParameterValidationError
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --ignore-scripts --no-audit --no-fund --loglevel=error \
  old@npm:aws-jwt-verify@5.1.1 new@npm:aws-jwt-verify@5.2.1 >/dev/null

cat >ask.mjs <<'JS'
import { createSign, generateKeyPairSync } from 'node:crypto';

const pairs = ['own', 'other'].map(kid => ({
	kid,
	...generateKeyPairSync('rsa', { modulusLength: 2048 }),
}));
const [own, other] = pairs;
const key = { ...own.publicKey.export({ format: 'jwk' }), kid: 'own', alg: 'RS256', use: 'sig' };
const base64url = value => Buffer.from(JSON.stringify(value)).toString('base64url');
function signed(userPoolId, { kid, privateKey } = own) {
	const now = Math.floor(Date.now() / 1000);
	const iss = `https://cognito-idp.eu-west-1.amazonaws.com/${userPoolId}`;
	const claims = { sub: '0f3c', iss, aud: 'client', token_use: 'id', iat: now, exp: now + 3600 };
	const text = `${base64url({ kid, alg: 'RS256' })}.${base64url(claims)}`;
	return `${text}.${createSign('RSA-SHA256').update(text).sign(privateKey, 'base64url')}`;
}

for (const [name, version] of [['old', '5.1.1'], ['new', '5.2.1']]) {
	const { CognitoJwtVerifier } = await import(name);
	function verified(userPoolId, token) {
		try {
			const options = { userPoolId, clientId: 'client', tokenUse: 'id' };
			const verifier = CognitoJwtVerifier.create(options);
			verifier.cacheJwks({ keys: [key] });
			verifier.verifySync(token);
			return 'valid';
		} catch (error) {
			return error.constructor.name;
		}
	}
	console.log(`${version}, own pool: ${verified('eu-west-1_Own', signed('eu-west-1_Own'))}`);
	const [theirs, shared] = [other, own].map(pair => signed('eu-west-1_Other', pair));
	console.log(`${version}, another pool: ${verified('eu-west-1_Own', theirs)}`);
	console.log(`${version}, another pool with the same key: ${verified('eu-west-1_Own', shared)}`);
	console.log(`${version}, malformed pool id: ${verified('own', signed('eu-west-1_Own'))}`);
}
JS
node ask.mjs >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
