/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Signature Version 4: what is signed, with which key, and what the client said of its own
 * signature. Pure: bytes in, bytes out. The broker derives keys, a provider signs its question with
 * one, the proxy signs a job's requests anew. Nothing of a request is copied on the way into the
 * hash, so that session tokens stay where they are.
 */
#ifndef EGRET_SIGV4_SIGV4_H
#define EGRET_SIGV4_SIGV4_H

#include "base/bytes.h"
#include "http/head.h"

#define SIGV4_KEY 32
#define SIGV4_HEX 64	   /* a hash or a signature, without the NUL */
#define SIGV4_TIME 16	   /* "20261122T214000Z" */
#define SIGV4_SCOPE_MAX 96 /* "20261122/eu-west-1/s3" */
#define SIGV4_FIELDS_MAX 128u
#define SIGV4_QUERY_MAX 512u
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

struct sigv4_scope {
	struct str date, region, service;
};

/* "yyyymmdd/region/service": 0, -EINVAL. */
int sigv4_scope_parse(struct str text, struct sigv4_scope *ret) MUST_CHECK;
/* "20261122T214000Z" of a time (wall, us). */
void sigv4_time(uint64_t wall_us, char ret[SIGV4_TIME + 1]);
int sigv4_hash(struct str bytes, char ret[SIGV4_HEX + 1]) MUST_CHECK; /* 0, -EIO */

/* The key for one day, region and service: all that a signer of that scope needs, and good for no
 * other. 0, -EINVAL (the scope), -EIO. */
int sigv4_key(struct str secret_access_key, struct str scope, uint8_t ret[SIGV4_KEY]) MUST_CHECK;

/* What is signed: all of `fields`, in any order, names in lower case, `host` among them. */
struct sigv4_request {
	struct str method;
	struct str path;  /* as it is sent */
	struct str query; /* as it is sent, without '?' */
	const struct field *fields;
	size_t n;
	struct str payload; /* the body's hash, or the word that stands for it */
	bool s3;	    /* S3's rules: the path is encoded once and not normalised */
};

/* The canonical request as text; for tests, since it holds what the fields hold. 0, -E2BIG (too
 * many fields or query parts), -EMSGSIZE. */
int sigv4_canonical(const struct sigv4_request *r, struct buf *to) MUST_CHECK;
/* ret: the signature in hex. 0, -E2BIG, -EINVAL (the scope), -EIO. */
int sigv4_sign(const struct sigv4_request *r, const uint8_t key[SIGV4_KEY], const char *time,
	       struct str scope, char ret[SIGV4_HEX + 1]) MUST_CHECK;
/* The Authorization field's value of that signature. 0, -E2BIG, -EMSGSIZE. */
int sigv4_authorization(const struct sigv4_request *r, struct str access_key, struct str scope,
			const char *signature, struct buf *to) MUST_CHECK;

/* An Authorization field as a client wrote it. */
struct sigv4_said {
	struct str access_key;
	struct str scope; /* "yyyymmdd/region/service" */
	struct sigv4_scope parts;
	struct str signature;
};
/* 0; -EINVAL: it is no AWS4-HMAC-SHA256 authorization, or not well formed. */
int sigv4_read(struct str authorization, struct sigv4_said *ret) MUST_CHECK;

#endif
