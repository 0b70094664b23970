/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives a ClientHello of ours the shape of the client's: highest version (never under TLS 1.2),
 * cipher suites, groups and signature algorithms in its order, as far as OpenSSL has them and our
 * own settings allow them. Some upstreams reset what looks odd. Called by dial.c; trusts hello.c
 * for bounds, the numbers are the client's.
 */
#ifndef EGRET_PROXY_SHAPE_H
#define EGRET_PROXY_SHAPE_H

#include "proxy/hello.h"
#include <openssl/types.h>

/* What cannot be followed stays as it was. */
void shape_apply(SSL *ssl, const struct hello_shape *shape);

#endif
