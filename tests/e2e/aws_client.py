#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""In a job: what the CLI does not do. aws_client.py stream|trailer BUCKET KEY FILE: a signed stream with placeholder keys, as SDKs for Java
send it; boto BUCKET: boto3 with nothing configured."""
import datetime
import hashlib
import hmac
import http.client
import json
import ssl
import sys
import zlib
from base64 import b64encode
from urllib.request import urlopen
import os

EMPTY = hashlib.sha256(b"").hexdigest()
CHUNK = 65536


def boto(bucket):
    import boto3

    s3 = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key="from boto/ü +&=.txt", Body=b"said by boto3")
    assert s3.get_object(Bucket=bucket, Key="from boto/ü +&=.txt")["Body"].read() == b"said by boto3"
    names = [o["Key"] for p in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="from boto/") for o in p["Contents"]]
    assert names == ["from boto/ü +&=.txt"], names
    arn = boto3.client("sts").get_caller_identity()["Arn"]
    sm = boto3.client("secretsmanager")
    sm.create_secret(Name="made-by-job", SecretString="x" * 32)
    assert sm.get_secret_value(SecretId="made-by-job")["SecretString"] == "x" * 32
    print("boto3 says", arn)


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256)


def stream(bucket, name, path, trailer):
    keys = json.load(urlopen("http://169.254.170.2" + os.environ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]))
    host = "%s.s3.eu-west-1.amazonaws.com" % bucket
    data = open(path, "rb").read()
    now = datetime.datetime.utcnow().strftime("%Y%m%dT%H%M%SZ")
    scope = now[:8] + "/eu-west-1/s3/aws4_request"
    k = ("AWS4" + keys["SecretAccessKey"]).encode()
    for part in scope.split("/"):
        k = sign(k, part).digest()
    parts = [data[i : i + CHUNK] for i in range(0, len(data), CHUNK)] + [b""]
    length = sum(len("%x;chunk-signature=\r\n" % len(p)) + 64 + len(p) + 2 for p in parts)
    line = b""
    fields = {
        "content-encoding": "aws-chunked",
        "host": host,
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else ""),
        "x-amz-date": now,
        "x-amz-decoded-content-length": str(len(data)),
        "x-amz-security-token": keys["Token"],
    }
    if trailer:
        line = b"x-amz-checksum-crc32:" + b64encode(zlib.crc32(data).to_bytes(4, "big"))
        fields["x-amz-trailer"] = "x-amz-checksum-crc32"
        length += len(line) + 2 + len("x-amz-trailer-signature:") + 64 + 2
    names = ";".join(sorted(fields))
    canonical = "\n".join(["PUT", "/" + name, ""] + ["%s:%s" % f for f in sorted(fields.items())] + ["", names, fields["x-amz-content-sha256"]])
    previous = sign(k, "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])).hexdigest()
    fields["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (keys["AccessKeyId"], scope, names, previous)
    fields["content-length"] = str(length)
    c = http.client.HTTPSConnection(host, context=ssl.create_default_context())
    c.putrequest("PUT", "/" + name, skip_host=True, skip_accept_encoding=True)
    for f in fields.items():
        c.putheader(*f)
    c.endheaders()
    for p in parts:
        previous = sign(k, "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", now, scope, previous, EMPTY, hashlib.sha256(p).hexdigest()])).hexdigest()
        c.send(b"%x;chunk-signature=%s\r\n" % (len(p), previous.encode()) + p + (b"" if not p and trailer else b"\r\n"))
    if trailer:
        t = sign(k, "\n".join(["AWS4-HMAC-SHA256-TRAILER", now, scope, previous, hashlib.sha256(line + b"\n").hexdigest()])).hexdigest()
        c.send(line + b"\r\nx-amz-trailer-signature:" + t.encode() + b"\r\n\r\n")
    r = c.getresponse()
    print(r.status, r.read().decode()[:300])


if sys.argv[1] == "boto":
    boto(sys.argv[2])
else:
    stream(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[1] == "trailer")
