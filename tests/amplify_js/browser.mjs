// A browser as far as Amplify JS's cookie storage meets it: `document.cookie`, over a cookie jar.

import './network.mjs';

import { Amplify } from 'aws-amplify';
import {
	fetchAuthSession,
	fetchUserAttributes,
	getCurrentUser,
	signIn,
	signOut,
} from 'aws-amplify/auth';
import { cognitoUserPoolsTokenProvider } from 'aws-amplify/auth/cognito';
import { CookieStorage } from 'aws-amplify/utils';
import { CookieJar } from 'tough-cookie';

import { obey, outcome } from './orders.mjs';
import { tokensOf } from './tokens.mjs';

const FUNCTIONS = { getCurrentUser, fetchUserAttributes, fetchAuthSession, signIn, signOut };

// A page without any elements: Amplify looks for those that frameworks leave.
class EmptyDocument {
	written = []; // what scripts set `cookie` to

	querySelector() {
		return null;
	}

	querySelectorAll() {
		return [];
	}
}

// A page at `url`, whose jar has been sent these Set-Cookie lines, [where from, line] each.
class Page extends EmptyDocument {
	constructor(url, received) {
		super();
		this.url = url;
		this.jar = new CookieJar(undefined, { looseMode: true });
		for (const [from, line] of received) {
			this.jar.setCookieSync(line, from, { ignoreError: true });
		}
	}

	get cookie() {
		return this.jar.getCookieStringSync(this.url, { http: false });
	}

	set cookie(line) {
		this.written.push(line);
		this.jar.setCookieSync(line, this.url, { http: false, ignoreError: true });
	}

	told() {
		return {
			cookie: this.jar.getCookieStringSync(this.url), // what it sends
			documentCookie: this.cookie, // what scripts see
			written: this.written,
			jar: this.jar.serializeSync().cookies,
		};
	}
}

// A page with just this for its `document.cookie`, however it came there.
class StillPage extends EmptyDocument {
	constructor(cookie) {
		super();
		this.shown = cookie;
	}

	get cookie() {
		return this.shown;
	}

	set cookie(line) {
		this.written.push(line);
	}

	told() {
		return { written: this.written };
	}
}

// `storage`: the options of a CookieStorage that the page makes; else it is the one of `ssr: true`.
async function onPage({ page, config, endpoint, storage }, act) {
	const document = page.url ? new Page(page.url, page.received) : new StillPage(page.cookie);
	globalThis.document = document;
	try {
		const Cognito = { ...config, userPoolEndpoint: endpoint };
		Amplify.configure({ Auth: { Cognito } }, { ssr: true });
		if (storage) cognitoUserPoolsTokenProvider.setKeyValueStorage(new CookieStorage(storage));
		const came = await outcome(act());
		return { ...came, ...document.told() };
	} finally {
		delete globalThis.document;
	}
}

const { tokenOrchestrator } = cognitoUserPoolsTokenProvider;

const OPERATIONS = {
	// What the page's token store writes.
	write: order =>
		onPage(order, () => tokenOrchestrator.setTokens({ tokens: tokensOf(order.tokens) })),

	// What the page's token store loads.
	read: order => onPage(order, () => tokenOrchestrator.getTokenStore().loadTokens()),

	// What one of Amplify's functions answers in the page.
	ask: order => onPage(order, () => FUNCTIONS[order.operation](order.options)),

	// What Amplify makes of an amplify_outputs.json.
	configure: async ({ outputs }) => {
		Amplify.configure(outputs);
		return Amplify.getConfig();
	},

	// What a jar makes of what it has been sent.
	look: async ({ page }) => new Page(page.url, page.received).told(),
};

obey(OPERATIONS, { inOrder: true });
