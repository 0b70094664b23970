# SPDX-License-Identifier: Apache-2.0
"""What the stand-ins of providers share: HTTP/1.1 over TLS, JSON in and out, a log of what was asked, and ID tokens verified by openssl.

A stand-in reads DIR/NAME.json once (its world) and DIR/NAME.mode, when there is one, at each request (how it misbehaves now):
  delay    seconds before the answer          status   this status in place of any answer, with text of no use
  clock    seconds that its clock is ahead    and what the stand-in adds
Of the world "idle" is common: seconds after which a connection without a request is closed.
It writes DIR/NAME.log, a line of JSON a request: never a secret. GET /standin/state is for the test alone and not logged.
"""
import base64, http.server, json, os, socketserver, ssl, subprocess, sys, threading, time
from email.utils import formatdate


class Refused(Exception):
    def __init__(self, status, body, note='', **headers):
        self.status, self.body, self.note, self.headers = status, body, note, headers


def b64(b):
    return base64.urlsafe_b64encode(b).rstrip(b'=').decode()


def unb64(text):
    if '=' in text or len(text) % 4 == 1:
        raise ValueError('not base64url')
    raw = base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))
    if b64(raw) != text:
        raise ValueError('not base64url')
    return raw


def sign(key, claims, header=None):
    """A token signed RS256 with a key file, for tests and for what a stand-in gives out itself."""
    text = b64(json.dumps({'alg': 'RS256', 'typ': 'JWT', **(header or {})}).encode()) + '.' + b64(json.dumps(claims).encode())
    done = subprocess.run(['openssl', 'dgst', '-sha256', '-sign', key], input=text.encode(), capture_output=True, check=True)
    return text + '.' + b64(done.stdout)


_verified = {}  # (key, token): a signature does not change


def verify(token, pub):
    """Header and claims of a token whose RS256 signature holds; ValueError with words otherwise. Times are for the caller."""
    parts = token.split('.')
    if len(parts) != 3:
        raise ValueError('a JSON web token has three parts')
    header, claims, sig = json.loads(unb64(parts[0])), json.loads(unb64(parts[1])), unb64(parts[2])
    if header.get('alg') != 'RS256' or header.get('typ', 'JWT') != 'JWT':
        raise ValueError('signed with another algorithm than RS256')
    if (pub, token) not in _verified:
        name = '%s.sig.%d' % (pub, threading.get_ident())
        with open(name, 'wb') as f:
            f.write(sig)
        done = subprocess.run(['openssl', 'dgst', '-sha256', '-verify', pub, '-signature', name],
                              input='.'.join(parts[:2]).encode(), capture_output=True)
        os.unlink(name)
        if done.returncode:
            raise ValueError('the signature is not by this key')
        _verified[(pub, token)] = True
    return header, claims


class Standin:
    """One server. The stand-in derives from it and has `answer(request)`, which returns (status, value) or raises Refused."""

    def __init__(self, name, folder, address, port, cert, key, client_ca=None):
        self.name, self.folder, self.lock = name, folder, threading.RLock()
        with open(os.path.join(folder, name + '.json')) as f:
            self.world = json.load(f)
        self.log_file = open(os.path.join(folder, name + '.log'), 'a', buffering=1)
        standin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            disable_nagle_algorithm = True
            timeout = self.world.get('idle')

            def log_message(self, *a):
                pass

            def date_time_string(self, timestamp=None):
                return formatdate(standin.now(), usegmt=True)

            def any(self):
                standin.serve_one(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_LIST = any

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads, request_queue_size = True, 256

            def handle_error(self, request, client_address):
                pass  # a client that went away

        self.server = Server((address, port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(cert, key)
        if client_ca:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        # The handshake in the connection's own thread.
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)

    def run(self):
        with open(os.path.join(self.folder, self.name + '.port.new'), 'w') as f:
            f.write('%d\n' % self.server.server_address[1])
        os.rename(f.name, os.path.join(self.folder, self.name + '.port'))
        self.server.serve_forever()

    def mode(self):
        try:
            with open(os.path.join(self.folder, self.name + '.mode')) as f:
                return json.load(f)
        except FileNotFoundError:
            return {}

    def now(self):
        return time.time() + self.mode().get('clock', 0)

    def serve_one(self, h):
        length = h.headers.get('Content-Length')
        h.raw = h.rfile.read(int(length)) if length else b''
        if h.path == '/standin/state':
            with self.lock:
                return self.say(h, 200, self.state())
        mode, headers = self.mode(), {}
        time.sleep(mode.get('delay', 0))
        try:
            if mode.get('status'):
                raise Refused(mode['status'], '<html>out of order</html>', 'mode', **mode.get('headers', {}))
            if h.headers.get('Transfer-Encoding') or len(h.headers.get_all('Host', [])) != 1:
                raise Refused(400, {}, 'framing')
            with self.lock:
                status, value, note = self.answer(h, mode)
        except Refused as e:
            status, value, note, headers = e.status, e.body, e.note, e.headers
        self.log_file.write(json.dumps({'method': h.command, 'path': h.path, 'status': status, 'note': note, **self.facts(h)}) + '\n')
        self.say(h, status, value, headers)

    def facts(self, h):
        return {}

    def say(self, h, status, value, headers=None):
        body = b'' if value is None else value.encode() if isinstance(value, str) else json.dumps(value).encode()
        h.send_response(status)
        for k, v in (headers or {}).items():
            h.send_header(k.replace('_', '-'), str(v))
        if status != 204:
            h.send_header('Content-Type', 'application/json; charset=utf-8')
            h.send_header('Content-Length', str(len(body)))
        h.end_headers()
        if status != 204 and h.command != 'HEAD':
            h.wfile.write(body)

    def body(self, h, known, refuse):
        """The object that was sent: JSON, of known keys alone, each once."""

        def once(pairs):
            if len(dict(pairs)) != len(pairs):
                raise ValueError('twice')
            return dict(pairs)

        if h.headers.get('Content-Type', '').split(';')[0] != 'application/json':
            raise Refused(refuse, {'errors': ['content type']}, 'content type')
        try:
            value = json.loads(h.raw, object_pairs_hook=once)
        except ValueError:
            raise Refused(refuse, {'errors': ['error parsing JSON']}, 'not JSON')
        if not isinstance(value, dict) or set(value) - set(known):
            raise Refused(refuse, {'errors': ['unknown fields']}, 'unknown fields ' + ','.join(sorted(set(value) - set(known))))
        return value


if __name__ == '__main__':  # standin.py sign KEY CLAIMS: a token on stdout
    print(sign(sys.argv[2], json.loads(sys.argv[3])))
