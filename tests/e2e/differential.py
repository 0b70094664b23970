#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The moving parts of differential.sh: sends payloads.txt, is two of the origins, compares what they saw with egret's events.

  send TABLE NAME=host:port...     every payload to every origin, each on a connection of its own; answers as JSON lines
  server NAME addr port LOG        Python's http.server; aiohttp NAME addr port LOG: the same by aiohttp, its own parser
  splits TABLE LOG                 the payloads of which an origin saw a second request
  compare TABLE LOG ANSWERS EVENTS what is not as egret recorded it, a line each; "compared N ..." last
  corpus TABLE http|target DIR     the same bytes for the fuzzers
"""
import asyncio, json, re, sys
from collections import Counter, defaultdict

# By the RFC these are two requests as well: an unknown field, or a length with zeros before it.
HONEST = ('two-', 'te-content-encoding-2', 'te-smashed-2', 'te-percent-2', 'cl-zeros-2')
SPLIT = b'GET /$N/split HTTP/1.1\r\nHost: $H\r\n\r\n'


def unescape(text):
    named = {'r': b'\r', 'n': b'\n', 't': b'\t', '0': b'\0'}
    out = b''
    for m in re.finditer(r'\\x([0-9a-f]{2})|\\([rnt0])|([^\\]+)', text):
        out += bytes([int(m[1], 16)]) if m[1] else named[m[2]] if m[2] else m[3].encode()
    return out


def table(path):
    """(name, bytes with $N and $H) of each payload."""
    for line in open(path):
        line = line.rstrip('\n')
        if not line or line[0] == '#':
            continue
        kind, name, text = line.split('\t')
        b = unescape(text)
        head, host = b'POST /$N HTTP/1.1\r\nHost: $H\r\n', b'Host: $H\r\n'
        if kind == 'te':
            yield name + '-1', head + b'Content-Length: $L\r\n' + b + b'\r\n\r\n0\r\n\r\n' + SPLIT
            yield name + '-2', head + b'Content-Length: 4\r\n' + b + b'\r\n\r\n$C\r\n' + SPLIT + b'\r\n0\r\n\r\n'
        elif kind == 'cl':
            alone, b = (b[:1] == b'@'), b.lstrip(b'@')
            for shape, one, other in (('-1', b'3', b'$L'), ('-2', b'$L', b'3')):
                first = b'' if alone else b'Content-Length: ' + one + b'\r\n'
                yield name + shape, head + first + b.replace(b'$A', one).replace(b'$B', other) + b'\r\n\r\nabc' + SPLIT
        elif kind == 'chunk':
            yield name, head + b'Transfer-Encoding: chunked\r\n\r\n' + b
        elif kind == 'target':
            yield name, b'GET ' + b + b' HTTP/1.1\r\n' + host + b'\r\n'
        elif kind == 'field':
            yield name, b'GET /$N HTTP/1.1\r\n' + host + b + b'\r\n\r\n'
        else:
            yield name, b


def filled(name, b, host):
    b = b.replace(b'$C', b'%02x' % len(SPLIT.replace(b'$N', name.encode()).replace(b'$H', host)))
    b = b.replace(b'$N', name.encode()).replace(b'$H', host)
    return b.replace(b'$L', b'%d' % len(b.partition(b'\r\n\r\n')[2]))


# ---- the sender ----

async def one(limit, origin, where, name, b):
    host, port = where.rsplit(':', 1)
    got, error = b'', ''
    async with limit:
        try:
            r, w = await asyncio.wait_for(asyncio.open_connection(host, int(port)), 20)
            w.write(filled(name, b, where.encode()))
            while True:
                # Who answered has nothing more to say soon; who did not waits for bytes that never come.
                part = await asyncio.wait_for(r.read(65536), 0.4 if got else 2.5)
                if not part:
                    break
                got += part
        except asyncio.TimeoutError:
            error = 'silence'
        except OSError as e:
            error = type(e).__name__
        try:
            w.close()
        except UnboundLocalError:
            pass
    print(json.dumps({'o': origin, 'name': name, 'got': got.decode('latin-1'), 'end': error}), flush=True)


async def send(path, origins):
    limit = asyncio.Semaphore(200)
    await asyncio.gather(*(one(limit, *o.split('=', 1), name, b) for name, b in table(path) for o in origins))


# ---- two origins ----

def log_to(path, origin):
    f = open(path, 'a', buffering=1)
    return lambda m, u, h, n: f.write(json.dumps({'o': origin, 'm': m, 'u': u, 'h': h, 'n': n}) + '\n')


def server(origin, addr, port, path):
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    log = log_to(path, origin)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def any(self):
            try:
                n = int(self.headers.get('Content-Length') or 0)
            except ValueError:
                n = 0
            body = self.rfile.read(n) if n > 0 else b''
            if n > 0 and len(body) < n:
                self.close_connection = True
                return
            log(self.command, self.path, self.headers.get('Host'), len(body))
            out = ('%s %s\n' % (self.command, self.path)).encode('latin-1')
            self.send_response(200)
            self.send_header('Content-Length', str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        def __getattr__(self, name):
            if name.startswith('do_'):
                return self.any
            raise AttributeError(name)

        def log_message(self, *a):
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

        def handle_error(self, *a):
            pass
    Server((addr, port), Handler).serve_forever()


def aiohttp_server(origin, addr, port, path):
    from aiohttp import web
    log = log_to(path, origin)

    async def handle(request):
        body = await request.read()
        log(request.method, request.raw_path, request.headers.get('Host'), len(body))
        return web.Response(text='%s %s\n' % (request.method, request.raw_path))
    app = web.Application(client_max_size=1 << 20)
    app.router.add_route('*', '/{p:.*}', handle)
    web.run_app(app, host=addr, port=port, print=None, access_log=None)


# ---- comparing ----

def path_of(url):
    return re.sub(r'^[a-zA-Z]+://[^/?]*', '', url) or '/'


def name_of(url, names):
    first = re.match(r'/*([a-z0-9]+(?:-[a-z0-9]+)*)', path_of(url))
    return first[1] if first and first[1] in names else None


def seen(log, names):
    out = defaultdict(list)
    for line in open(log):
        r = json.loads(line)
        out[r['o'], name_of(r['u'], names)].append(r)
    return out


def splits(path, log):
    names = {n for n, _ in table(path)}
    by = defaultdict(set)
    for (origin, name), rs in seen(log, names).items():
        if name and not name.startswith(HONEST) and any(r['u'].endswith('/split') for r in rs):
            by[name].add(origin)
    for name in sorted(by):
        print(name, *sorted(by[name]))


def url_key(url):
    """As an event has it: without the values of the query."""
    url, _, query = url.partition('?')
    return url + ('?' + '&'.join(p.partition('=')[0] if '=' in p else '' for p in query.split('&')) if query else '')


def compare(path, log, answers, events):
    payloads = dict(table(path))
    saw = seen(log, payloads)
    started, over = {}, {}
    for line in open(events):
        e = json.loads(line)
        if e['kind'] == 'http.request' and e['verdict'] == 'allow':
            started[e['request']] = e
        elif e['kind'] == 'http.response':
            over[e['request']] = e
    recorded, broken, left = defaultdict(Counter), Counter(), defaultdict(set)
    for id, e in started.items():
        url = re.match(r'http://([^/]*)(/.*)', e['http']['url'])
        key = url[1].split('.')[0], name_of(url[2], payloads)
        end = over.get(id, {})
        if end.get('reason'):
            broken[key] += 1
            if end['reason'] == 'client_lost':  # the sender's patience ended: the origin may have all of it
                left[key].add((e['http']['method'], url[1], url[2]))
        else:
            recorded[key][e['http']['method'], url[1], url[2], end.get('bytes', {}).get('out', 0)] += 1
    bad, n, refused = [], Counter(), 0
    for line in open(answers):
        a = json.loads(line)
        key = a['o'], a['name']
        want = recorded[key]
        got = Counter((r['m'], r['h'].lower(), url_key(r['u']), r['n']) for r in saw[key])
        n[a['o']] += 1
        if a['o'] == 'server':  # knows no chunks: takes none for the body, and refuses what then stands where a request should
            got, want = (Counter(r[:3] for r in c.elements()) for c in (got, want))
        for r in [r for r in got if r[:3] in left[key]]:
            del got[r]
        if got != want:
            bad.append('%s %s: the origin saw %s, recorded is %s' % (*key, sorted(got.elements()), sorted(want.elements())))
        if not a['name'].startswith(HONEST) and sum(want.values()) > 1:
            bad.append('%s %s: %d requests of one' % (*key, sum(want.values())))
        if not want and not broken[key]:
            refused += 1
            if not re.match(r'HTTP/1\.1 (4|5)\d\d (Blocked by egret|egret)', a['got']) and not (a['got'] == '' and a['end'] in ('', 'silence', 'ConnectionResetError')):
                bad.append('%s %s: refused, and the answer is %r' % (*key, a['got'][:80]))
        # An answer that belongs to another payload: connections to an origin are shared by the job's.
        for line in re.findall(r'\n\r?\n?[A-Z]+ (/[^\s]*)\n', a['got']):
            if name_of(line, payloads) not in (a['name'], None):
                bad.append('%s %s: got the answer to %s' % (*key, line))
    for key, rs in saw.items():
        if key[1] not in payloads:
            bad.append('%s saw %s, which nobody sent' % (key[0], [(r['m'], r['u']) for r in rs]))
    print(*bad, sep='\n', end='\n' if bad else '')
    print('compared', sum(n.values()), 'at', len(n), 'origins,', sum(sum(c.values()) for c in recorded.values()), 'recorded,', refused, 'refused,',
          sum(broken.values()), 'broken off')


def corpus(path, kind, to):
    import os
    os.makedirs(to, exist_ok=True)
    for name, b in table(path):
        b = filled(name, b, b'h.test')
        if kind == 'target':
            if not name.startswith('path-'):
                continue
            b = b.split(b' ')[1]
        else:
            b = b'\x01' + b
        open('%s/%s' % (to, name), 'wb').write(b)


if __name__ == '__main__':
    verb, args = sys.argv[1], sys.argv[2:]
    if verb == 'send':
        asyncio.run(send(args[0], args[1:]))
    elif verb in ('server', 'aiohttp'):
        (server if verb == 'server' else aiohttp_server)(args[0], args[1], int(args[2]), args[3])
    else:
        {'splits': splits, 'compare': compare, 'corpus': corpus}[verb](*args)
