// What the network is for Amplify's code here: its only reachable host is the local user pool.
//
// The token verifier knows no other place for a pool's keys than Amazon's host, over HTTPS. As a
// name server would, this sends such a request to the pool of the order that is being carried out.
// Likewise for the pool's domain, which Amplify reaches over HTTPS alone. The pool's API needs
// nothing of the sort: Amplify's configuration names its `userPoolEndpoint`.

import { AsyncLocalStorage } from 'node:async_hooks';
import http from 'node:http';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';

export const DOMAIN = 'auth.example.com';

const AMAZON = /^cognito-idp\.[\w-]+\.amazonaws\.com$/;
const endpoints = new AsyncLocalStorage();

// Carry out an order that is about the pool at `endpoint`.
export const withPoolAt = (endpoint, carryOut) => endpoints.run(endpoint, carryOut);

https.request = (uri, options, onResponse) => {
	const asked = new URL(uri);
	const endpoint = endpoints.getStore();
	if (!AMAZON.test(asked.hostname) || !endpoint) throw new Error(`no way to ${asked.origin}`);
	return http.request(new URL(asked.pathname, endpoint), options, onResponse);
};
https.get = () => {
	throw new Error('no way to anywhere');
};
syncBuiltinESMExports();

const fetchIt = globalThis.fetch;
globalThis.fetch = async (input, init) => {
	const asked = new URL(input);
	if (asked.hostname === DOMAIN) return fetchIt(new URL(asked.pathname, endpoints.getStore()), init);
	if (asked.hostname !== '127.0.0.1') throw new TypeError(`no way to ${asked.origin}`);
	return fetchIt(input, init);
};
