// SPDX-License-Identifier: Apache-2.0
// A real authorisation server (npm: oidc-provider) for provider_oauth2.sh, with clients that prove themselves in each way. Token exchange and
// JWT bearer, which it leaves to whoever runs it, check the job's token with jose: signature, issuer, audience.
//
//   node oauth2_oidc.mjs FOLDER NODE_MODULES      writes FOLDER/oidc.port, and FOLDER/job.oidc (a CI system's token)
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import https from 'node:https';

const [folder, modules] = process.argv.slice(2);
const { Provider, errors } = await import(`${modules}/oidc-provider/lib/index.js`);
const jose = await import(`${modules}/jose/dist/webapi/index.js`);
const file = (name) => readFileSync(`${folder}/${name}`);
const jwk = (name, more) => ({ ...createPublicKey(file(name)).export({ format: 'jwk' }), ...more });
const client = new X509Certificate(file('client.pem'));
const secret = file('secret').toString();
const urn = 'urn:ietf:params:oauth:';
const exchange = `${urn}grant-type:token-exchange`, bearer = `${urn}grant-type:jwt-bearer`;

const server = https.createServer({ cert: file('idp.pem'), key: file('idp.key'), requestCert: true, rejectUnauthorized: false });
await new Promise((go) => server.listen(0, '127.0.0.1', go));
const { port } = server.address();
const issuer = `https://idp.test:${port}`;

const ci = generateKeyPairSync('ec', { namedCurve: 'P-256' });
writeFileSync(`${folder}/job.oidc`, await new jose.SignJWT({ sub: 'repo:acme/web' }).setProtectedHeader({ alg: 'ES256' })
	.setIssuer('https://ci.test').setAudience(issuer).setExpirationTime('5m').sign(ci.privateKey));
// One of the same words by another hand.
writeFileSync(`${folder}/forged.oidc`, await new jose.SignJWT({ sub: 'repo:acme/web' }).setProtectedHeader({ alg: 'ES256' })
	.setIssuer('https://ci.test').setAudience(issuer).setExpirationTime('5m').sign(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey));

const one = (client_id, token_endpoint_auth_method, more) => ({
	client_id, token_endpoint_auth_method, redirect_uris: [], response_types: [], grant_types: ['client_credentials', exchange, bearer],
	...(token_endpoint_auth_method.startsWith('client_secret') ? { client_secret: secret } : {}), ...more });
const provider = new Provider(issuer, {
	jwks: { keys: [{ ...createPrivateKey(file('rsa.pem')).export({ format: 'jwk' }), use: 'sig', alg: 'RS256' }] },
	cookies: { keys: ['none is set'] },
	scopes: ['read', 'api:write'],
	ttl: { ClientCredentials: 600 },
	clients: [
		one('basic: client', 'client_secret_basic'), one('post', 'client_secret_post'),
		one('pk-rsa', 'private_key_jwt', { jwks: { keys: [jwk('rsa.pem', { alg: 'RS256', use: 'sig' })] } }),
		one('pk-ec', 'private_key_jwt', { token_endpoint_auth_signing_alg: 'ES256',
			jwks: { keys: [jwk('ec.pem', { kid: 'k1', alg: 'ES256', use: 'sig' }), jwk('wrong2.pem', { kid: 'k2', alg: 'ES256', use: 'sig' })] } }),
		one('mtls', 'self_signed_tls_client_auth', {
			jwks: { keys: [{ ...client.publicKey.export({ format: 'jwk' }), x5c: [client.raw.toString('base64')] }] } }),
	],
	clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'self_signed_tls_client_auth'],
	features: {
		devInteractions: { enabled: false }, clientCredentials: { enabled: true }, revocation: { enabled: true },
		introspection: { enabled: true, allowedPolicy: () => true },
		mTLS: { enabled: true, selfSignedTlsClientAuth: true, getCertificate: (ctx) => {
			const der = ctx.socket.getPeerCertificate()?.raw;
			return der && new X509Certificate(der).toString();
		} },
	},
});

const federated = (name) => async (ctx) => {
	try {
		await jose.jwtVerify(ctx.oidc.params[name], ci.publicKey, { issuer: 'https://ci.test', audience: issuer });
	} catch (e) {
		throw new errors.InvalidGrant(`the job's token: ${e.code}`);
	}
	const token = new provider.ClientCredentials({ client: ctx.oidc.client, scope: ctx.oidc.params.scope });
	ctx.body = { access_token: await token.save(), expires_in: token.expiration, token_type: token.tokenType,
		...(name === 'subject_token' ? { issued_token_type: `${urn}token-type:access_token` } : {}) };
};
provider.registerGrantType(exchange, federated('subject_token'),
	['audience', 'resource', 'scope', 'requested_token_type', 'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type'], ['audience', 'resource']);
provider.registerGrantType(bearer, federated('assertion'), ['assertion', 'scope']);
provider.on('server_error', (ctx, e) => console.error(e)); // what a 500 hides
server.on('request', provider.callback());
writeFileSync(`${folder}/oidc.port.new`, `${port}\n`);
renameSync(`${folder}/oidc.port.new`, `${folder}/oidc.port`);
