/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests over https, on our loop: TLS verified against the roots given, no redirect, no proxy but
 * the configuration's (by CONNECT), no answer larger than was asked for, all of it before a
 * deadline. Connections are kept for the next request. Names are looked up here and given to
 * libcurl, which would start a thread for it. Called by egret-identity and egret-provider. Hostile
 * bytes: what nameservers, a parent proxy and servers answer.
 */
#ifndef EGRET_FETCH_FETCH_H
#define EGRET_FETCH_FETCH_H

#include "base/bytes.h"
#include "base/loop.h"

#define FETCH_SIZE_MAX 65536
#define FETCH_MS 10000
#define FETCH_HEADERS_MAX 16

struct fetch;
struct fetching;

/* What a process asks with; the texts must outlive it. As proxies do it (proxy/parent.h), names go
 * by the parent, and addresses, `hosts` and what no_proxy covers do not. */
struct fetch_names {
	const struct str *hosts;       /* "name=ip,ip": not looked up */
	const struct str *nameservers; /* "ip", "ip:port" */
	const struct str *no_proxy;
	unsigned nhosts, nnameservers, nno_proxy;
	struct str proxy; /* "http://HOST:PORT": a parent; n = 0: none */
};
/* Who is believed, and who we are. */
struct fetch_trust {
	struct str roots;     /* PEM; parsed once */
	struct str cert, key; /* PEM of a client certificate, or empty */
};
struct fetch_ask {
	const char *method, *url;
	const char *headers[FETCH_HEADERS_MAX]; /* "Name: value"; NULL ends it */
	struct str body;
	size_t size_max; /* of the answer; 0: FETCH_SIZE_MAX */
	uint64_t ms;	 /* 0: FETCH_MS */
};
struct fetch_answer {
	int err;	 /* 0: the server answered; else -errno and why */
	const char *why; /* a sentence without the address */
	long status;
	struct str head, body; /* gone when the callback returns; head: lines as they came */
};
typedef void (*fetch_fn)(void *owner, const struct fetch_answer *a);

/* Before the jail. 0 or -EIO. */
int fetch_early(void) MUST_CHECK;
/* One a process: a second one would want a seed from a file. */
struct fetch *fetch_new(struct loop *l, const struct fetch_names *names);
struct fetch *fetch_free(struct fetch *f); /* NULL; accepts NULL; what is asked is dropped */
/* From the next request on; connections made for others are not used again. Bytes that were given
 * before change nothing. 0, or -EINVAL with a sentence. */
int fetch_trust(struct fetch *f, const struct fetch_trust *t, char *why, size_t n) MUST_CHECK;
/* All of the ask is copied. fn is never called from inside. 0, or -EINVAL: no https address. */
int fetch_start(struct fetch *f, const struct fetch_ask *q, fetch_fn fn, void *owner) MUST_CHECK;
/* One document, waited for on f's loop: 0 with its bytes in ret and, unless it is NULL, its head's
 * in head; or -errno with a sentence that begins with the address. */
int fetch_get(struct loop *l, struct fetch *f, const char *url, uint64_t ms, struct buf *ret,
	      struct buf *head, char *why, size_t n) MUST_CHECK;
/* Walks the fields of this name (lower or upper case) in a head, without blanks around them. Start
 * with *at = 0. */
bool fetch_each_field(struct str head, const char *name, size_t *at, struct str *ret);

#endif
