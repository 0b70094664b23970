#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in of Vault and OpenBao for tests, strict in what their API documents: vault.py DIR ADDRESS PORT CERT KEY CLIENT-CA

World (DIR/vault.json): namespace; token { ttl, max_ttl, renewable, type, uses }; logins { MOUNT: { kind, roles... } }; kv { PATH: object };
dynamic { PATH: { ttl, max_ttl, renewable, data } }; default (false: tokens lack the policy `default`).
  approle     roles { ROLE_ID: { secret_ids: { ID: uses (0: any number) }, paths } }
  jwt         key (public, PEM file), issuer, roles { NAME: { audience, claims, paths } }; kubernetes: the same, claims name the account
  cert        roles { NAME: { cn, paths } }
Modes besides those of standin.py: sealed, standby, uninitialised, old (an unknown token is "permission denied", no more), batch, limited
(429), wrap (a login is wrapped), mfa, bad (answers without what they are for).
Refused as the real one does: no X-Vault-Request (as an agent with require_request_header), another namespace, a method or path that is not
there, a wrong or used-up secret_id, a wrong audience, signature, issuer, time or bound claim, paths that the role does not have, revoked or
expired tokens (a second revocation too), leases of others. Stricter than the real one: unknown keys in bodies, a token with a login.
"""
import fnmatch, secrets, sys, time, urllib.parse, uuid
from standin import Refused, Standin, verify

DEFAULT = ['auth/token/lookup-self', 'auth/token/renew-self', 'auth/token/revoke-self', 'sys/leases/renew', 'sys/leases/lookup']


class Token:
    pass


class Vault(Standin):
    def __init__(self, *args):
        super().__init__('vault', *args)
        self.tokens, self.leases, self.gone = {}, {}, {'tokens': 0, 'leases': 0}
        self.world.setdefault('token', {})

    def facts(self, h):
        return {'ns': h.headers.get('X-Vault-Namespace', ''), 'accessor': getattr(h, 'accessor', ''), 'peer': h.client_address[1]}

    def state(self):
        self.expire()
        return {'tokens': len(self.tokens), 'leases': sorted(l['id'] for l in self.leases.values()), 'gone': self.gone,
                'passwords': sorted(l['data'].get('password', '') for l in self.leases.values())}

    # ---- tokens and leases ----

    def expire(self):
        now = self.now()
        for t in [t for t in self.tokens.values() if t.expires <= now]:
            self.end(t)
        for l in [l for l in self.leases.values() if l['expires'] <= now]:
            self.drop(l)

    def drop(self, lease):
        del self.leases[lease['id']]
        self.gone['leases'] += 1

    def end(self, token):
        del self.tokens[token.value]
        self.gone['tokens'] += 1
        for l in [l for l in self.leases.values() if l['token'] is token]:
            self.drop(l)

    def token_of(self, h, path):
        given = h.headers.get_all('X-Vault-Token', [])
        if len(given) != 1:
            raise Refused(400, {'errors': ['missing client token']}, 'no token')
        self.expire()
        t = self.tokens.get(given[0])
        if not t:
            words = 'permission denied' if self.mode().get('old') else '2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n'
            raise Refused(403, {'errors': [words]}, 'unknown token')
        h.accessor = t.accessor
        if not any(fnmatch.fnmatchcase(path, p) for p in t.paths):
            raise Refused(403, {'errors': ['1 error occurred:\n\t* permission denied\n\n']}, 'not in its policies')
        if t.uses:
            t.uses -= 1
            if not t.uses:
                self.end(t)
        return t

    def auth_of(self, t):
        return {'client_token': t.value, 'accessor': t.accessor, 'policies': ['default', 'ci'], 'token_policies': ['default', 'ci'],
                'metadata': {}, 'lease_duration': int(t.expires - self.now() + 0.5), 'renewable': t.renewable, 'entity_id': str(uuid.uuid4()),
                'token_type': t.type, 'orphan': True, 'mfa_requirement': None, 'num_uses': t.uses}

    def whole(self, auth=None, data=None, lease='', duration=0, renewable=False, **more):
        return {'request_id': str(uuid.uuid4()), 'lease_id': lease, 'renewable': renewable, 'lease_duration': duration, 'data': data,
                'wrap_info': None, 'warnings': None, 'auth': auth, **more}

    def login(self, h, paths, cert=None):
        w, mode, t = self.world['token'], self.mode(), Token()
        t.type = 'batch' if mode.get('batch') else w.get('type', 'service')
        t.value = ('hvb.' if t.type == 'batch' else 'hvs.') + secrets.token_urlsafe(69)
        t.accessor = '' if t.type == 'batch' else secrets.token_urlsafe(18)
        t.renewable = t.type != 'batch' and w.get('renewable', True)
        t.ttl, t.uses, t.cert = w.get('ttl', 1200), w.get('uses', 0), cert
        t.expires, t.ends = self.now() + t.ttl, self.now() + w.get('max_ttl', 86400)
        t.paths = list(paths) + (DEFAULT if self.world.get('default', True) else [])
        if mode.get('wrap'):
            return self.whole(wrap_info={'token': 'hvs.wrapped', 'ttl': 60})
        if mode.get('mfa'):
            return self.whole(auth={**self.auth_of(t), 'client_token': '', 'mfa_requirement': {'mfa_request_id': 'r', 'mfa_constraints': {}}})
        self.tokens[t.value] = t
        h.accessor = t.accessor
        return self.whole() if mode.get('bad') else self.whole(auth=self.auth_of(t))

    # ---- the logins ----

    def approle(self, h, mount):
        b = self.body(h, ['role_id', 'secret_id'], 400)
        role = mount['roles'].get(b.get('role_id'))
        ids = role['secret_ids'] if role else {}
        wrong = Refused(400, {'errors': ['invalid role or secret ID']}, 'secret_id')
        if not isinstance(b.get('secret_id'), str) or b['secret_id'] not in ids:
            raise wrong
        if ids[b['secret_id']]:
            ids[b['secret_id']] -= 1
            if not ids[b['secret_id']]:
                del ids[b['secret_id']]  # used up: unknown from now on
        return self.login(h, role['paths'])

    def jwt(self, h, mount):
        b = self.body(h, ['role', 'jwt'], 400)
        role, now = mount['roles'].get(b.get('role')), self.now()
        if not role:
            raise Refused(400, {'errors': ['role "%s" could not be found' % b.get('role')]}, 'role')

        def no(words):
            return Refused(400 if mount['kind'] == 'jwt' else 403, {'errors': [words]}, words)

        try:
            _, claims = verify(b['jwt'], mount['key'])
        except (KeyError, ValueError, TypeError) as e:
            raise no('error validating token: error verifying token signature: ' + str(e))
        audiences = claims.get('aud') if isinstance(claims.get('aud'), list) else [claims.get('aud')]
        if claims.get('iss') != mount['issuer']:
            raise no('error validating token: invalid issuer (iss) claim')
        if not isinstance(claims.get('exp'), int) or claims['exp'] + 60 < now:
            raise no('error validating token: token is expired')
        if claims.get('nbf', 0) - 60 > now or claims.get('iat', 0) - 60 > now:
            raise no('error validating token: token not yet valid')
        if role['audience'] not in audiences:
            raise no('error validating token: invalid audience (aud) claim: audience claim does not match any bound audience')
        for k, v in role.get('claims', {}).items():
            if claims.get(k) != v:
                raise no('error validating claims: claim "%s" does not match any associated bound claim values' % k)
        return self.login(h, role['paths'])

    def cert(self, h, mount):
        b = self.body(h, ['name'], 400)
        cn = self.cn(h)
        fits = [r for name, r in mount['roles'].items() if r['cn'] == cn and b.get('name', name) == name]
        if not cn or not fits:
            raise Refused(400, {'errors': ['invalid certificate or no client certificate supplied']}, 'certificate')
        return self.login(h, fits[0]['paths'], cn)

    def cn(self, h):
        cert = h.connection.getpeercert() or {}
        return dict(x[0] for x in cert.get('subject', ())).get('commonName')

    # ---- requests ----

    def answer(self, h, mode):
        if '?' in h.path or not h.path.startswith('/v1/'):
            raise Refused(404, {'errors': []}, 'path')
        path, write = urllib.parse.unquote(h.path[4:]), h.command in ('POST', 'PUT')
        if h.headers.get_all('X-Vault-Request') != ['true']:
            raise Refused(412, {'errors': ["missing 'X-Vault-Request' header"]}, 'X-Vault-Request')
        namespace = h.headers.get('X-Vault-Namespace', '').strip('/')
        if path == 'sys/health':
            return self.health(h, namespace, mode)
        if mode.get('sealed'):
            raise Refused(503, {'errors': ['Vault is sealed']}, 'sealed')
        if mode.get('standby'):
            raise Refused(503, {'errors': ['Vault is in standby mode']}, 'standby')
        if mode.get('uninitialised'):
            raise Refused(501, {'errors': ['Vault is not initialized']}, 'uninitialised')
        if mode.get('limited'):
            raise Refused(429, {'errors': ['request path "%s": rate limit quota exceeded' % path]}, 'limited')
        if namespace != self.world.get('namespace', ''):
            raise Refused(404, {'errors': ['no handler for route "%s". route entry not found.' % path]}, 'namespace')
        if not write and h.raw:
            raise Refused(400, {'errors': ['unexpected body']}, 'body')
        if path.startswith('auth/') and path.endswith('/login'):
            mount = self.world['logins'].get(path[5:-6])
            if not mount:
                raise Refused(404, {'errors': ['no handler for route "%s". route entry not found.' % path]}, 'mount')
            if not write:
                raise Refused(405, {'errors': ['unsupported operation']}, 'method')
            if h.headers.get('X-Vault-Token'):
                raise Refused(400, {'errors': ['a token with a login']}, 'a token with a login')
            return 200, {'approle': self.approle, 'jwt': self.jwt, 'kubernetes': self.jwt, 'cert': self.cert}[mount['kind']](h, mount), 'login'
        t = self.token_of(h, path)
        if path.startswith(('auth/token/', 'sys/leases/')):
            if write != (path != 'auth/token/lookup-self'):
                raise Refused(405, {'errors': ['unsupported operation']}, 'method')
            return self.own(h, path, t)
        if h.command != 'GET':
            raise Refused(405, {'errors': ['1 error occurred:\n\t* unsupported operation\n\n']}, 'method')
        if path in self.world.get('kv', {}):
            data = self.world['kv'][path]
            meta = {'created_time': '2026-11-22T09:14:03.2Z', 'custom_metadata': None, 'deletion_time': '', 'destroyed': False, 'version': 3}
            if data is None:  # deleted
                raise Refused(404, self.whole(data={'data': None, 'metadata': {**meta, 'deletion_time': '2026-11-22T09:20:03.2Z'}}), 'deleted')
            return 200, self.whole(data={'data': {} if mode.get('bad') else data, 'metadata': meta}, mount_type='kv'), 'kv'
        if path in self.world.get('kv1', {}):  # version 1: no lease, and a duration all the same
            return 200, self.whole(data=self.world['kv1'][path], duration=2764800), 'kv1'
        if path in self.world.get('dynamic', {}):
            return self.mint(path, t, mode)
        if any(path.startswith(p.split('/')[0] + '/') for p in {**self.world.get('kv', {}), **self.world.get('dynamic', {})}):
            raise Refused(404, {'errors': []}, 'no such secret')
        raise Refused(404, {'errors': ['no handler for route "%s". route entry not found.' % path]}, 'mount')

    def mint(self, path, t, mode):
        w = self.world['dynamic'][path]
        data = {k: v.replace('{random}', secrets.token_hex(12)) for k, v in
                w.get('data', {'username': 'v-ro-{random}', 'password': 'P-{random}'}).items()}
        # A service token's leases live as long as it may; a batch token's end with it.
        ends = min(self.now() + w.get('max_ttl', 86400), t.expires if t.type == 'batch' else t.ends)
        lease = {'id': path + '/' + secrets.token_urlsafe(18), 'token': t, 'data': data, 'ends': ends, 'ttl': w.get('ttl', 600),
                 'expires': min(self.now() + w.get('ttl', 600), ends), 'renewable': w.get('renewable', True)}
        self.leases[lease['id']] = lease
        return 200, self.whole(data=None if mode.get('bad') else data, lease=lease['id'], duration=int(lease['expires'] - self.now() + 0.5),
                               renewable=lease['renewable']), 'minted'

    def health(self, h, namespace, mode):
        if namespace or h.headers.get('X-Vault-Token') or h.command not in ('GET', 'HEAD'):
            raise Refused(400, {'errors': ['sys/health is of the root namespace, and asked without a token']}, 'health')
        sealed, standby, init = bool(mode.get('sealed')), bool(mode.get('standby')), not mode.get('uninitialised')
        return (501 if not init else 503 if sealed else 429 if standby else 200), {'initialized': init, 'sealed': sealed,
                'standby': standby, 'server_time_utc': int(self.now()), 'version': '1.17.0'}, 'health'

    def increment(self, b, of, ends, ttl):
        want = b.get('increment', 0)
        if isinstance(want, bool) or not isinstance(want, int) or want < 0:
            raise Refused(400, {'errors': ['increment']}, 'increment')
        return min(self.now() + (want or ttl), ends)

    def own(self, h, path, t):
        if path == 'auth/token/lookup-self':
            return 200, self.whole(data={'accessor': t.accessor, 'ttl': int(t.expires - self.now()), 'type': t.type}), 'lookup'
        if path == 'auth/token/renew-self':
            b = self.body(h, ['increment'], 400)
            if not t.renewable:
                raise Refused(400, {'errors': ['lease is not renewable']}, 'not renewable')
            if t.cert and self.cn(h) != t.cert:
                raise Refused(403, {'errors': ['permission denied']}, 'certificate')
            t.expires = self.increment(b, t, t.ends, t.ttl)
            return 200, self.whole(auth=self.auth_of(t)), 'renewed'
        if path == 'auth/token/revoke-self':
            if h.raw and self.body(h, [], 400) != {}:
                raise Refused(400, {'errors': ['body']}, 'body')
            if t.type == 'batch':
                raise Refused(400, {'errors': ['batch tokens cannot be revoked']}, 'batch')
            self.end(t)
            return 204, None, 'revoked'
        if path not in ('sys/leases/renew', 'sys/leases/revoke'):
            raise Refused(404, {'errors': []}, 'path')
        b = self.body(h, ['lease_id', 'increment'] if path.endswith('renew') else ['lease_id', 'sync'], 400)
        lease = self.leases.get(b.get('lease_id'))
        if not lease:
            raise Refused(400, {'errors': ['lease not found' if path.endswith('renew') else 'invalid lease']}, 'lease')
        if lease['token'] is not t:
            raise Refused(403, {'errors': ['permission denied']}, "another's lease")
        if path.endswith('revoke'):
            self.drop(lease)
            return 204, None, 'revoked lease'
        if not lease['renewable']:
            raise Refused(400, {'errors': ['lease is not renewable']}, 'not renewable')
        lease['expires'] = self.increment(b, lease, lease['ends'], lease['ttl'])
        return 200, self.whole(lease=lease['id'], duration=int(lease['expires'] - self.now() + 0.5), renewable=True), 'renewed lease'


if __name__ == '__main__':
    folder, address, port, cert, key, client_ca = sys.argv[1:]
    Vault(folder, address, int(port), cert, key, client_ca).run()
