/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request's head to what is decided about: whom it is for, in canonical form, and the
 * verdict. Pure but for the policy images; reads a head that h1.c has parsed, and trusts nothing
 * else in it.
 */
#ifndef EGRET_PROXY_REQUEST_H
#define EGRET_PROXY_REQUEST_H

#include "http/head.h"
#include "proxy/proxy.h"

/* Why a request is refused before, or beside, policy. */
struct request_fault {
	unsigned status;
	enum reason reason;
	char sentence[256]; /* printable ASCII */
};

struct request {
	struct origin origin; /* the connection's, with the name that this request gave it where it
				 had none */
	struct target target; /* in the session's buffer: matched and sent */
	struct request_query q;
	bool websocket;		  /* its handshake, well formed */
	char host[HOST_MAX + 64]; /* the Host field as it is sent: canonical name or address, port
				     if it was given */
	size_t host_n;
	size_t name_n; /* of host, without the port */
	struct verdict verdict;
	const struct policy *policy; /* whose verdict it is */
	char id[27];		     /* request id, sortable by time; "" until request_id */
};

/* CONNECT for an explicit proxy: the authority. false: *f says why. */
bool request_connect(const struct origin *o, const struct head *h, struct request *ret,
		     struct request_fault *f);
/* Checks the head, takes out what must not go on (onward.h), fills *ret up to the query. to holds
 * the canonical target; it is emptied first. */
bool request_read(const struct origin *o, bool tls, struct head *h, struct buf *to,
		  struct request *ret, struct request_fault *f);
void request_fault(struct request_fault *f, unsigned status, enum reason r, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
void request_id(struct request *r);
/* "https://host:port/path?name&name": query names without values. */
int request_url(const struct request *r, struct buf *to) MUST_CHECK;
/* "POST api.github.com/gists", as refusals say it. */
int request_brief(const struct request *r, struct buf *to) MUST_CHECK;

#endif
