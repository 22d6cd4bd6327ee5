#!/usr/bin/env bash
# MCP's TypeScript client reads the challenge of a 401 only if Bearer is the first scheme in it.
#
# Version    npm @modelcontextprotocol/sdk 1.32.2.
# Behaviour  extractWWWAuthenticateParams() looks at the beginning of the joined WWW-Authenticate
#            field. Behind another scheme's challenge, resource_metadata and scope of the Bearer
#            challenge are not found.
# Expected   Both, wherever they stand: a 401 may offer several schemes in any order, in one field
#            or in several (RFC 9110 11.6.1).
# Hurt       Servers whose pages take a session and whose tools take tokens. Agents guess the address
#            of the resource's metadata, and ask for other scopes than the server has named.
# Way out    Send the Bearer challenge first.
# Source     modelcontextprotocol/typescript-sdk, src/client/auth.ts: extractWWWAuthenticateParams
#            splits the field at its first blanks and compares the first word.
# Needs      bash, node 18 or newer, npm. Exit status: 0 if nothing has changed.
# Seen:
#   | Bearer, then Basic: resource_metadata and scope found
#   | Basic, then Bearer: nothing found
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --ignore-scripts --no-audit --no-fund --loglevel=error \
  @modelcontextprotocol/sdk@1.32.2 >/dev/null

cat >ask.mjs <<'JS'
import { extractWWWAuthenticateParams } from '@modelcontextprotocol/sdk/client/auth.js';

const basic = 'Basic realm="pages"';
const bearer = 'Bearer resource_metadata="https://api.example/metadata", scope="orders/read"';
for (const challenges of [[bearer, basic], [basic, bearer]]) {
	const headers = new Headers();
	for (const challenge of challenges) headers.append('WWW-Authenticate', challenge);
	const found = extractWWWAuthenticateParams(new Response('', { status: 401, headers }));
	const names = [];
	if (String(found.resourceMetadataUrl) === 'https://api.example/metadata') names.push('resource_metadata');
	if (found.scope === 'orders/read') names.push('scope');
	const schemes = challenges.map(challenge => challenge.split(' ')[0]).join(', then ');
	console.log(`${schemes}: ${names.join(' and ') || 'nothing'} found`);
}
JS
node ask.mjs >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
