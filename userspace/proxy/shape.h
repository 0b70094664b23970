/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives a ClientHello of ours the shape of the client's: highest version (never under TLS 1.2),
 * cipher suites, groups, signature algorithms and ALPN in its order, as far as OpenSSL has them and
 * our own settings allow them. Some upstreams reset what looks odd. Called by dial.c, and by
 * conn.c, which keeps the client's; trusts hello.c for bounds, the numbers are the client's.
 */
#ifndef EGRET_PROXY_SHAPE_H
#define EGRET_PROXY_SHAPE_H

#include "proxy/hello.h"
#include <openssl/types.h>

/* A client's shape is kept as long as a connection of it stands, and once for all that say the
 * same.
 */
const struct hello_shape *shape_hold(const struct hello_shape *shape);
void shape_let_go(const struct hello_shape *held); /* accepts NULL */

/* What cannot be followed stays as it was. Not ALPN. */
void shape_apply(SSL *ssl, const struct hello_shape *shape);

enum shape_h2 {
	SHAPE_H2_FOLLOW, /* as the client: in its order, none if it offered none */
	SHAPE_H2_NEVER,	 /* what is to be sent goes by HTTP/1.1 alone */
	SHAPE_H2_ALWAYS	 /* the upstream refuses whoever does not offer it */
};
/* The client's list of ALPN, as far as we can speak it; NULL: HTTP/1.1. A client of HTTP/2 alone
 * can be served from HTTP/1.1 as well, so that stands behind it. 0 or -EIO. */
int shape_alpn(SSL *ssl, const struct hello_shape *shape, enum shape_h2 how) MUST_CHECK;
/* Would that list name HTTP/2? */
bool shape_offers_h2(const struct hello_shape *shape, enum shape_h2 how);

#endif
