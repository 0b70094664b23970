#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The moving parts of differential_h2.sh: hostile requests as raw frames of HTTP/2, and what the origins saw held against egret's events.

  send NAME=host:port...        every payload to every origin, each on a connection of its own; answers as JSON lines
  tls NAME addr port LOG PEM KEY  Python's http.server, as in differential.py, behind TLS
  count                         how many payloads there are
  compare LOG ANSWERS EVENTS    what is not as egret recorded it, a line each; "compared N ..." last
"""
import asyncio, json, re, ssl, struct, sys
from collections import Counter, defaultdict
import hpack
import differential as d

SPLIT = 'GET /$N/split HTTP/1.1\r\nHost: $H\r\n\r\n'
BODY = SPLIT.encode()


def payloads():
    """name: (fields in their order, body or None, trailers or None); $N the name, $H the host."""
    out = {}

    def add(name, *extra, method='GET', path='/$N', scheme='https', authority='$H', body=None, trailers=None, first=(), last=()):
        pseudo = [(':method', method), (':scheme', scheme), (':path', path), (':authority', authority)]
        out[name] = ([*first, *(p for p in pseudo if p[1] is not None), *extra, *last], body, trailers)

    add('honest-get')
    add('honest-post', method='POST', body=b'abc')
    add('honest-length', ('content-length', '3'), method='POST', body=b'abc')
    add('trailers', ('te', 'trailers'), method='POST', body=b'abc', trailers=[('x-sum', '7')])
    add('honest-crumbs', ('cookie', 'a=1'), ('cookie', 'b=2'))
    # HTTP/2 to HTTP/1.1, as published (H2.TE, H2.CL, tunnelling)
    add('te-chunked', ('transfer-encoding', 'chunked'), method='POST', body=b'0\r\n\r\n' + BODY)
    add('te-identity', ('transfer-encoding', 'identity'), method='POST', body=BODY)
    add('te-upper', ('Transfer-Encoding', 'chunked'), method='POST', body=b'0\r\n\r\n' + BODY)
    add('te-blank', ('transfer-encoding ', 'chunked'), method='POST', body=b'0\r\n\r\n' + BODY)
    add('te-underscore', ('transfer_encoding', 'chunked'), method='POST', body=b'0\r\n\r\n' + BODY)
    add('te-in-value', ('x-a', 'b\r\nTransfer-Encoding: chunked'), method='POST', body=b'0\r\n\r\n' + BODY)
    add('te-in-value-lf', ('x-a', 'b\nTransfer-Encoding: chunked'), method='POST', body=b'0\r\n\r\n' + BODY)
    add('te-in-value-cr', ('x-a', 'b\rTransfer-Encoding: chunked'), method='POST', body=b'0\r\n\r\n' + BODY)
    add('te-in-name', ('x-a: b\r\ntransfer-encoding', 'chunked'), method='POST', body=b'0\r\n\r\n' + BODY)
    add('te-in-name-colon', ('transfer-encoding:chunked\r\nx', 'y'), method='POST', body=b'0\r\n\r\n' + BODY)
    add('te-in-trailers', method='POST', body=b'abc', trailers=[('transfer-encoding', 'chunked')])
    add('cl-short', ('content-length', '3'), method='POST', body=b'abc' + BODY)
    add('cl-zero', ('content-length', '0'), method='POST', body=BODY)
    add('cl-long', ('content-length', '300'), method='POST', body=b'abc')
    add('cl-none', ('content-length', '3'), method='POST')
    add('cl-twice', ('content-length', '3'), ('content-length', '3'), method='POST', body=b'abc')
    add('cl-other', ('content-length', '3'), ('content-length', '300'), method='POST', body=b'abc')
    add('cl-list', ('content-length', '3, 3'), method='POST', body=b'abc')
    add('cl-plus', ('content-length', '+3'), method='POST', body=b'abc')
    add('cl-underscore', ('content_length', '300'), method='POST', body=b'abc')
    add('cl-in-value', ('x-a', 'b\r\nContent-Length: 0'), method='POST', body=BODY)
    add('cl-in-trailers', method='POST', body=b'abc', trailers=[('content-length', '300')])
    add('cl-on-get', ('content-length', str(len(BODY))), body=BODY)
    add('value-splits', ('x-a', 'b\r\n\r\n' + SPLIT))
    add('value-nul', ('x-a', 'b\0c'))
    add('value-blank', ('x-a', ' b'))
    add('name-splits', ('x\r\n\r\n' + SPLIT, 'b'))
    add('name-upper', ('X-A', 'b'))
    add('name-empty', ('', 'b'))
    add('name-colon', ('x:y', 'b'))
    add('method-splits', method='GET /$N/split HTTP/1.1\r\nHost: $H\r\n\r\nGET')
    add('method-two', method='GET /$N/split')
    add('method-empty', method='')
    add('method-none', method=None)
    add('method-twice', last=[(':method', 'POST')])
    add('method-connect', method='CONNECT')
    add('method-extended', (':protocol', 'websocket'), method='CONNECT')
    add('path-splits', path='/$N HTTP/1.1\r\nHost: $H\r\n\r\nGET /$N/split')
    add('path-blank', path='/$N HTTP/1.1 x')
    add('path-empty', path='')
    add('path-none', path=None)
    add('path-twice', (':path', '/$N/split'))
    add('path-late', ('x-a', 'b'), (':path', '/$N/split'), path=None)
    add('path-absolute', path='https://evil.test/$N')
    add('path-relative', path='$N')
    add('path-asterisk', path='*')
    add('path-fragment', path='/$N#/../admin')
    add('path-dots', path='/$N/../admin')
    add('path-dots-encoded', path='/$N/%2e%2e/admin')
    add('path-dots-twice', path='/$N/%252e%252e/admin')
    add('path-slash', path='/$N%2fadmin')
    add('path-backslash', path='/$N%5cadmin')
    add('path-params', path='/$N;x/admin')
    add('path-nul', path='/$N%00')
    add('path-spelling', path='/$N/%61%7e')
    add('path-query', path='/$N?a=b')
    add('scheme-splits', scheme='https://$H/$N/split?')
    add('scheme-http', scheme='http')
    add('scheme-none', scheme=None)
    add('scheme-twice', (':scheme', 'http'))
    add('authority-other', authority='evil.test')
    add('authority-splits', authority='$H\r\nX-A: b')
    add('authority-user', authority='$H@evil.test')
    add('authority-none', authority=None)
    add('authority-twice', (':authority', 'evil.test'))
    add('host-other', ('host', 'evil.test'))
    add('host-alone', ('host', '$H'), authority=None)
    add('host-twice', ('host', '$H'), ('host', '$H'))
    add('host-same', ('host', '$H'))
    add('pseudo-unknown', (':x', 'y'))
    add('pseudo-status', (':status', '200'))
    add('pseudo-trailers', method='POST', body=b'abc', trailers=[(':path', '/$N/split')])
    add('hop-connection', ('connection', 'x-a'), ('x-a', 'b'))
    add('hop-upgrade', ('upgrade', 'h2c'))
    add('hop-te', ('te', 'gzip'))
    add('hop-proxy', ('proxy-connection', 'close'))
    add('field-override', ('x-http-method-override', 'DELETE'), method='POST', body=b'x')
    add('field-original', ('x-original-url', '/admin'))
    add('field-expect', ('expect', 'y'), method='POST', body=b'abc')
    add('field-early', ('early-data', '1'))
    return out


def frame(kind, flags, stream, p):
    return struct.pack('>I', len(p))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + p


def frames(name, host, fields, body, trailers):
    def block(fs):
        fill = lambda s: s.replace('$N', name).replace('$H', host).encode('latin-1')
        return hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(fill(n), fill(v)) for n, v in fs], huffman=False)
    ends = body is None and trailers is None
    out = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0, b'') + frame(1, 4 | ends, 1, block(fields))
    if body is not None:
        out += frame(0, 0 if trailers is not None else 1, 1, body.replace(b'$N', name.encode()).replace(b'$H', host.encode()))
    return out + (frame(1, 5, 1, block(trailers)) if trailers is not None else b'')


async def one(limit, origin, where, name, payload):
    host, port = where.rsplit(':', 1)
    context = ssl.create_default_context()
    context.set_alpn_protocols(['h2'])
    said, text, wire = '', b'', b''
    async with limit:
        try:
            r, w = await asyncio.wait_for(asyncio.open_connection(host, int(port), ssl=context), 20)
            if w.get_extra_info('ssl_object').selected_alpn_protocol() != 'h2':
                raise OSError('no h2')
            w.write(frames(name, where, *payload))
            decoder = hpack.Decoder()
            while not said.endswith(('end', 'reset', 'goaway')):
                part = await asyncio.wait_for(r.read(65536), 5)
                if not part:
                    break
                wire += part
                while len(wire) >= 9 and len(wire) >= 9 + (n := int.from_bytes(wire[:3], 'big')):
                    kind, flags, p, wire = wire[3], wire[4], wire[9:9 + n], wire[9 + n:]
                    if kind == 1:
                        said += dict(decoder.decode(p)).get(':status', 'trailers') + ' '
                    elif kind == 0:
                        text += p
                    said += 'reset' if kind == 3 else 'goaway' if kind == 7 else 'end' if kind < 2 and flags & 1 else ''
                    if kind == 4 and not flags & 1:
                        w.write(frame(4, 1, 0, b''))
        except asyncio.TimeoutError:
            said += 'silence'
        except (OSError, EOFError) as e:
            said += type(e).__name__
        try:
            w.close()
        except UnboundLocalError:
            pass
    print(json.dumps({'o': origin, 'name': name, 'said': said, 'got': text.decode('latin-1')}), flush=True)


async def send(origins):
    limit = asyncio.Semaphore(24)
    # nginx 1.22 ends the whole connection over trailers of a request, with whatever else is on it.
    await asyncio.gather(*(one(limit, *o.split('=', 1), name, p) for name, p in payloads().items() for o in origins
                           if (name, o.partition('=')[0]) != ('trailers', 'nginx')))


def tls(origin, addr, port, path, pem, key):
    from http import server
    plain = server.ThreadingHTTPServer.server_bind

    def bind(self):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pem, key)
        plain(self)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
    server.ThreadingHTTPServer.server_bind = bind
    d.server(origin, addr, int(port), path)


def compare(log, answers, events):
    names = payloads()
    saw = d.seen(log, names)
    started, over = {}, {}
    for line in open(events):
        e = json.loads(line)
        if e['kind'] == 'http.request' and e['verdict'] == 'allow':
            started[e['request']] = e
        elif e['kind'] == 'http.response':
            over[e['request']] = e
    want, broken = defaultdict(Counter), Counter()
    for id, e in started.items():
        url = re.match(r'https://([^/]*)(/.*)', e['http']['url'])
        key = url[1].split('.')[0], d.name_of(url[2], names)
        end = over.get(id, {'reason': 'none'})
        if end.get('reason'):
            broken[key] += 1  # cut off by who sent it: the origin may have seen it, and nothing else
        want[key][e['http']['method'], url[1], url[2], -1 if end.get('reason') else end.get('bytes', {}).get('out', 0)] += 1
    bad, refused, n = [], 0, 0
    for line in open(answers):
        a = json.loads(line)
        key = a['o'], a['name']
        n += 1
        got = Counter((r['m'], r['h'].lower(), d.url_key(r['u']), r['n']) for r in saw[key])
        if a['o'] == 'server':  # knows no chunks
            got, w = (Counter(r[:3] for r in c.elements()) for c in (got, want[key]))
        else:
            w = want[key]
        if broken[key]:
            got, w = (Counter(r[:3] for r in c.elements()) for c in (got, w))
            right = not got - w
        else:
            right = got == w
        if not right:
            bad.append('%s %s: the origin saw %s, recorded is %s' % (*key, sorted(got.elements()), sorted(w.elements())))
        if sum(w.values()) > 1:
            bad.append('%s %s: %d requests of one' % (*key, sum(w.values())))
        if a['name'].startswith('honest') and (not w or broken[key] or not a['said'].startswith('200')):
            bad.append('%s %s: is honest, and the answer is %r' % (*key, a['said']))
        if not w:
            refused += 1
            if not re.match(r'(4\d\d .*end|.*reset|.*goaway)$', a['said']):
                bad.append('%s %s: refused, and the answer is %r' % (*key, a['said']))
        for path in re.findall(r'[A-Z]+ (/[^\s]*)\n', a['got']):
            if d.name_of(path, names) not in (a['name'], None):
                bad.append('%s %s: got the answer to %s' % (*key, path))
    for key, rs in saw.items():
        if key[1] not in names:
            bad.append('%s saw %s, which nobody sent' % (key[0], [(r['m'], r['u']) for r in rs]))
    print(*bad, sep='\n', end='\n' if bad else '')
    print('compared', n, 'answers of', len({k[0] for k in saw}), 'origins,', sum(sum(c.values()) for c in want.values()), 'recorded,', refused, 'refused,',
          sum(broken.values()), 'broken off')


if __name__ == '__main__':
    verb, args = sys.argv[1], sys.argv[2:]
    if verb == 'send':
        asyncio.run(send(args))
    elif verb == 'count':
        print(len(payloads()))
    else:
        {'tls': tls, 'compare': compare}[verb](*args)
