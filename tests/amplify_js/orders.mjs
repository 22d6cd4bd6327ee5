// Orders come as JSON, a line each, on standard input; each is answered by its number, likewise.
// The end of the input is the end of the process.

import { createInterface } from 'node:readline';

const say = process.stdout.write.bind(process.stdout);
console.log = console.info = console.debug = console.error; // standard output is for answers

// What a function of Amplify came to.
export async function outcome(promise) {
	try {
		return { ok: plain(await promise) };
	} catch (error) {
		const { name, message, recoverySuggestion = null } = error;
		return { error: { name, message, recoverySuggestion } };
	}
}

// A value of Amplify as JSON can say it: a token becomes {token, payload}, undefined becomes null.
function plain(value) {
	if (value === undefined) return null;
	if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
	if ('payload' in value && Object.hasOwn(value, 'toString')) {
		return { token: value.toString(), payload: value.payload };
	}
	return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

// `inOrder`: an order begins when the one before is done.
export function obey(operations, { inOrder = false } = {}) {
	let before = Promise.resolve();
	const run = async ({ number, do: name, arguments: given }) => {
		let told;
		try {
			told = { number, answer: await operations[name](given) };
		} catch (error) {
			told = { number, error: error.stack };
		}
		say(JSON.stringify(told) + '\n');
	};
	createInterface({ input: process.stdin, crlfDelay: Infinity })
		.on('line', line => {
			const order = JSON.parse(line);
			before = inOrder ? before.then(() => run(order)) : run(order);
		})
		.on('close', () => process.exit(0));
}
