#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# WebSockets for tests/e2e/websocket.sh: an echo server (python3-websockets), two clients (that library and aiohttp), and an origin that answers handshakes
# wrongly.
#
#   websocket_peer.py serve ADDRESS CERT KEY
#   websocket_peer.py wrong ADDRESS CERT KEY     by path: /plain (200), /nokey (101 without the answer), /other (101 to something else), /gone (no answer)
#   websocket_peer.py websockets|aiohttp|hold URL
import asyncio
import os
import ssl
import sys

SIZE = 1 << 20


async def serve(address, cert, key):
    import websockets

    async def echo(ws, path=None):
        if ws.path.endswith("/first"):
            await ws.send("the server speaks first")
        async for m in ws:
            await ws.send(m)

    await websockets.serve(echo, address, 443, ssl=tls(cert, key), max_size=None, subprotocols=["chat"])
    await asyncio.Event().wait()


def tls(cert, key):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(cert, key)
    return c


async def wrong(address, cert, key):
    async def one(r, w):
        line = (await r.readuntil(b"\r\n\r\n")).split(b" ")[1]
        if line == b"/plain":
            w.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsecret\n")
        elif line == b"/nokey":
            w.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        elif line == b"/other":
            w.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tunnel\r\n\r\n")
        elif line == b"/denied":
            w.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        await w.drain()
        w.close()

    await asyncio.start_server(one, address, 443, ssl=tls(cert, key))
    await asyncio.Event().wait()


async def with_websockets(url):
    import websockets
    try:
        async with websockets.connect(url, max_size=None, open_timeout=30, subprotocols=["chat"]) as ws:
            if url.endswith("/first"):
                print(await ws.recv())
            for i in range(100):  # there and back: nothing may be held back
                await ws.send(f"message {i}")
                if await ws.recv() != f"message {i}":
                    print("another message")
            big = os.urandom(SIZE)
            await ws.send(big)
            print("same" if await ws.recv() == big else "other", ws.subprotocol)
            await ws.ping()
        print("closed", ws.close_code)
    except websockets.InvalidStatusCode as e:
        print(e)


async def with_aiohttp(url):
    import aiohttp
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=ssl.create_default_context())) as s:
        try:
            async with s.ws_connect(url.replace("wss:", "https:"), max_msg_size=0) as ws:
                for i in range(100):
                    await ws.send_str(f"message {i}")
                    if (await ws.receive_str()) != f"message {i}":
                        print("another message")
                big = os.urandom(SIZE)
                await ws.send_bytes(big)
                print("same" if await ws.receive_bytes() == big else "other")
            print("closed", ws.close_code)
        except aiohttp.WSServerHandshakeError as e:
            print(e.status, e.message)


async def hold(url):
    import websockets
    async with websockets.connect(url, ping_interval=None) as ws:
        await ws.send("up")
        print(await ws.recv(), flush=True)
        try:
            await ws.recv()
        except websockets.ConnectionClosed:
            print("ended", flush=True)


async def rest(url):
    """Says nothing for longer than limits.idle_ms."""
    import websockets
    async with websockets.connect(url, ping_interval=None) as ws:
        await ws.send("up")
        await ws.recv()
        await asyncio.sleep(2.5)
        await ws.send("still there")
        print(await ws.recv(), flush=True)


asyncio.run({"serve": serve, "wrong": wrong, "websockets": with_websockets, "aiohttp": with_aiohttp, "hold": hold,
             "rest": rest}[sys.argv[1]](*sys.argv[2:]))
