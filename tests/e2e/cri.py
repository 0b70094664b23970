#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The calls that a kubelet makes of a container runtime (CRI v1, gRPC over a unix socket), in its place: protobuf by hand, HTTP/2 by curl.

  cri.py SOCKET pod NAMESPACE NAME UID CGROUP_PARENT HANDLER [host]     RunPodSandbox: its id
  cri.py SOCKET container POD IMAGE NAME NAMESPACE PODNAME UID CGROUP_PARENT COMMAND...     CreateContainer: its id
  cri.py SOCKET start|remove CONTAINER; stop CONTAINER; exec CONTAINER COMMAND...; stop-pod|remove-pod POD
CAPS in the environment: capabilities that a container has besides. An error of the runtime's goes to stderr, status 1.
"""
import os
import struct
import subprocess
import sys
import tempfile
import urllib.parse

SOCK, VERB, ARGS = sys.argv[1], sys.argv[2], sys.argv[3:]


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    at, out = 0, {}

    def number():
        nonlocal at
        n = shift = 0
        while True:
            b = data[at]
            at += 1
            n |= (b & 127) << shift
            shift += 7
            if b < 128:
                return n

    while at < len(data):
        key = number()
        if key & 7 == 0:
            out[key >> 3] = number()
        else:
            n = number()
            out[key >> 3] = data[at : at + n]
            at += n
    return out


def call(method, message):
    with tempfile.NamedTemporaryFile() as head:
        r = subprocess.run(
            ["curl", "-sS", "--http2-prior-knowledge", "--unix-socket", SOCK, "--max-time", "60", "-D", head.name, "-X", "POST"]
            + ["-H", "Content-Type: application/grpc", "-H", "TE: trailers", "--data-binary", "@-"]
            + ["http://localhost/runtime.v1.RuntimeService/" + method],
            input=struct.pack(">BI", 0, len(message)) + message,
            stdout=subprocess.PIPE,
            check=True,
        )
        words = dict(line.rstrip("\r\n").split(": ", 1) for line in open(head.name) if ": " in line)
    if words.get("grpc-status") != "0":
        sys.exit(method + ": " + urllib.parse.unquote(words.get("grpc-message", "no answer")))
    return fields(r.stdout[5:])


def pod_config(namespace, name, uid, parent, host=False):
    meta = field(1, name) + field(2, uid) + field(3, namespace)
    labels = {"io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": namespace, "io.kubernetes.pod.uid": uid}
    options = field(1, field(1, 2 if host else 0))
    linux = field(1, parent) + field(2, options)
    return (
        field(1, meta)
        + field(2, "" if host else name)
        + b"".join(field(6, field(1, k) + field(2, v)) for k, v in labels.items())
        # A pod's own annotation that says it is somebody else: the runtime must not hand it on.
        + field(7, field(1, "io.kubernetes.cri.sandbox-namespace") + field(2, "kube-system"))
        + field(8, linux)
    )


if VERB == "pod":
    handler = ARGS[4]
    answer = call("RunPodSandbox", field(1, pod_config(*ARGS[:4], host="host" in ARGS[5:])) + field(2, handler))
    print(answer[1].decode())
elif VERB == "container":
    pod, image, name, namespace, podname, uid, parent = ARGS[:7]
    added = b"".join(field(1, c.removeprefix("CAP_")) for c in os.environ.get("CAPS", "").split())
    security = field(2, field(1, added) + field(3, field(2, 1)))
    config = field(1, field(1, name)) + field(2, field(1, image)) + b"".join(field(3, a) for a in ARGS[7:]) + field(15, security)
    answer = call("CreateContainer", field(1, pod) + field(2, config) + field(3, pod_config(namespace, podname, uid, parent)))
    print(answer[1].decode())
elif VERB == "start":
    call("StartContainer", field(1, ARGS[0]))
elif VERB == "stop":
    call("StopContainer", field(1, ARGS[0]))
elif VERB == "remove":
    call("RemoveContainer", field(1, ARGS[0]))
elif VERB == "exec":
    answer = call("ExecSync", field(1, ARGS[0]) + b"".join(field(2, a) for a in ARGS[1:]) + field(3, 30))
    sys.stdout.buffer.write(answer.get(1, b"") + answer.get(2, b""))
    sys.exit(answer.get(3, 0) and 1)
elif VERB == "stop-pod":
    call("StopPodSandbox", field(1, ARGS[0]))
elif VERB == "remove-pod":
    call("RemovePodSandbox", field(1, ARGS[0]))
else:
    sys.exit("no such call: " + VERB)
