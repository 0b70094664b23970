#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# An origin that speaks when it is told to: nothing is timed, a file in its folder says go on. For tests/e2e/streams.sh.
#
#   stream_origin.py ADDRESS CERT KEY FOLDER
#
#   GET  /events/NAME   server-sent events: the second one is sent when FOLDER/go.NAME exists
#   GET  /poll/NAME     no byte of an answer before FOLDER/go.NAME exists
#   POST /up/NAME       FOLDER/seen.NAME is made when the body's first piece is there; the answer is the body's size
import http.server
import os
import ssl
import sys
import time

address, cert, key, folder = sys.argv[1:]


def wait(name):
    end = time.monotonic() + 60
    while not os.path.exists(f"{folder}/go.{name}") and time.monotonic() < end:
        time.sleep(0.02)


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def chunk(self, b):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(b), b))
        self.wfile.flush()

    def do_GET(self):
        kind, name = self.path.strip("/").split("/")
        if kind == "poll":
            open(f"{folder}/asked.{name}", "w").close()
            wait(name)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.chunk(b"data: first\n\n")
        if kind == "events":
            wait(name)
        self.chunk(b"data: second\n\n")
        self.chunk(b"")

    def do_POST(self):
        name = self.path.rsplit("/", 1)[1]
        total = 0
        while True:
            n = int(self.rfile.readline(), 16)
            b = self.rfile.read(n)
            self.rfile.readline()
            total += n
            if not n:
                break
            open(f"{folder}/seen.{name}", "w").close()
        b = b"%d bytes\n" % total
        self.send_response(200)
        self.send_header("Content-Length", str(len(b)))
        self.end_headers()
        self.wfile.write(b)


server = http.server.ThreadingHTTPServer((address, 443), Origin)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
