# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a CI system's OIDC provider, with the documents as OpenID Connect Discovery and RFC 7517 write them. For tests only.

  oidc.py keys DIR                          an RSA key, a P-256 key, an Ed25519 key, a small RSA key, a CA and a server certificate for issuer.test
  oidc.py serve DIR                         https and DNS on 127.0.0.1; writes DIR/ports ("HTTPS DNS") once both listen
  oidc.py tokens DIR                        tokens into DIR, one for each line "FILE<TAB>ALG<TAB>KID<TAB>CLAIMS[<TAB>HEADER]" of stdin; ALG is
                                            RS256 PS256 ES256 EdDSA none HS256, CLAIMS and HEADER are JSON
"""
import base64, hashlib, hmac, http.server, json, os, socket, socketserver, ssl, struct, subprocess, sys, threading

def b64(b):
    return base64.urlsafe_b64encode(b).rstrip(b'=').decode()

def run(*argv, **kw):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **kw).stdout

def keys(d):
    p = lambda name: os.path.join(d, name)
    run('openssl', 'genrsa', '-out', p('rsa.pem'), '2048')
    run('openssl', 'genrsa', '-out', p('small.pem'), '1024')
    run('openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', p('ec.pem'))
    run('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', p('ed.pem'))
    for name in ('rsa', 'small', 'ec'):
        run('openssl', 'pkey', '-in', p(name + '.pem'), '-pubout', '-out', p(name + '.pub'))
    for ca in ('ca', 'other-ca'):
        run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj',
            '/CN=' + ca, '-keyout', p(ca + '.key'), '-out', p(ca + '.pem'), '-addext', 'keyUsage=critical,keyCertSign')
    run('openssl', 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=issuer.test', '-keyout',
        p('server.key'), '-out', p('server.csr'))
    with open(p('ext'), 'w') as f:
        f.write('subjectAltName=DNS:issuer.test\nextendedKeyUsage=serverAuth\n')
    run('openssl', 'x509', '-req', '-in', p('server.csr'), '-CA', p('ca.pem'), '-CAkey', p('ca.key'), '-CAcreateserial', '-days', '2',
        '-extfile', p('ext'), '-out', p('server.pem'))

def rsa_jwk(d, name, kid, **more):
    n = run('openssl', 'rsa', '-in', os.path.join(d, name), '-noout', '-modulus').decode().strip().split('=')[1]
    return {'kty': 'RSA', 'kid': kid, 'n': b64(bytes.fromhex(n)), 'e': 'AQAB', 'use': 'sig', **more}

def key_set(d):
    point = run('openssl', 'pkey', '-in', os.path.join(d, 'ec.pem'), '-pubout', '-outform', 'DER')[-64:]
    edwards = run('openssl', 'pkey', '-in', os.path.join(d, 'ed.pem'), '-pubout', '-outform', 'DER')[-32:]
    return [
        {'kty': 'OKP', 'crv': 'Ed25519', 'kid': 'o1', 'use': 'sig', 'alg': 'EdDSA', 'x': b64(edwards)},
        {'kty': 'OKP', 'crv': 'X25519', 'kid': 'o2', 'x': b64(edwards)}, {'kty': 'OKP', 'crv': 'Ed25519', 'kid': 'o3', 'x': b64(edwards[:31])},
        rsa_jwk(d, 'rsa.pem', 'r1', alg='RS256'), rsa_jwk(d, 'rsa.pem', 'r2'), rsa_jwk(d, 'rsa.pem', 'enc', use='enc'),
        rsa_jwk(d, 'rsa.pem', 'twice'), rsa_jwk(d, 'rsa.pem', 'twice'), rsa_jwk(d, 'small.pem', 'small'),
        {'kty': 'EC', 'crv': 'P-256', 'kid': 'e1', 'use': 'sig', 'alg': 'ES256', 'x': b64(point[:32]), 'y': b64(point[32:])},
        {'kty': 'oct', 'kid': 'oct', 'k': b64(b'secret')},
    ]

def token(d, alg, kid, claims, header=None):
    head = {'typ': 'JWT', 'alg': alg, 'kid': kid, **json.loads(header or '{}')}
    text = b64(json.dumps(head).encode()) + '.' + b64(claims.encode())
    p = lambda name: os.path.join(d, name)
    if alg == 'none':
        sig = b''
    elif alg.startswith('HS'):  # the public key as the password
        sig = hmac.new(open(p('rsa.pub'), 'rb').read(), text.encode(), hashlib.sha256).digest()
    elif alg == 'ES256':
        der = run('openssl', 'dgst', '-sha256', '-sign', p('ec.pem'), input=text.encode())
        at, sig = 2, b''
        for _ in range(2):
            n = der[at + 1]
            sig += der[at + 2:at + 2 + n].lstrip(b'\0').rjust(32, b'\0')
            at += 2 + n
    elif alg == 'EdDSA':
        with open(p('to-sign'), 'w') as f:
            f.write(text)
        sig = run('openssl', 'pkeyutl', '-sign', '-rawin', '-inkey', p('ed.pem'), '-in', p('to-sign'))
    else:
        pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest'] if alg == 'PS256' else []
        sig = run('openssl', 'dgst', '-sha256', *pss, '-sign', p('small.pem' if kid == 'small' else 'rsa.pem'), input=text.encode())
    return text + '.' + b64(sig)

def serve(d):
    over = threading.Event()
    good = key_set(d)
    many = [{**good[3], 'kid': 'x%d' % i} for i in range(10000)]

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def answer(self, body, status=200, **headers):
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for k, v in headers.items():
                self.send_header(k, v)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            base = 'https://issuer.test:%d' % port
            with open(os.path.join(d, 'requests'), 'a') as f:
                f.write(self.path + '\n')
            if not self.path.endswith('/.well-known/openid-configuration'):
                if self.path == '/keys':  # an issuer that begins with a new key
                    late = os.path.exists(os.path.join(d, 'rotated'))
                    return self.answer({'keys': good + [{**good[4], 'kid': 'r5'}] * late})
                if self.path == '/many':
                    return self.answer({'keys': many})
                if self.path == '/redirect':
                    return self.answer(b'', 302, Location=base + '/keys')
                if self.path == '/slow':
                    over.wait(30)
                if self.path == '/text':
                    return self.answer(b'<html>hello</html>')
                return self.answer(b'', 404)
            name = self.path.split('/')[1]
            document = {'issuer': '%s/%s' % (base, name), 'jwks_uri': base + '/keys', 'id_token_signing_alg_values_supported': ['RS256']}
            if name == 'http':
                document['jwks_uri'] = 'http://issuer.test:%d/keys' % port
            elif name == 'other':
                document['issuer'] = base
            elif name == 'moved':
                return self.answer(b'', 301, Location=base + '/good/.well-known/openid-configuration')
            elif name == 'broken':
                return self.answer(b'', 500)
            elif name in ('many', 'redirect', 'slow', 'text'):
                document['jwks_uri'] = base + '/' + name
            elif name == 'without':
                del document['jwks_uri']
            self.answer(document)

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *args: None  # clients that leave are what is tested
    port = server.server_address[1]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(d, 'server.pem'), os.path.join(d, 'server.key'))
    server.socket = context.wrap_socket(server.socket, server_side=True)

    class Dns(socketserver.BaseRequestHandler):
        def handle(self):
            q, sock = self.request
            end = q.index(b'\0', 12) + 5
            qtype = struct.unpack('>H', q[end - 4:end - 2])[0]
            known = q[12:end - 4] == b'\x06issuer\x04test\x00'
            answer = b'\xc0\x0c' + struct.pack('>HHIH', 1, 1, 60, 4) + socket.inet_aton('127.0.0.1') if known and qtype == 1 else b''
            sock.sendto(q[:2] + struct.pack('>HHHHH', 0x8180 if known else 0x8183, 1, int(bool(answer)), 0, 0) + q[12:end] + answer,
                        self.client_address)

    dns = socketserver.ThreadingUDPServer(('127.0.0.1', 0), Dns)
    dns.daemon_threads = True
    threading.Thread(target=dns.serve_forever, daemon=True).start()
    with open(os.path.join(d, 'ports.new'), 'w') as f:
        f.write('%d %d\n' % (port, dns.server_address[1]))
    os.rename(os.path.join(d, 'ports.new'), os.path.join(d, 'ports'))
    try:
        server.serve_forever()
    finally:
        over.set()

if __name__ == '__main__':
    verb, folder = sys.argv[1:]
    if verb == 'keys':
        keys(folder)
    elif verb == 'serve':
        serve(folder)
    elif verb == 'tokens':
        for line in sys.stdin:
            name, *args = line.rstrip('\n').split('\t')
            with open(os.path.join(folder, name), 'w') as f:
                f.write(token(folder, *args))
