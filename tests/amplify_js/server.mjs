// A Next.js server as far as Amplify's adapter meets it: Amplify's own server functions, asked with
// what Next itself makes of a raw Cookie header, and the Set-Cookie lines that they lead to.

import { DOMAIN, withPoolAt } from './network.mjs';

import { readFileSync } from 'node:fs';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

import { createServerRunner } from '@aws-amplify/adapter-nextjs';
import { getContextTokenOrchestrator } from '@aws-amplify/core/internals/utils';
import { AUTH_KEY_PREFIX } from 'aws-amplify/adapter-core';
import { fetchAuthSession, fetchUserAttributes, getCurrentUser } from 'aws-amplify/auth/server';
import cookiesOfNext from 'next/dist/server/web/spec-extension/adapters/request-cookies.js';
import parserOfNext from 'next/dist/server/api-utils/get-cookie-parser.js';
import { NextRequest, NextResponse } from 'next/server.js';

import { obey, outcome } from './orders.mjs';
import { tokensOf } from './tokens.mjs';

const { MutableRequestCookiesAdapter, RequestCookiesAdapter } = cookiesOfNext;
const URL_ASKED = 'https://app.example.com/page';

const FUNCTIONS = {
	getCurrentUser,
	fetchUserAttributes,
	fetchAuthSession,
	// Two calls for one request, as a page and its layout make them.
	'getCurrentUser twice': async context => {
		await getCurrentUser(context);
		return getCurrentUser(context);
	},
};

const requestOf = cookie => new NextRequest(URL_ASKED, { headers: cookie ? { cookie } : {} });

// Next's contexts. Each: what the adapter is given, and the Set-Cookie lines so far.
const CONTEXTS = {
	// A proxy (once: middleware), or a route handler with a response of Next.
	NextResponse(cookie) {
		const response = NextResponse.next();
		const lines = () => response.headers.getSetCookie();
		return { given: { request: requestOf(cookie), response }, lines };
	},
	// A route handler with a response of the platform.
	Response(cookie) {
		const response = new Response();
		const lines = () => response.headers.getSetCookie();
		return { given: { request: requestOf(cookie), response }, lines };
	},
	// getServerSideProps and API routes.
	pages(cookie) {
		const request = new IncomingMessage(new Socket());
		request.headers.cookie = cookie || undefined;
		request.cookies = parserOfNext.getCookieParser(request.headers)();
		const response = new ServerResponse(request);
		const lines = () => [response.getHeader('Set-Cookie') ?? []].flat();
		return { given: { request, response }, lines };
	},
	// A server action.
	action(cookie) {
		let written = [];
		const note = lines => (written = lines);
		const cookies = MutableRequestCookiesAdapter.wrap(requestOf(cookie).cookies, note);
		return { given: { cookies: async () => cookies }, lines: () => written };
	},
	// A server component: its cookies cannot be written.
	component(cookie) {
		const cookies = RequestCookiesAdapter.seal(requestOf(cookie).cookies);
		return { given: { cookies: async () => cookies }, lines: () => [] };
	},
};

const runners = new Map();

// `fresh`: with no keys known yet, and no memory of keys that could not be had.
function runnerFor({ config, origin, cookies, endpoint, fresh }) {
	const key = JSON.stringify([config, origin, cookies, endpoint]);
	if (fresh || !runners.has(key)) {
		delete process.env.AMPLIFY_APP_ORIGIN;
		if (origin) process.env.AMPLIFY_APP_ORIGIN = origin;
		const oauth = {
			domain: DOMAIN,
			scopes: ['openid'],
			redirectSignIn: [`${origin}/auth/sign-in-callback`],
			redirectSignOut: [`${origin}/auth/sign-out-callback`],
			responseType: 'code',
		};
		const Cognito = { ...config, userPoolEndpoint: endpoint, loginWith: { oauth } };
		const runtimeOptions = cookies ? { cookies } : {};
		runners.set(key, createServerRunner({ config: { Auth: { Cognito } }, runtimeOptions }));
	}
	return runners.get(key);
}

async function run(order, operation) {
	const { runWithAmplifyServerContext: run } = runnerFor(order);
	const { given, lines } = CONTEXTS[order.context](order.cookie);
	const came = await outcome(run({ nextServerContext: given, operation }));
	return { ...came, setCookies: lines() };
}

const OPERATIONS = {
	// What one of Amplify's server functions answers, and the cookies that it sets.
	ask(order) {
		const ask = FUNCTIONS[order.operation];
		const options = order.options ?? {};
		return withPoolAt(order.endpoint, () => run(order, context => ask(context, options)));
	},

	// The cookies that the adapter sets for some tokens. The names of all but one hold the user whom
	// the request's own LastAuthUser names, since the store reads that again.
	write(order) {
		const tokens = tokensOf(order.tokens);
		const store = async context => {
			const { tokenProvider } = context.libraryOptions.Auth;
			await getContextTokenOrchestrator(tokenProvider).setTokens({ tokens });
		};
		const name = `${AUTH_KEY_PREFIX}.${order.config.userPoolClientId}.LastAuthUser`;
		const cookie = order.cookie ?? `${name}=${encodeURIComponent(tokens.username)}`;
		return withPoolAt(order.endpoint, () => run({ ...order, cookie }, store));
	},

	// The answer of one of the adapter's own routes: `sign-in`, `sign-out`, `sign-out-callback`, ...
	route(order) {
		return withPoolAt(order.endpoint, async () => {
			const handle = runnerFor(order).createAuthRouteHandlers({});
			const params = Promise.resolve({ slug: order.slug });
			const response = await handle(requestOf(order.cookie), { params });
			const setCookies = response.headers.getSetCookie();
			return { status: response.status, location: response.headers.get('location'), setCookies };
		});
	},

	// Microseconds that each of so many calls of getCurrentUser took, one after the other.
	bench(order) {
		return withPoolAt(order.endpoint, async () => {
			const { runWithAmplifyServerContext: run } = runnerFor(order);
			const times = [];
			for (let call = 0; call < order.calls; call++) {
				const start = performance.now();
				const { given } = CONTEXTS[order.context](order.cookie);
				await run({ nextServerContext: given, operation: getCurrentUser });
				times.push((performance.now() - start) * 1000);
			}
			return times;
		});
	},

	versions() {
		const manifest = name => new URL(`../node_modules/${name}/package.json`, import.meta.url);
		const versionOf = name => JSON.parse(readFileSync(manifest(name))).version;
		const { dependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url)));
		const installed = Object.keys(dependencies).map(name => [name, versionOf(name)]);
		return { node: process.versions.node, ...Object.fromEntries(installed) };
	},
};

obey(OPERATIONS);
