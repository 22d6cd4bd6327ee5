// Puts page.mjs, with everything of Amplify that it imports, into one script for browsers.
//
// Next.js brings webpack along; there is no other bundler among the packages.

import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const [, own, file] = process.argv;
const folder = dirname(fileURLToPath(import.meta.url));
const { webpack } = createRequire(own)('next/dist/compiled/webpack/bundle5.js')();
const options = {
	mode: 'none',
	target: 'web',
	entry: `${folder}/page.mjs`,
	output: { path: folder, filename: file },
	optimization: { minimize: false },
	performance: false,
};

webpack(options, (error, stats) => {
	if (error || stats.hasErrors()) {
		console.error(error ?? stats.toString({ all: false, errors: true }));
		process.exit(1);
	}
});
