#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An authorisation server that takes nothing for granted, for provider_oauth2.sh: TLS, one folder of keys and certificates.

    oauth2_standin.py FOLDER [ADDRESS]      writes FOLDER/ports; FOLDER/requests gets a line each ("METHOD PATH STATUS"), FOLDER/tokens what was handed
                                  out, FOLDER/revoked what was taken back, FOLDER/assertion the last client's assertion

A request must have the form that the RFCs give it: POST, the form's content type, no query, no key twice, a client that proves itself in one
way alone. An assertion must be signed by the client's key, be for this server, be young, and come once. Paths say what else goes wrong:
/token/expire (no expires_in), /token/mac, /token/html, /token/moved, /token/busy, /token/slow, /token/wait, /token/many (larger than it may be)."""
import base64, hashlib, http.server, json, os, re, ssl, subprocess, sys, threading, time, urllib.parse

D = sys.argv[1]
p = lambda name: os.path.join(D, name)
URN = 'urn:ietf:params:oauth:'
seen, lock = set(), threading.Lock()
over = threading.Event()
connections = [0]

def note(name, text):
    with lock, open(p(name), 'a') as f:
        f.write(text + '\n')

def unb64(s):
    if not re.fullmatch('[A-Za-z0-9_-]+', s):
        raise Refused(401, 'invalid_client', 'not base64url')
    return base64.urlsafe_b64decode(s + '=' * (-len(s) % 4))

class Refused(Exception):
    pass

def verify(text, sig, alg, key):
    if alg == 'ES256':
        r, s = (x.lstrip(b'\0') for x in (sig[:32], sig[32:]))
        number = lambda x: b'\x02' + bytes([len(x) + (x[0] >> 7)]) + (b'\0' if x[0] >> 7 else b'') + x
        body = number(r) + number(s)
        sig = b'\x30' + bytes([len(body)]) + body
    with lock:
        with open(p('sig'), 'wb') as f:
            f.write(sig)
        return subprocess.run(['openssl', 'dgst', '-sha256', '-verify', p(key + '.pub'), '-signature', p('sig')], input=text.encode(),
                              capture_output=True).returncode == 0

def assertion(client, text, audience):
    note('assertion', text)
    parts = text.split('.')
    if len(parts) != 3:
        raise Refused(401, 'invalid_client', 'not three parts')
    head, claims = (json.loads(unb64(x)) for x in parts[:2])
    key, alg = {'pk-rsa': ('rsa', 'RS256'), 'pk-ec': ('ec', 'ES256')}[client]
    if head.get('alg') != alg or not verify(parts[0] + '.' + parts[1], unb64(parts[2]), alg, key):
        raise Refused(401, 'invalid_client', 'the signature does not hold')
    now = time.time()
    if claims.get('iss') != client or claims.get('sub') != client or claims.get('aud') != audience:
        raise Refused(401, 'invalid_client', 'iss, sub or aud')
    if not now - 5 < claims['exp'] < now + 310 or claims['iat'] > now + 5:
        raise Refused(401, 'invalid_client', 'the assertion is of another time')
    with lock:
        if claims['jti'] in seen:
            raise Refused(401, 'invalid_client', 'this jti was seen')
        seen.add(claims['jti'])

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def setup(self):
        super().setup()
        with lock:
            connections[0] += 1
            with open(p('connections'), 'w') as f:
                f.write('%d\n' % connections[0])

    def answer(self, status, body, **headers):
        note('requests', '%s %s %d' % (self.command, self.path, status))
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for k, v in {'Content-Type': 'application/json', **headers}.items():
            self.send_header(k.replace('_', '-'), v)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def client(self, form):
        """Who asks. In one way alone."""
        basic = self.headers.get_all('Authorization') or []
        ways = len(basic) + ('client_secret' in form) + ('client_assertion' in form)
        secret = open(p('secret')).read()
        if ways > 1:
            raise Refused(400, 'invalid_request', 'two ways of proving a client')
        if basic:
            m = re.fullmatch('Basic ([A-Za-z0-9+/]+=*)', basic[0])
            name, _, told = base64.b64decode(m[1]).decode().partition(':')
            name, told = urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(told)
            if name != 'basic: client' or told != secret:
                raise Refused(401, 'invalid_client', 'wrong password ' + told)
            return name
        name = form.get('client_id')
        if name == 'post' and form.get('client_secret') == secret:
            return name
        if name in ('pk-rsa', 'pk-ec') and form.get('client_assertion_type') == URN + 'client-assertion-type:jwt-bearer':
            assertion(name, form.get('client_assertion', ''), 'https://idp.test:%d/token' % self.server.server_address[1])
            return name
        if name == 'federated' and form.get('client_assertion') == open(p('job')).read():
            return name
        if name == 'mtls':
            der = self.connection.getpeercert(True)
            if der and der == ssl.PEM_cert_to_DER_cert(open(p('client.pem')).read()):
                return name
            raise Refused(401, 'invalid_client', 'no client certificate')
        if name is None and not self.path.startswith('/revoke') and form.get('grant_type', '').startswith(URN):
            return None
        raise Refused(401, 'invalid_client', 'nobody')

    def grant(self, form):
        kind, job = form.get('grant_type'), open(p('job')).read()
        if kind == 'client_credentials':
            if form.get('scope') not in (None, 'read api:write'):
                raise Refused(400, 'invalid_scope', form['scope'])
        elif kind == URN + 'grant-type:token-exchange':
            if form.get('subject_token') != job or form.get('subject_token_type') != URN + 'token-type:jwt':
                raise Refused(400, 'invalid_request', 'subject_token')
            if form.get('requested_token_type') != URN + 'token-type:access_token' or not form.get('audience'):
                raise Refused(400, 'invalid_target', 'audience')
        elif kind == URN + 'grant-type:jwt-bearer':
            if form.get('assertion') != job:
                raise Refused(400, 'invalid_grant', 'assertion')
        else:
            raise Refused(400, 'unsupported_grant_type', str(kind))

    def form(self):
        if self.headers.get('Content-Type') != 'application/x-www-form-urlencoded' or 'json' not in self.headers.get('Accept', ''):
            raise Refused(400, 'invalid_request', 'content type')
        pairs = urllib.parse.parse_qsl(self.body, keep_blank_values=True, strict_parsing=True)
        if len(dict(pairs)) != len(pairs) or '?' in self.path:
            raise Refused(400, 'invalid_request', 'a key twice, or a query')
        return dict(pairs)

    def do_POST(self):
        self.body = self.rfile.read(int(self.headers.get('Content-Length', '0'))).decode()
        try:
            form = self.form()
            client = self.client(form)
            if self.path == '/revoke':
                # RFC 7009 2.2: what is not known is taken back already.
                note('revoked', form['token'])
                return self.answer(200, b'')
            if not self.path.startswith('/token'):
                return self.answer(404, b'')
            self.grant(form)
        except Refused as e:
            return self.answer(e.args[0], {'error': e.args[1], 'error_description': e.args[2]})
        except Exception as e:
            return self.answer(400, {'error': 'invalid_request', 'error_description': repr(e)})
        how = self.path[7:]
        token = 'tok-' + base64.urlsafe_b64encode(os.urandom(24)).decode()
        note('tokens', token)
        good = {'access_token': token, 'token_type': 'Bearer', 'expires_in': 600, 'scope': form.get('scope', '')}
        if 'token-exchange' in form['grant_type']:
            good['issued_token_type'] = URN + 'token-type:access_token'
        if how == 'expire':
            del good['expires_in']
        elif how == 'mac':
            good['token_type'] = 'mac'
        elif how == 'html':
            return self.answer(200, b'<html>hello</html>')
        elif how == 'moved':
            return self.answer(307, b'', Location='https://idp.test:%d/token' % self.server.server_address[1])
        elif how == 'busy':
            return self.answer(503, {'error': 'temporarily_unavailable'})
        elif how == 'slow':
            over.wait(30)
        elif how == 'wait':
            time.sleep(0.3)
        elif how == 'many':
            good['more'] = 'x' * 100000
        self.answer(200, good)

    def do_GET(self):
        base = 'https://idp.test:%d' % self.server.server_address[1]
        ends = {'token_endpoint': base + '/token', 'revocation_endpoint': base + '/revoke'}
        documents = {
            '/openid/.well-known/openid-configuration': {'issuer': base + '/openid', **ends},
            '/.well-known/oauth-authorization-server/plain': {'issuer': base + '/plain', **ends},
            '/other/.well-known/openid-configuration': {'issuer': base + '/openid', **ends},
            '/clear/.well-known/openid-configuration': {'issuer': base + '/clear', 'token_endpoint': 'http://idp.test/token'},
        }
        if self.path == '/moving/.well-known/openid-configuration':  # elsewhere from the second time on
            documents[self.path] = {'issuer': base + '/moving', 'token_endpoint': base + ('/token' if moved else '/gone')}
            moved.append(True)
        if self.path in documents:
            self.answer(200, documents[self.path])
        else:
            self.answer(404, b'')

moved = []

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def get_request(self):
        sock, addr = self.socket.accept()
        return sock, addr

    def finish_request(self, request, client_address):
        try:
            request = context.wrap_socket(request, server_side=True)
        except OSError:
            return
        self.RequestHandlerClass(request, client_address, self)

    def handle_error(self, *args):  # clients that leave are what is tested
        pass

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(p('idp.pem'), p('idp.key'))
context.verify_mode = ssl.CERT_OPTIONAL
context.load_verify_locations(p('client.pem'))
server = Server((sys.argv[2] if len(sys.argv) > 2 else '127.0.0.1', 0), Handler)
with open(p('ports.new'), 'w') as f:
    f.write('%d\n' % server.server_address[1])
os.rename(p('ports.new'), p('ports'))
try:
    server.serve_forever()
finally:
    over.set()
