#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stands before moto, which verifies no signature: TLS, and each request's signature made again by botocore with the real secret key.

    aws_gate.py ADDRESS PEM KEY MOTO_PORT TOKEN STATE

What AssumeRoleWithWebIdentity gives for TOKEN (once for each, unsigned) is noted in STATE/keys, and no other key is good. A request that is
signed with another one, late, over another body, or whose stream has one wrong chunk gets 403. STATE/log has a line a request.
"""
import hashlib
import hmac
import http.client
import re
import ssl
import sys
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

address, pem, key, moto, token, state = sys.argv[1:7]
keys = {}
lock = threading.Lock()
FORM = re.compile(r"^AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$")
EMPTY = hashlib.sha256(b"").hexdigest()


class Refused(Exception):
    pass


def note(text):
    with lock, open(state + "/log", "a", encoding="utf-8") as f:
        f.write(text + "\n")


def chunks(body):
    """Of aws-chunked: (header line, data) each, and what is behind the last."""
    while True:
        line, _, body = body.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        yield line, body[:size]
        if size == 0:
            yield None, body
            return
        if body[size : size + 2] != b"\r\n":
            raise Refused("a chunk is longer than its size")
        body = body[size + 2 :]


def signing_key(secret, day, region, service):
    k = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request"):
        k = hmac.new(k, part.encode(), hashlib.sha256).digest()
    return k


def check_stream(auth, body, previous, time, k, with_trailer):
    scope = "/".join(auth[1:4]) + "/aws4_request"
    for line, data in chunks(body):
        if line is None:
            break
        text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", time, scope, previous, EMPTY, hashlib.sha256(data).hexdigest()])
        previous = hmac.new(k, text.encode(), hashlib.sha256).hexdigest()
        if line.split(b"chunk-signature=")[1].decode() != previous:
            raise Refused("a chunk's signature is not good")
    if not with_trailer:
        if data != b"\r\n":
            raise Refused("bytes behind the last chunk")
        return
    *fields, last = data.removesuffix(b"\r\n\r\n").split(b"\r\n")
    text = b"".join(f + b"\n" for f in fields)
    text = "\n".join(["AWS4-HMAC-SHA256-TRAILER", time, scope, previous, hashlib.sha256(text).hexdigest()])
    if last != b"x-amz-trailer-signature:" + hmac.new(k, text.encode(), hashlib.sha256).hexdigest().encode():
        raise Refused("the trailers' signature is not good")


class Gate(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def read_body(self):
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                body += self.rfile.read(size)
                if size == 0:
                    while self.rfile.readline() not in (b"\r\n", b""):
                        pass
                    return body
                self.rfile.readline()
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def check(self, body):
        said = self.headers.get_all("authorization") or []
        form = parse_qs(body.decode("latin-1")) if self.headers.get("content-type", "").startswith("application/x-www-form") else {}
        if form.get("Action") == ["AssumeRoleWithWebIdentity"]:
            if said or self.headers.get("x-amz-security-token"):
                raise Refused("AssumeRoleWithWebIdentity is not signed")
            if form.get("WebIdentityToken") != [token]:
                raise Refused("another token than the job's")
            return "assume %s %s" % (form["RoleSessionName"][0], form["DurationSeconds"][0])
        if len(said) != 1 or not FORM.match(said[0]):
            raise Refused("no authorization of AWS4-HMAC-SHA256: %s" % said)
        auth = FORM.match(said[0]).groups()
        access, day, region, service, names, signature = auth
        if access not in keys:
            raise Refused("unknown access key %s" % access)
        secret, session = keys[access]
        if self.headers.get_all("x-amz-security-token") != [session]:
            raise Refused("another session token")
        names = names.split(";")
        must = {n.lower() for n in self.headers if n.lower().startswith("x-amz-")} | {"host"}
        if not must <= set(names):
            raise Refused("not signed: %s" % (must - set(names)))
        time = self.headers["x-amz-date"]
        late = datetime.now(timezone.utc) - datetime.strptime(time, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        if abs(late.total_seconds()) > 300 or time[:8] != day:
            raise Refused("signed at another time")
        said_hash = self.headers.get("x-amz-content-sha256")
        if said_hash and re.match("^[0-9a-f]{64}$", said_hash) and said_hash != hashlib.sha256(body).hexdigest():
            raise Refused("another body")
        request = AWSRequest(method=self.command, url="https://" + self.headers["host"] + self.path, data=body)
        for n in names:
            for v in self.headers.get_all(n) or []:
                request.headers.add_header(n, v)
        maker = S3SigV4Auth if service == "s3" else SigV4Auth
        maker = maker(Credentials(access, secret, session), service, region)
        request.context["timestamp"] = time
        maker.headers_to_sign = lambda r: r.headers
        text = maker.string_to_sign(request, maker.canonical_request(request))
        if maker.signature(text, request) != signature:
            raise Refused("the signature is not good")
        if (said_hash or "").startswith("STREAMING-AWS4"):
            check_stream(auth, body, signature, time, signing_key(secret, day, region, service), said_hash.endswith("TRAILER"))
        return "%s %s %s" % (service, region, said_hash if said_hash and not re.match("^[0-9a-f]{64}$", said_hash) else "hash")

    def remember(self, answer):
        found = [re.search(rb"<%s>([^<]*)</" % n, answer) for n in (b"AccessKeyId", b"SecretAccessKey", b"SessionToken")]
        if all(found):
            access, secret, session = (f.group(1).decode() for f in found)
            with lock:
                keys[access] = (secret, session)
                with open(state + "/keys", "a", encoding="utf-8") as f:
                    f.write("%s %s %s\n" % (access, secret, session))

    def serve(self):
        if self.headers.get("expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self.read_body()
        status, reason, fields = 403, "Forbidden", [("Content-Type", "application/xml")]
        try:
            how = self.check(body)
            if self.path == "/echo":  # as debugging endpoints do, and as S3 writes of a signature that it finds wrong
                session = self.headers["x-amz-security-token"]
                note("echo of a session token of %d" % len(session))
                return self.answer(200, "OK", [], ("%s\n%s\n" % (session, session.encode().hex(" "))).encode())
            c = http.client.HTTPConnection("127.0.0.1", int(moto), timeout=30)
            c.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for n, v in self.headers.items():
                if n.lower() not in ("transfer-encoding", "content-length", "expect", "connection"):
                    c.putheader(n, v)
            c.putheader("Content-Length", str(len(body)))
            c.endheaders(body)
            r = c.getresponse()
            answer = r.read()
            status, reason = r.status, r.reason
            fields = [(n, v) for n, v in r.getheaders() if n.lower() not in ("content-length", "transfer-encoding", "connection")]
            length = r.getheader("content-length")
            if how.startswith("assume"):
                self.remember(answer)
        except Refused as e:
            how = "REFUSED " + str(e)
            answer = b"<Error><Code>SignatureDoesNotMatch</Code><Message>%s</Message></Error>" % str(e).encode()
            if not self.headers.get("host", "").endswith(".s3.eu-west-1.amazonaws.com"):
                answer = b"<ErrorResponse>" + answer + b"</ErrorResponse>"
            length = None
        note("%s %s %s%s %d" % (how, self.command, self.headers.get("host"), self.path.split("?")[0], status))
        self.answer(status, reason, fields, answer, length)

    def answer(self, status, reason, fields, answer, length=None):
        self.send_response_only(status, reason)
        for n, v in fields:
            self.send_header(n, v)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = serve


server = ThreadingHTTPServer((address, 443), Gate)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(pem, key)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
