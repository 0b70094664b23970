#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in of GitHub's REST API for Apps, for tests, strict in what it documents: github.py DIR ADDRESS PORT CERT KEY [PREFIX]

World (DIR/github.json): app_id; client_id?; key (the App's public key, PEM file); sign (a private key for long tokens); installations
{ ID: { account, kind (Organization | User), repositories { NAME: id }, permissions { NAME: level }, suspended } }; lifetime (s).
PREFIX is "/api/v3" on GitHub Enterprise Server.
Modes besides those of standin.py: form (long | short), secondary (403 as for the secondary rate limit), primary (429), wider (repositories |
permissions | all: what it gives is more than what was asked), silent (it does not say which repositories), stateless.
Refused: no User-Agent, another Accept or API version, an App's token that is not RS256, of another key or iss, with iat in the future, with
exp in the past or beyond 10 minutes; repositories and permissions that the installation does not have; unknown keys; revoked, expired and
unknown tokens (a second revocation too), repositories that the token was not narrowed to.
GET /standin/git?repo=NAME (with the client's Authorization, as nginx's auth_request sends it) says whether a token may, by Basic
x-access-token:TOKEN; X-Git-Service and X-Method tell whether it is a push.
"""
import base64, secrets, sys, time
from standin import Refused, Standin, sign, verify

LEVELS = {'read': 1, 'write': 2, 'admin': 3}
DOCS = 'https://docs.github.com/rest'


def no(status, words, note=None, **headers):
    return Refused(status, {'message': words, 'documentation_url': DOCS, 'status': str(status)}, note or words, **headers)


class GitHub(Standin):
    def __init__(self, folder, address, port, cert, key, prefix=''):
        super().__init__('github', folder, address, port, cert, key)
        self.prefix, self.tokens, self.gone, self.minted = prefix, {}, 0, 0

    def state(self):
        self.expire()
        return {'tokens': [{'repositories': t['repositories'], 'permissions': t['permissions']} for t in self.tokens.values()],
                'minted': self.minted, 'gone': self.gone}

    def facts(self, h):
        return {'peer': h.client_address[1], 'agent': h.headers.get('User-Agent', '')}

    def expire(self):
        for v in [v for v, t in self.tokens.items() if t['expires'] <= self.now()]:
            del self.tokens[v]

    # ---- who asks ----

    def bearer(self, h):
        given = h.headers.get_all('Authorization', [])
        if len(given) != 1 or given[0].split(' ')[0].lower() not in ('bearer', 'token'):
            raise no(401, 'Requires authentication')
        return given[0].split(' ', 1)[1]

    def app(self, h):
        try:
            _, claims = verify(self.bearer(h), self.world['key'])
        except ValueError as e:
            raise no(401, 'A JSON web token could not be decoded', str(e))
        now = self.now()
        iat, exp = claims.get('iat'), claims.get('exp')
        if str(claims.get('iss')) not in (str(self.world['app_id']), self.world.get('client_id')):
            raise no(401, "'Issuer' claim ('iss') must be an Integer", 'iss')
        if not isinstance(exp, int) or exp <= now:
            raise no(401, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires", 'exp')
        if exp > now + 600:
            raise no(401, "'Expiration time' claim ('exp') is too far in the future", 'exp far')
        if not isinstance(iat, int) or iat > now:
            raise no(401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued", 'iat')
        if exp - iat > 600:
            raise no(401, "'Expiration time' claim ('exp') is too far in the future", 'longer than 10 minutes')

    def token(self, value):
        self.expire()
        if value not in self.tokens:
            raise no(401, 'Bad credentials')
        return self.tokens[value]

    # ---- requests ----

    def answer(self, h, mode):
        path, _, query = h.path.partition('?')
        if path == '/standin/git':
            return self.git(h, query)
        if not path.startswith(self.prefix + '/') or query:
            raise no(404, 'Not Found', 'path')
        path = path[len(self.prefix):]
        if not h.headers.get('User-Agent'):
            raise Refused(403, 'Request forbidden by administrative rules. Please make sure your request has a User-Agent header', 'User-Agent')
        if mode.get('secondary'):
            raise no(403, 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.', Retry_After=60)
        if mode.get('primary'):
            raise no(429, 'API rate limit exceeded for installation ID 1.', X_RateLimit_Remaining=0, X_RateLimit_Reset=int(self.now()) + 1800)
        if h.command == 'DELETE' and path == '/installation/token':
            return self.revoke(h)
        if h.command == 'GET' and path.count('/') == 3 and path.startswith('/repos/'):
            return self.repository(h, path)
        if h.headers.get('Accept') != 'application/vnd.github+json':
            raise no(415, 'Unsupported media type', 'Accept')
        if h.headers.get('X-GitHub-Api-Version') != '2022-11-28':
            raise no(400, 'Bad Request', 'X-GitHub-Api-Version')
        if h.command == 'GET' and path.endswith('/installation') and path.split('/')[1] in ('orgs', 'users', 'repos'):
            return self.find(h, path.split('/')[1:-1])
        if h.command == 'POST' and path.startswith('/app/installations/') and path.endswith('/access_tokens'):
            return self.mint(h, path.split('/')[3], mode)
        raise no(404, 'Not Found', 'path')

    def find(self, h, what):
        self.app(h)
        for number, i in self.world['installations'].items():
            own = i['account'].lower() == what[1].lower()
            if what[0] == 'repos':
                own = own and len(what) == 3 and what[2] in i['repositories']
            elif {'orgs': 'Organization', 'users': 'User'}[what[0]] != i.get('kind', 'Organization') or len(what) != 2:
                own = False
            if own:
                return 200, {'id': int(number), 'account': {'login': i['account'], 'type': i.get('kind', 'Organization')},
                             'app_id': self.world['app_id'], 'permissions': i['permissions'], 'repository_selection': 'selected',
                             'suspended_at': '2026-11-01T00:00:00Z' if i.get('suspended') else None}, 'found'
        raise no(404, 'Not Found', 'installation')

    def mint(self, h, number, mode):
        self.app(h)
        i = self.world['installations'].get(number)
        if not i:
            raise no(404, 'Not Found', 'installation')
        if i.get('suspended'):
            raise no(403, 'This installation has been suspended', 'suspended')
        b = self.body(h, ['repositories', 'repository_ids', 'permissions'], 422)
        names = b.get('repositories')
        if names is not None and (not isinstance(names, list) or not names or set(names) - set(i['repositories'])):
            raise no(422, 'There is at least one repository that does not exist or is not accessible to the parent installation.', 'repositories')
        asked = b.get('permissions')
        if asked is not None and not (isinstance(asked, dict) and asked):
            raise no(422, 'Invalid request.', 'permissions')
        for name, level in (asked or {}).items():
            if LEVELS.get(level, 9) > LEVELS.get(i['permissions'].get(name), 0):
                raise no(422, 'The permissions requested are not granted to this installation.', 'permissions')
        permissions = {'metadata': 'read', **(asked or i['permissions'])}
        wider = mode.get('wider')
        if wider in ('permissions', 'all'):
            permissions = {**permissions, 'administration': 'write'}
        if wider == 'level':
            permissions = {k: 'write' for k in permissions}
        if wider == 'repositories':
            names = list(i['repositories'])
        if wider == 'all':
            names = None
        expires = int(self.now()) + self.world.get('lifetime', 3600)
        if mode.get('form') == 'long':
            value = 'ghs_%d_%s' % (self.world['app_id'], sign(self.world['sign'], {'iss': 'github', 'exp': expires, 'jti': secrets.token_hex(24)}))
        else:
            value = 'ghs_' + secrets.token_hex(18)
        self.tokens[value] = {'expires': expires, 'repositories': names, 'permissions': permissions, 'account': i['account']}
        self.minted += 1
        out = {'token': value, 'expires_at': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(expires)), 'permissions': permissions,
               'repository_selection': 'all' if names is None else 'selected'}
        if names is not None and not mode.get('silent'):
            out['repositories'] = [{'id': i['repositories'][n], 'name': n, 'full_name': i['account'] + '/' + n, 'private': True} for n in names]
        return 201, out, 'minted ' + ','.join(names or ['*']) + ' ' + ','.join('%s:%s' % p for p in sorted(permissions.items()))

    def revoke(self, h):
        value = self.bearer(h)
        self.token(value)
        del self.tokens[value]
        self.gone += 1
        return 204, None, 'revoked'

    def repository(self, h, path):
        _, _, owner, name = path.split('/')
        t = self.token(self.bearer(h))
        if owner != t['account'] or (t['repositories'] is not None and name not in t['repositories']):
            raise no(404, 'Not Found', 'repository')
        return 200, {'name': name, 'full_name': owner + '/' + name, 'private': True}, 'read'

    def git(self, h, query):
        ask = Refused(401, None, 'git: no credential', WWW_Authenticate='Basic realm="GitHub"')
        given = h.headers.get('Authorization', '')
        if not given.startswith('Basic '):
            raise ask
        user, _, value = base64.b64decode(given[6:]).decode().partition(':')
        if user != 'x-access-token':
            raise ask
        t = self.token(value)
        name = query.partition('repo=')[2]
        if t['repositories'] is not None and name not in t['repositories']:
            raise no(403, 'Repository not found.', 'git: repository')
        push = 'git-receive-pack' in h.headers.get('X-Original-URI', '')
        if LEVELS.get(t['permissions'].get('contents'), 0) < (2 if push else 1):
            raise no(403, 'Permission denied.', 'git: contents')
        return 200, {}, 'git: push' if push else 'git: fetch'


if __name__ == '__main__':
    GitHub(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:]).run()
