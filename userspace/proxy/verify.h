/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is an upstream's certificate good for the name we dialled? OpenSSL's verification with its strict
 * settings on, and on top the rules of RFC 5280 and of the public CAs that OpenSSL 3.0 leaves out.
 * Called by uptls.c from OpenSSL's certificate callback, so that a fault ends the handshake with
 * the right alert. Hostile bytes: every certificate of the peer.
 */
#ifndef EGRET_PROXY_VERIFY_H
#define EGRET_PROXY_VERIFY_H

#include "base/bytes.h"
#include <openssl/types.h>

#define VERIFY_WHY 200

struct verify_want {
	struct str host;     /* canonical; n = 0: the address */
	const uint8_t *addr; /* 16 bytes, mapped form */
	size_t chain_bytes;  /* limits.chain_bytes */
};

/* Runs the whole verification in ctx (leaf, untrusted chain and store set). 0, or -EBADMSG with a
 * sentence in why (VERIFY_WHY bytes; printable ASCII) and ctx's error set. */
int verify_chain(X509_STORE_CTX *ctx, const struct verify_want *want, char *why) MUST_CHECK;

#endif
