/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a TLS ClientHello without answering it: which name, which protocols, which versions. Called
 * by peek.c with what MSG_PEEK shows so far; pure, no state between calls. Hostile bytes: all of
 * them (fuzzed by fuzz_hello).
 */
#ifndef EGRET_PROXY_HELLO_H
#define EGRET_PROXY_HELLO_H

#include "base/bytes.h"
#include "policy/policy.h"

enum hello_state {
	HELLO_NOT_TLS, /* the first bytes are no TLS handshake record */
	HELLO_MORE,    /* as far as it goes it is one, but it is not complete */
	HELLO_DONE,
	HELLO_BAD /* it claims to be one and is not, or it cannot be served */
};

/* Protocols that we can speak, as ALPN names them. */
enum hello_alpn { ALPN_H2, ALPN_HTTP11, ALPN_HTTP10, ALPN_KNOWN };

/* What else it offers, in its order, without GREASE; past the bounds the rest is left out.
 * Upstreams are shown the same (shape.h). */
struct hello_shape {
	uint16_t version; /* the highest, 0x0303 = TLS 1.2 */
	uint16_t ciphers[48], groups[16], signatures[32];
	unsigned nciphers, ngroups, nsignatures;
	uint8_t alpn[ALPN_KNOWN]; /* each once */
	unsigned nalpn;
};

struct hello {
	char sni[HOST_MAX + 1]; /* canonical */
	size_t sni_n;		/* 0: none was sent */
	struct hello_shape shape;
	bool alpn;	     /* the extension is there */
	char alpn_first[32]; /* printable, for events */
	bool ech;	     /* encrypted_client_hello: the name may be another one's */
	size_t more;	     /* HELLO_MORE: it cannot be complete before so many more bytes */
	const char *fault;   /* HELLO_BAD: what is wrong with it */
};

bool hello_offers(const struct hello_shape *s, enum hello_alpn one);
/* Its name on the wire. */
struct str hello_alpn_name(enum hello_alpn one);
/* max: the most bytes that a ClientHello may have, records included. *ret is written on HELLO_DONE;
 * ret->fault on HELLO_BAD, ret->more on HELLO_MORE. */
enum hello_state hello_parse(const uint8_t *p, size_t n, size_t max, struct hello *ret);

#endif
