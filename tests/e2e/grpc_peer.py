#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# A gRPC service with each of the four kinds of call, and its client: grpcio with bytes as messages, so that nothing is generated. For tests/e2e/grpc.sh.
#
#   grpc_peer.py serve ADDRESS:PORT CERT KEY FOLDER
#   grpc_peer.py KIND HOST:PORT FOLDER       unary | client | server | both | large | status | refused | cancel
import os
import sys
import time

import grpc

SERVICE = "egret.test.Echo"


def wait(path):
    end = time.monotonic() + 60
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.02)


def serve(address, cert, key, folder):
    from concurrent import futures

    def unary(m, c):
        c.set_trailing_metadata((("x-sum", str(len(m))),))
        return b"echo " + m

    def status(m, c):
        c.abort(grpc.StatusCode.FAILED_PRECONDITION, "the origin's own words")

    def client(ms, c):
        return b"%d messages" % sum(1 for _ in ms)

    def server(m, c):
        yield b"first"
        wait(folder + "/go.server")  # the client shows the first one before it lets the second come
        yield b"second"

    def both(ms, c):
        for m in ms:
            yield b"echo " + m

    def forever(m, c):
        c.add_callback(lambda: open(folder + "/cancelled", "w").close())
        while c.is_active():
            yield b"more"
            time.sleep(0.05)

    s = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 1 << 26)])
    s.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Status": grpc.unary_unary_rpc_method_handler(status),
        "Client": grpc.stream_unary_rpc_method_handler(client),
        "Server": grpc.unary_stream_rpc_method_handler(server),
        "Both": grpc.stream_stream_rpc_method_handler(both),
        "Forever": grpc.unary_stream_rpc_method_handler(forever),
    }),))
    pair = ((open(key, "rb").read(), open(cert, "rb").read()),)
    s.add_secure_port(address, grpc.ssl_server_credentials(pair))
    s.start()
    s.wait_for_termination()


def call(kind, to, folder):
    options = [("grpc.max_receive_message_length", 1 << 26), ("grpc.enable_retries", 0)]
    # Without a bundle named here grpc reads GRPC_DEFAULT_SSL_ROOTS_FILE_PATH, which is the job's to have.
    ch = grpc.secure_channel(to, grpc.ssl_channel_credentials(), options)
    path = "/" + SERVICE + "/"
    try:
        if kind == "unary":
            r, c = ch.unary_unary(path + "Unary").with_call(b"hello", timeout=30)
            print(r.decode(), dict(c.trailing_metadata()).get("x-sum"))
        elif kind == "large":
            r = ch.unary_unary(path + "Unary")(b"x" * (16 << 20), timeout=60)
            print(len(r))
        elif kind == "status":
            ch.unary_unary(path + "Status")(b"", timeout=30)
        elif kind == "refused":
            ch.unary_unary("/egret.test.Secret/Read")(b"", timeout=30)
        elif kind == "client":
            print(ch.stream_unary(path + "Client")((b"m%d" % i for i in range(1000)), timeout=60).decode())
        elif kind == "server":
            for m in ch.unary_stream(path + "Server")(b"", timeout=60):
                print(m.decode(), flush=True)
                if m == b"first":
                    open(folder + "/go.server", "w").close()
        elif kind == "both":
            import queue
            q = queue.SimpleQueue()
            q.put(b"0")
            n = 0
            for m in ch.stream_stream(path + "Both")(iter(q.get, None), timeout=60):
                # Ping-pong: each answer lets the next message go, so nothing may be held back.
                n += 1
                q.put(b"%d" % n if n < 100 else None)
            print(m.decode(), n)
        elif kind == "cancel":
            it = ch.unary_stream(path + "Forever")(b"")
            print(next(it).decode())
            it.cancel()
            wait(folder + "/cancelled")
            print(os.path.exists(folder + "/cancelled"))
    except grpc.RpcError as e:
        print(e.code().name, e.details())


if sys.argv[1] == "serve":
    serve(*sys.argv[2:])
else:
    call(*sys.argv[1:])
