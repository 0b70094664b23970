#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for egretd on the control socket: answers MSG_PREPARE and MSG_JOIN as a file says, and writes down what was asked.
Only for tests of egret-runc alone; message and tag numbers are read from base/proto.h, so that they cannot differ from it.

  oci_standin.py PROTO_H RUN_DIR FOLDER

FOLDER/answer: one word a line: job | nobody | fail TEXT | slow | garbage | drop | raw | hide | set NAME=VALUE | join-fail TEXT; read anew
for each question. FOLDER holds ca.pem, bundle.pem, trust.p12; FOLDER/asked gets a line a question.
"""
import array, os, re, socket, struct, sys, time

proto, run_dir, folder = sys.argv[1:]


def numbers(name):
    text = re.sub(r"/\*.*?\*/", "", open(proto).read(), flags=re.S)
    body = re.search(r"enum %s \{(.*?)\}" % name, text, re.S).group(1)
    out, n = {}, 0
    for item in body.split(","):
        item = item.strip()
        if not item:
            continue
        if "=" in item:
            item, value = [s.strip() for s in item.split("=")]
            n = int(value)
        out[item] = n
        n += 1
    return out


TYPE, TAG = numbers("proto_type"), numbers("proto_tag")
TYPE_NAME = {v: k for k, v in TYPE.items()}
TAG_NAME = {v: k for k, v in TAG.items()}
NUMBERS = {"TAG_FLAGS", "TAG_PID"}


def parse(data):
    kind, count, ident = struct.unpack_from("<HHI", data)
    at, fields = 8, []
    for _ in range(count):
        tag, n = struct.unpack_from("<HH", data, at)
        value = data[at + 4 : at + 4 + n]
        name = TAG_NAME.get(tag, str(tag))
        fields.append((name, str(struct.unpack("<Q", value)[0]) if name in NUMBERS else value.decode()))
        at += 4 + n
    return TYPE_NAME.get(kind, str(kind)), ident, fields


def frame(kind, ident, fields):
    body = b"".join(struct.pack("<HH", TAG[t], len(v)) + v for t, v in fields)
    return struct.pack("<HHI", TYPE[kind], len(fields), ident) + body


def answer(kind, ident, asked, lines):
    words = [l.split(" ", 1) for l in lines if l]
    first = {w[0]: w[1] if len(w) > 1 else "" for w in words}
    fields, fds = [], []
    if "slow" in first:
        time.sleep(float(first["slow"] or 60))
    if "fail" in first:
        return frame("MSG_FAILED", ident, [("TAG_TEXT", first["fail"].encode())]), []
    if kind == "MSG_JOIN":
        if "join-fail" in first:
            return frame("MSG_FAILED", ident, [("TAG_TEXT", first["join-fail"].encode())]), []
        return frame("MSG_OK", ident, [("TAG_JOB_NAME", b"j-00000001")] if "job" in first else []), []
    if "garbage" in first:
        return b"\x01\x02\x03", []
    flags = (1 if "raw" in first else 0) | (4 if "hide" in first else 0)
    fields.append(("TAG_FLAGS", struct.pack("<Q", flags)))
    if "job" in first:
        fields.append(("TAG_JOB_NAME", b"j-00000001"))
        if not any(t == "TAG_FLAGS" and int(v) & 1 for t, v in asked):
            for tag, name in (("TAG_FD_CA", "ca.pem"), ("TAG_FD_BUNDLE", "bundle.pem"), ("TAG_FD_P12", "trust.p12")):
                fields.append((tag, bytes([len(fds)])))
                fds.append(os.open(os.path.join(folder, name), os.O_RDONLY))
        fields.append(("TAG_SETENV", b"EGRET_JOB=j-00000001"))
        fields += [("TAG_SETENV", w[1].encode()) for w in words if w[0] == "set"]
    return frame("MSG_PREPARED", ident, fields), fds


path = os.path.join(run_dir, "control.sock")
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind(path)
server.listen(16)
while True:
    client, _ = server.accept()
    data = client.recv(65536)
    if data:
        kind, ident, asked = parse(data)
        with open(os.path.join(folder, "asked"), "a") as f:
            f.write(kind + " " + " ".join("%s=%s" % a for a in asked) + "\n")
        lines = open(os.path.join(folder, "answer")).read().splitlines()
        if "drop" not in lines:
            out, fds = answer(kind, ident, asked, lines)
            try:
                client.sendmsg([out], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
            except OSError:
                pass
            for fd in fds:
                os.close(fd)
    client.close()
