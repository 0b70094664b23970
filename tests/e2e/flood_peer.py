# SPDX-License-Identifier: Apache-2.0
# A hostile client for tests/e2e/floods.sh, in the job: each function is an attack and prints a line or two of what it was let do.
import os, resource, select, socket, ssl, struct, sys, time

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
GET = b'GET /hello.txt HTTP/1.1\r\nHost: plain.test:8080\r\n'


def to(host='plain.test', port=8080):
    s = socket.create_connection((host, port), 20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def say(*a):
    print(*a, flush=True)


def rest(s, t=15):
    s.settimeout(t)
    b = b''
    try:
        while True:
            c = s.recv(65536)
            if not c:
                return b, 'end'
            b += c
    except TimeoutError:
        return b, 'open'
    except OSError:
        return b, 'reset'


def until_closed(socks, t):
    """How many of them the other side has closed within t seconds, and what each had said."""
    said = {s.fileno(): b'' for s in socks}
    left = {s.fileno(): s for s in socks}
    p = select.poll()
    for s in socks:
        s.setblocking(False)
        p.register(s, select.POLLIN)
    end = time.monotonic() + t
    while left and time.monotonic() < end:
        for fd, _ in p.poll(200):
            try:
                b = left[fd].recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                b = b''
            said[fd] += b
            if not b:
                p.unregister(fd)
                del left[fd]
    return len(socks) - len(left), said


def context(version=None, alpn=None):
    c = ssl.create_default_context()
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if version:
        c.maximum_version = version
    if alpn:
        c.set_alpn_protocols(alpn)
    return c


class Tls:
    """TLS over memory, so that what goes over the wire can be cut at will."""

    def __init__(self, name='api.test', **kw):
        self.i, self.o = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.w = context(**kw).wrap_bio(self.i, self.o, server_hostname=name)
        self.sock = None

    def hello(self):
        try:
            self.w.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.o.read()

    def step(self):
        """Feeds what the server says until our second flight is there."""
        while True:
            b = self.sock.recv(65536)
            if not b:
                raise ConnectionResetError('ended')
            self.i.write(b)
            try:
                self.w.do_handshake()
                return self.o.read()
            except ssl.SSLWantReadError:
                pass

    def get(self):
        self.w.write(b'GET /hello.txt HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n')
        self.sock.sendall(self.o.read())
        got = b''
        while b'\r\n' not in got:
            b = self.sock.recv(65536)
            if not b:
                return 'nothing'
            self.i.write(b)
            try:
                got += self.w.read(65536)
            except ssl.SSLWantReadError:
                pass
        return got.split(b'\r\n')[0].decode()


def records(flight, size):
    """The handshake messages of a flight again, in records of so many bytes."""
    out, at = b'', 0
    while at < len(flight):
        kind, version, n = flight[at:at + 1], flight[at + 1:at + 3], struct.unpack('>H', flight[at + 3:at + 5])[0]
        body = flight[at + 5:at + 5 + n]
        for i in range(0, n, size):
            part = body[i:i + size]
            out += kind + version + struct.pack('>H', len(part)) + part
        at += 5 + n
    return out


def whole(label, tls, first, piece=0):
    """A handshake whose first flight is `first`, in segments of `piece` bytes, and a request."""
    tls.sock = to('api.test', 443)
    try:
        for i in range(0, len(first), piece or len(first)):
            tls.sock.sendall(first[i:i + (piece or len(first))])
        tls.sock.sendall(tls.step())
        say(label, len(first), tls.get())
    except OSError as e:
        say(label, len(first), 'closed')
    tls.sock.close()


def hellos():
    t = Tls()
    whole('segments', t, t.hello(), 1)
    t = Tls()
    whole('records', t, records(t.hello(), 1), 1)
    many = [b'x%03d' % i + b'y' * 200 for i in range(100)]
    t = Tls(alpn=[m.decode() for m in many] + ['http/1.1'])
    whole('large', t, t.hello())
    t = Tls(alpn=[m.decode() for m in many * 3] + ['http/1.1'])
    whole('endless', t, t.hello(), 1400)


def parts(hello):
    """ciphers and extensions of a ClientHello, to be changed."""
    body = hello[9:]
    at = 34
    at += 1 + body[at]
    head, n = body[:at], struct.unpack('>H', body[at:at + 2])[0]
    ciphers = body[at + 2:at + 2 + n]
    at += 2 + n
    at += 1 + body[at]
    ext, at = [], at + 2
    while at < len(body):
        kind, n = struct.unpack('>HH', body[at:at + 4])
        ext.append((kind, body[at + 4:at + 4 + n]))
        at += 4 + n
    return head, ciphers, ext


def joined(head, ciphers, ext, record=0x0301):
    e = b''.join(struct.pack('>HH', k, len(v)) + v for k, v in ext)
    body = head + struct.pack('>H', len(ciphers)) + ciphers + b'\x01\x00' + struct.pack('>H', len(e)) + e
    m = b'\x01' + struct.pack('>I', len(body))[1:] + body
    return b'\x16' + struct.pack('>HH', record, len(m)) + m


def first(label, bytes_):
    s = to('api.test', 443)
    s.sendall(bytes_)
    s.settimeout(10)
    try:
        b = s.recv(16)
    except OSError:
        b = b''
    say(label, 'hello' if b[:1] == b'\x16' and b[5:6] == b'\x02' else 'alert %d' % b[6] if b[:1] == b'\x15' else 'closed' if not b else b.hex())
    s.close()


def odd():
    """GREASE (RFC 8701) in every place, and versions that nobody should speak."""
    head, ciphers, ext = parts(Tls().hello())
    grease = []
    for k, v in ext:
        if k == 43:
            v = bytes([v[0] + 2]) + b'\x7a\x7a' + v[1:]
        if k == 10:
            v = struct.pack('>H', len(v)) + b'\x1a\x1a' + v[2:]
        grease.append((k, v))
    first('grease', joined(head, b'\x0a\x0a' + ciphers, [(0x2a2a, b'')] + grease + [(0x8a8a, b'\0')]))
    old = [(k, v) for k, v in ext if k not in (43, 51, 45)]
    for name, v in (('ssl3', 0x0300), ('tls1.0', 0x0301), ('tls1.1', 0x0302)):
        first(name, joined(struct.pack('>H', v) + head[2:], ciphers, old, v))
    first('ssl2', b'\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x02\x00\x80\x03\x00\x80\x04\x00\x80\x05\x00\x80\x06\x00\x40' + b'c' * 20)


def stalls(rounds=1):
    """A client that stops after each of its bytes: of the hello, and of what follows the server's flight."""
    worst, held = 0, 0
    for _ in range(rounds):
        socks = []
        start = time.monotonic()
        n1 = len(Tls().hello())
        for k in range(1, n1):
            t = Tls()
            s = to('api.test', 443)
            s.sendall(t.hello()[:k])
            socks.append(s)
        k, n2 = 1, 2
        while k < n2:
            t = Tls()
            t.sock = to('api.test', 443)
            t.sock.sendall(t.hello())
            second = t.step()
            n2 = len(second)
            t.sock.sendall(second[:k])
            socks.append(t.sock)
            k += 1
        start = time.monotonic()
        closed, _ = until_closed(socks, 30)
        worst = max(worst, time.monotonic() - start)
        held += len(socks)
        for s in socks:
            s.close()
        if closed != len(socks):
            break
    say('stalls', held, 'all closed' if closed == len(socks) else '%d open' % (len(socks) - closed), 'soon' if worst < 8 else 'late')


def heads():
    """Slowloris: a byte of the head now and then, on many connections."""
    socks, text = [to() for _ in range(200)], GET + b'X-Slow: ' + b'y' * 200
    sent = 0
    for i in range(14):
        for s in socks:
            try:
                sent += s.send(text[i:i + 1])
            except OSError:
                pass
        time.sleep(0.1)
    closed, said = until_closed(socks, 15)
    say('heads', len(socks), 'closed', closed, '408', sum(b.startswith(b'HTTP/1.1 408') for b in said.values()), 'sent', sent)


def idle():
    """Connections without a byte, more than there may be."""
    held, dead = [], 0
    for i in range(1300):
        try:
            held.append(to())
        except OSError:
            dead += 1
    # A reset comes a moment after the connection.
    end = time.monotonic() + 20
    while time.monotonic() < end and dead < 1300 - 1024:
        p = select.poll()
        for s in held:
            p.register(s, select.POLLIN)
        gone = {fd for fd, _ in p.poll(200)}
        dead += len(gone)
        for s in [s for s in held if s.fileno() in gone]:
            s.close()
        held = [s for s in held if s.fileno() != -1]
    say('idle', len(held), 'held', dead, 'reset')
    for s in held:
        s.close()


def reads():
    """A large answer, asked for and not read."""
    socks = []
    for _ in range(40):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(('plain.test', 8080))
        s.sendall(b'GET /large HTTP/1.1\r\nHost: plain.test:8080\r\n\r\n')
        socks.append(s)
    begun = sum(s.recv(8) == b'HTTP/1.1' for s in socks)
    time.sleep(3)  # idle_ms is 1.5 s
    got = [rest(s) for s in socks]
    say('reads', begun, 'begun', sum(how in ('end', 'reset') and len(b) < 32 << 20 for b, how in got), 'cut')


def bytes_():
    """A body in segments of a byte, and a request in TLS records of a byte."""
    n = 3000
    s = to()
    s.sendall(b'POST /post HTTP/1.1\r\nHost: plain.test:8080\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' % n)
    for _ in range(n):
        s.send(b'z')
    say('bytes', rest(s)[0].split(b'\r\n')[0].decode())
    w = context().wrap_socket(to('api.test', 443), server_hostname='api.test')
    for c in b'GET /hello.txt HTTP/1.1\r\nHost: api.test\r\nX-Many: %s\r\nConnection: close\r\n\r\n' % (b'm' * n):
        w.send(bytes([c]))
    say('tls bytes', w.recv(64).split(b'\r\n')[0].decode())


def chain():
    """What an upstream with too many certificates is worth."""
    t = Tls('huge.test')
    s = context().wrap_socket(to('huge.test', 443), server_hostname='huge.test')
    s.sendall(b'GET / HTTP/1.1\r\nHost: huge.test\r\nConnection: close\r\n\r\n')
    say('chain', s.recv(200).split(b'\r\n')[0].decode())


for name in sys.argv[1:]:
    f, _, n = name.partition(':')
    globals()[f](*([int(n)] if n else []))
