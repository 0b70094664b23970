#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in of a CI server's token service for tests: oidc_standin.py ADDRESS CERT KEY ISSUER CLAIMS.json SIGNKEY
/token?audience=A (bearer "ask") gives { "value": JWT } with the claims, RS256 by openssl; discovery and keys beside it."""
import base64, http.server, json, ssl, subprocess, sys, time, urllib.parse, uuid

address, cert, key, issuer, claims, signkey = sys.argv[1:]


def b64(b):
    return base64.urlsafe_b64encode(b).rstrip(b"=").decode()


def modulus():
    out = subprocess.run(["openssl", "rsa", "-in", signkey, "-noout", "-modulus"], capture_output=True, check=True).stdout.decode()
    return bytes.fromhex(out.strip().split("=")[1])


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a):
        pass

    def say(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path.endswith("/.well-known/openid-configuration"):
            return self.say({"issuer": issuer, "jwks_uri": issuer + "/jwks", "id_token_signing_alg_values_supported": ["RS256"]})
        if url.path == "/jwks":
            return self.say({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k1", "n": b64(modulus()), "e": "AQAB"}]})
        query = urllib.parse.parse_qs(url.query)
        if url.path != "/token" or self.headers.get("Authorization") != "bearer ask" or "audience" not in query:
            return self.say({"error": "no"}, 403)
        now = int(time.time())
        body = dict(json.load(open(claims)), iss=issuer, aud=query["audience"][0], iat=now, nbf=now, exp=now + 300, jti=str(uuid.uuid4()))
        text = b64(json.dumps({"alg": "RS256", "typ": "JWT", "kid": "k1"}).encode()) + "." + b64(json.dumps(body).encode())
        sign = subprocess.run(["openssl", "dgst", "-sha256", "-sign", signkey], input=text.encode(), capture_output=True, check=True).stdout
        self.say({"value": text + "." + b64(sign)})


server = http.server.ThreadingHTTPServer((address, 443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
