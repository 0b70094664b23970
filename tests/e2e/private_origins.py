#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Private servers for tests/e2e/private.sh, each strict about its credential: a token server for docker-registry (its JWT signed with
openssl), an index that takes uploads as PyPI does, GitHub's API for one repository, and Git LFS (docs/api/batch.md) whose objects lie on another
host, behind a header of its own for uploads, which a third one confirms as GitHub's does, and a signed link for downloads. Over TLS, on the names of DIR/auth.pem.
Arguments: DIR ADDRESS. DIR/secret holds what must come; DIR/served.log gets a line a request that was served, DIR/handed.out what was handed out."""
import base64, email, hashlib, http.server, json, os, ssl, subprocess, sys, time, urllib.parse

top, address = sys.argv[1:3]
secret = open(top + "/secret").read()


def b64(b):
    return base64.urlsafe_b64encode(b).rstrip(b"=").decode()


def jwt(scopes):
    der = ssl.PEM_cert_to_DER_cert(open(top + "/tokens.pem").read())
    access = []
    for s in scopes:
        kind, name, actions = s.split(":")
        access.append({"type": kind, "name": name, "actions": actions.split(",")})
    now = int(time.time())
    head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
    body = {"iss": "tokens", "sub": "robot", "aud": "reg.test", "exp": now + 300, "nbf": now - 5, "iat": now, "jti": os.urandom(8).hex(), "access": access}
    text = b64(json.dumps(head).encode()) + "." + b64(json.dumps(body).encode())
    sig = subprocess.run(["openssl", "dgst", "-sha256", "-sign", top + "/tokens.key"], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout
    return text + "." + b64(sig)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def say(self, status, body, *fields):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for k, v in fields:
            self.send_header(k, v)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def served(self, *words):
        with open(top + "/served.log", "a") as f:
            print(*words, file=f)

    def handed(self, secret):
        with open(top + "/handed.out", "a") as f:
            print(secret, file=f)
        return secret

    def batch(self, body):
        ask, objects = json.loads(body), []
        for o in ask["objects"]:
            link, actions, there = "https://store.test/lfs/" + o["oid"], {}, os.path.exists(top + "/lfs/" + o["oid"])
            if ask["operation"] == "upload" and not there:
                head = {"Authorization": "Bearer " + self.handed("up-" + o["oid"] + os.urandom(8).hex())}
                actions = {"upload": {"href": link, "header": head}, "verify": {"href": "https://up.test/lfs/" + o["oid"] + "/verify", "header": {"Authorization": "RemoteAuth " + self.handed("up-" + o["oid"] + os.urandom(8).hex())}}}
            elif ask["operation"] == "download" and there:
                actions = {"download": {"href": link + "?X-Amz-Signature=" + self.handed("down-" + o["oid"] + os.urandom(8).hex()) + "&part=1"}}
            objects.append({"oid": o["oid"], "size": o["size"], "actions": actions})
        self.served("lfs", ask["operation"], len(objects))
        self.say(200, {"transfer": "basic", "objects": objects})

    def may_lfs(self, how, oid, given):
        return given.startswith(how + "-" + oid) and given in open(top + "/handed.out").read().split("\n")

    def do_PUT(self):
        oid, body = self.path[len("/lfs/") :], self.rfile.read(int(self.headers["Content-Length"]))
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if hashlib.sha256(body).hexdigest() != oid or not self.may_lfs("up", oid, given):
            return self.say(403, {"message": "not with this"})
        os.makedirs(top + "/lfs", exist_ok=True)
        open(top + "/lfs/" + oid, "wb").write(body)
        self.served("lfs stored", oid)
        self.say(200, b"")

    def basic(self, user):
        want = "Basic " + base64.b64encode((user + ":" + secret).encode()).decode()
        return self.headers.get_all("Authorization") == [want]

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        q = urllib.parse.parse_qs(url.query)
        if url.path.startswith("/lfs/"):
            oid = url.path[len("/lfs/") :]
            if q.get("part") != ["1"] or self.headers.get("Authorization") or not self.may_lfs("down", oid, q.get("X-Amz-Signature", [""])[0]):
                return self.say(403, {"message": "not with this"})
            self.served("lfs fetched", oid)
            return self.say(200, open(top + "/lfs/" + oid, "rb").read())
        if url.path == "/token":
            if not self.basic("robot") or q.get("service") != ["reg.test"]:
                return self.say(401, {"errors": [{"code": "UNAUTHORIZED"}]})
            scopes = [s for one in q.get("scope", []) for s in one.split(" ")]
            self.served("token", *scopes)
            t = self.handed(jwt(scopes))
            return self.say(200, {"token": t, "access_token": t, "expires_in": 300})
        if url.path == "/repos/acme/web" and self.headers.get("Host") == "api.github.com":
            if self.headers.get_all("Authorization") not in (["Bearer " + secret], ["token " + secret]):
                return self.say(401, {"message": "Bad credentials"})
            self.served("api", self.headers.get("User-Agent", "-").split(" ")[0])
            return self.say(200, {"full_name": "acme/web", "private": True})
        self.say(404, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/lfs/"):
            oid = self.path.split("/")[2]
            good = self.headers.get("Host") == "up.test" and self.may_lfs("up", oid, self.headers.get("Authorization", "").removeprefix("RemoteAuth "))
            if good:
                self.served("lfs verified", oid)
            return self.say(200 if good else 403, b"")
        if self.path.startswith("/web.git/info/lfs/"):
            if not self.basic("x-access-token"):
                return self.say(401, {"message": "Credentials needed"}, ("WWW-Authenticate", 'Basic realm="lfs"'))
            return self.batch(body) if self.path.endswith("/objects/batch") else self.say(404, {"message": "no locks here"})
        if self.path != "/legacy/" or not self.basic("__token__"):
            return self.say(403, {"message": "Invalid or non-existent authentication information."})
        head = b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n"
        fields = {p.get_param("name", header="content-disposition"): p.get_payload(decode=True) for p in email.message_from_bytes(head + body).get_payload()}
        if fields.get(":action") != b"file_upload" or fields["sha256_digest"].decode() != hashlib.sha256(fields["content"]).hexdigest():
            return self.say(400, {"message": "what was uploaded is not whole"})
        self.served("upload", fields["name"].decode(), fields["version"].decode())
        self.say(200, b"")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
ctx.load_cert_chain(top + "/auth.pem", top + "/auth.key")
s = Server((address, 443), Handler)
s.socket = ctx.wrap_socket(s.socket, server_side=True, do_handshake_on_connect=False)
s.serve_forever()
