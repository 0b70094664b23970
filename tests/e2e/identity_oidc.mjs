// SPDX-License-Identifier: Apache-2.0
// A real OpenID provider (npm: oidc-provider) in a CI server's place, for identity_oidc.sh: its access tokens are JWTs (RFC 9068) with the
// claims of a job, of the audience that is asked for, signed by RSA, P-256 or Ed25519 as the client is called.
//
//   node identity_oidc.mjs FOLDER NODE_MODULES      writes FOLDER/oidc.port
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import https from 'node:https';

const [folder, modules] = process.argv.slice(2);
const { Provider } = await import(`${modules}/oidc-provider/lib/index.js`);
const file = (name) => readFileSync(`${folder}/${name}`);
const key = (kid, alg, ...how) => ({ ...generateKeyPairSync(...how).privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' });

const server = https.createServer({ cert: file('idp.pem'), key: file('idp.key') });
await new Promise((go) => server.listen(0, '127.0.0.1', go));
const { port } = server.address();
const algs = { rsa: 'RS256', p256: 'ES256', ed25519: 'EdDSA' };
const job = {
	repository: 'acme/web', repository_id: '8412', repository_owner: 'acme', repository_owner_id: '17', ref: 'refs/heads/main',
	sha: '0123456789abcdef0123456789abcdef01234567', event_name: 'push', workflow: 'release', environment: 'production', run_id: '990',
};
const provider = new Provider(`https://issuer.test:${port}`, {
	jwks: { keys: [key('k-rsa', 'RS256', 'rsa', { modulusLength: 2048 }), key('k-ec', 'ES256', 'ec', { namedCurve: 'P-256' }), key('k-ed', 'EdDSA', 'ed25519')] },
	cookies: { keys: ['none is set'] },
	clients: Object.keys(algs).map((client_id) => ({
		client_id, client_secret: 'runner', redirect_uris: [], response_types: [], grant_types: ['client_credentials'] })),
	ttl: { ClientCredentials: 300 },
	extraTokenClaims: () => job,
	features: {
		devInteractions: { enabled: false }, clientCredentials: { enabled: true },
		resourceIndicators: {
			enabled: true,
			getResourceServerInfo: (ctx, resource, client) => ({
				scope: '', audience: resource.slice('urn:'.length), accessTokenFormat: 'jwt', jwt: { sign: { alg: algs[client.clientId] } } }),
		},
	},
});
provider.on('server_error', (ctx, e) => console.error(e)); // what a 500 hides
server.on('request', provider.callback());
writeFileSync(`${folder}/oidc.port.new`, `${port}\n`);
renameSync(`${folder}/oidc.port.new`, `${folder}/oidc.port`);
