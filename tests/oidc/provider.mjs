// OpenID providers on this machine: `oidc-provider`, laid out and filled in as a user pool is.
// What it decides is its own; only the ID tokens that it hands out can be altered afterwards.

import { createHmac, createPublicKey, createSign, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

import { obey } from './orders.mjs';

const KEY = { kid: 'of-the-provider', alg: 'RS256', use: 'sig' };
const RESOURCE = 'urn:user-pool'; // an access token for a resource is a JWT
const HOUR = 3600;

const newKey = () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const [own, foreign] = [newKey(), newKey()];
const publicText = createPublicKey(own).export({ type: 'spki', format: 'pem' });

const rs256 = key => signed => createSign('RSA-SHA256').update(signed).sign(key, 'base64url');
const SIGNATURES = {
	own: rs256(own),
	foreign: rs256(foreign),
	none: () => '',
	// whoever takes the algorithm from the token takes the public key for a shared one
	confused: signed => createHmac('sha256', publicText).update(signed).digest('base64url'),
};

const encoded = value => Buffer.from(JSON.stringify(value)).toString('base64url');
const decoded = text => JSON.parse(Buffer.from(text, 'base64url'));

// A token with other members (null takes one out) and a signature of the kind `signer`.
function forged(token, { header = {}, claims = {}, signer = 'own' }) {
	const [first, second] = token.split('.').map((part, at) => (at < 2 ? decoded(part) : part));
	const merged = (old, changes) =>
		Object.fromEntries(Object.entries({ ...old, ...changes }).filter(each => each[1] !== null));
	const signed = `${encoded(merged(first, header))}.${encoded(merged(second, claims))}`;
	return `${signed}.${SIGNATURES[signer](signed)}`;
}

// The provider's own sign-in page takes what is typed for the `sub`; the rest is made of that.
const nameOf = sub => sub.replace('sub-of-', '');
const claimsOf = (sub, use) => ({
	sub,
	token_use: use === 'id_token' ? 'id' : use,
	'cognito:username': nameOf(sub),
	email: `${nameOf(sub)}@example.com`,
});

function configuration(pool, clients) {
	return {
		clients,
		jwks: { keys: [{ ...own.export({ format: 'jwk' }), ...KEY }] },
		clientAuthMethods: ['none', 'client_secret_basic'],
		pkce: { required: () => true },
		routes: {
			authorization: '/oauth2/authorize',
			token: '/oauth2/token',
			revocation: '/oauth2/revoke',
			userinfo: '/oauth2/userInfo',
			end_session: '/logout',
			jwks: `/${pool}/.well-known/jwks.json`,
		},
		features: {
			devInteractions: { enabled: true },
			revocation: { enabled: true },
			clientCredentials: { enabled: true },
			resourceIndicators: {
				enabled: true,
				defaultResource: () => RESOURCE,
				useGrantedResource: () => true,
				getResourceServerInfo: () => ({
					scope: 'openid email aws.cognito.signin.user.admin orders/read orders/write',
					accessTokenFormat: 'jwt',
					jwt: { sign: { alg: KEY.alg, kid: KEY.kid } },
				}),
			},
		},
		conformIdTokenClaims: false,
		claims: { openid: ['sub', 'token_use', 'cognito:username'], email: ['email'] },
		findAccount: (_, sub) => ({ accountId: sub, claims: use => claimsOf(sub, use) }),
		// a machine's token is nobody's account, and its `sub` is the client's id, as Cognito's
		extraTokenClaims: (_, { accountId }) => ({
			token_use: 'access',
			...(accountId && { username: nameOf(accountId) }),
		}),
		issueRefreshToken: () => true,
		rotateRefreshToken: true,
		ttl: {
			AccessToken: HOUR,
			IdToken: HOUR,
			RefreshToken: 24 * HOUR,
			Session: HOUR,
			Grant: HOUR,
			Interaction: HOUR,
		},
		cookies: { keys: ['signs the cookies'] },
	};
}

const providers = []; // { asked, revoked, alteration }, by number

obey({
	async start({ pool, clients }) {
		const server = createServer().listen(0, '127.0.0.1');
		await once(server, 'listening');
		const origin = `http://127.0.0.1:${server.address().port}`;
		const provider = new Provider(`${origin}/${pool}`, configuration(pool, clients));
		const state = { asked: [], revoked: 0, alteration: null };
		provider.use(async (ctx, next) => {
			const isToken = ctx.path === '/oauth2/token';
			if (isToken) state.asked.push(ctx.get('authorization').split(' ')[0] || 'none');
			await next();
			if (isToken && ctx.status === 200 && state.alteration) {
				const { id_token: told } = ctx.body;
				ctx.body = { ...ctx.body, id_token: forged(told, state.alteration) };
			}
		});
		provider.on('grant.revoked', () => (state.revoked += 1));
		provider.on('server_error', (_, error) => state.asked.push(`mishap: ${error.stack}`));
		server.on('request', provider.callback());
		return { number: providers.push(state) - 1, origin, issuer: provider.issuer };
	},
	// What ID tokens are like from now on.
	alter({ number, alteration }) {
		providers[number].alteration = alteration;
		return null;
	},
	// `asked`: how the clients that came to the token endpoint said who they are, in their order.
	// `revoked`: how many sign-ins, with all of their tokens.
	look: ({ number: which }) => providers[which],
});
