#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Messages that end otherwise than they should, for ends.sh: an origin that ends them so, and a client that says how they came.

  serve ADDRESS CERT KEY FOLDER
  cut|unasked|gone|killed HOST [FOLDER]    prints a line a case

The origin does what the path says; it notes in FOLDER/log how its connections end.
"""
import os
import socket
import ssl
import struct
import sys
import threading
import time


def until(s, mark=b"\r\n\r\n"):
    got = b""
    while mark not in got:
        part = s.recv(65536)
        if not part:
            break
        got += part
    return got


# ---- the origin ----

def wait(name, seconds=20):
    end = time.monotonic() + seconds
    while not os.path.exists(name) and time.monotonic() < end:
        time.sleep(0.02)


def abort(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(s.detach())


def serve(address, cert, key, folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server((address, 443))
    log = open(folder + "/log", "a", buffering=1)

    def one(c):
        try:
            s = context.wrap_socket(c, server_side=True, suppress_ragged_eofs=False)
            while exchange(s):
                pass
        except OSError as e:
            log.write("failed %s\n" % e)

    def exchange(s):
        head = until(s)
        if not head:
            return False
        path = head.split()[1].decode().strip("/")
        log.write("asked %s\n" % path)
        if path == "early":  # answers behind the head and is gone; what it did not read makes a reset of that
            s.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 6\r\nConnection: close\r\n\r\nlarge\n")
            time.sleep(0.2)
            os.close(s.detach())
        elif path == "unasked":  # a final answer to who waits for the word to go on
            s.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            return True
        elif path.startswith("cut-"):
            s.sendall(b"HTTP/1.1 200 OK\r\n" + {
                "cut-length": b"Content-Length: 10\r\n\r\n12345",
                "cut-chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
                "cut-open": b"\r\n12345", "cut-reset": b"\r\n12345"}[path])
            time.sleep(0.2)
            if path == "cut-reset":
                abort(s)
            else:
                os.close(s.detach())  # TLS is not told
        elif path == "whole-open":
            s.sendall(b"HTTP/1.1 200 OK\r\n\r\n12345")
            s.unwrap()
        elif path == "never":
            try:
                s.recv(1)
            except OSError:
                pass
            log.write("never ended\n")
        return False

    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


# ---- the client ----

def connect(host):
    context = ssl.create_default_context()
    return context.wrap_socket(socket.create_connection((host, 443), 20), server_hostname=host, suppress_ragged_eofs=False)


def rest(s):
    got = b""
    try:
        while True:
            part = s.recv(65536)
            if not part:
                return got, "end"
            got += part
    except socket.timeout:
        return got, "open"
    except OSError as e:
        return got, type(e).__name__


def say(name, got, how):
    print(name, got.replace(b"\r\n", b"|").decode("latin-1"), how, flush=True)


def get(host, path, method="GET", more=""):
    s = connect(host)
    s.sendall(("%s /%s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method, path, host, more)).encode())
    return s


def main(what, host, folder=None):
    if what == "cut":
        for path in ("cut-length", "cut-chunked", "cut-open", "cut-reset", "whole-open"):
            s = get(host, path)
            s.settimeout(3)
            say(path, *rest(s))
    elif what == "unasked":
        s = get(host, "unasked", "POST", "Expect: 100-continue\r\nContent-Length: 5\r\n")
        s.settimeout(20)
        say("unasked", *rest(s))
    elif what == "gone":
        abort(asked(host, folder))
        stay("gone", folder)
    elif what == "killed":
        child = os.fork()
        if not child:
            s = asked(host, folder)
            os.kill(os.getpid(), 9)
        os.waitpid(child, 0)
        stay("killed", folder)


def asked(host, folder):
    """A request that the origin has and never answers."""
    before = open(folder + "/log").read().count("asked never")
    s = get(host, "never")
    while open(folder + "/log").read().count("asked never") == before:
        time.sleep(0.02)
    return s


def stay(what, folder):
    """The job goes on until it is told."""
    wait(folder + "/over", 30)
    print(what, "first" if os.path.exists(folder + "/over") else "never", flush=True)


if sys.argv[1] == "serve":
    serve(*sys.argv[2:])
else:
    main(*sys.argv[1:])
