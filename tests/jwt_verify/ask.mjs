// Asks aws-jwt-verify what it thinks of tokens: questions on standard input, answers on output.
//
// The clock stands still, and key sets come from the questions: nothing leaves this process.
import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { CognitoJwtVerifier } from "aws-jwt-verify";
import { SimpleJwksCache } from "aws-jwt-verify/jwk";

const manifest = new URL("../../package.json", import.meta.resolve("aws-jwt-verify"));
const { version } = JSON.parse(readFileSync(manifest, "utf8"));
const { now, grace, settings, questions } = JSON.parse(readFileSync(0, "utf8"));

Date.now = () => now * 1000;
Socket.prototype.connect = () => {
  throw new Error("a connection to somewhere");
};

// The key set of a pool is below either of its issuers; a verifier may ask for no other address.
const fetcherOf = (pools) => ({
  async fetch(address) {
    const home = new URL(address);
    const pool = pools.find(({ id }) => home.pathname === `/${id}/.well-known/jwks.json`);
    const isAmazons = /^(issuer-)?cognito-idp\.[a-z0-9-]+\.amazonaws\.com$/.test(home.host);
    if (pool === undefined || !isAmazons) throw new Error(`a key set of somebody else: ${address}`);
    return Buffer.from(JSON.stringify(pool.keys));
  },
});

// As an app writes it: one pool is an object, several are a list.
function verifierOf({ pools, clients }) {
  const all = pools.map(({ id }) => ({
    userPoolId: id,
    clientId: clients,
    tokenUse: null,
    graceSeconds: grace,
  }));
  const jwksCache = new SimpleJwksCache({ fetcher: fetcherOf(pools) });
  return CognitoJwtVerifier.create(all.length === 1 ? all[0] : all, { jwksCache });
}

async function answer({ setting, token }) {
  try {
    // A verifier of its own: one that has met an unknown key says "wait" to the next.
    const claims = await verifierOf(settings[setting]).verify(token);
    const isId = claims.token_use === "id";
    return {
      issuer: claims.iss,
      use: claims.token_use,
      client: (isId ? claims.aud : claims.client_id) ?? null,
      name: (isId ? claims["cognito:username"] : claims.username) ?? null,
      sub: claims.sub ?? null,
    };
  } catch (error) {
    return { error: error.constructor.name };
  }
}

const answers = [];
for (const question of questions) answers.push(await answer(question));
console.log(JSON.stringify({ version, answers }));
