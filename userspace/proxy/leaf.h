/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates that the job sees: one leaf a name, made from the name alone and signed by this
 * job's intermediate. Called by conn.c. One P-256 key pair serves all leaves of a proxy; one
 * SSL_CTX serves all connections.
 */
#ifndef EGRET_PROXY_LEAF_H
#define EGRET_PROXY_LEAF_H

#include "base/bytes.h"
#include "base/secret.h"
#include <openssl/types.h>

struct leaves;

/* cert: the intermediate, DER; key: its private key, DER (PKCS#8 or SEC 1), not kept by reference.
 * 0, -EBADMSG (they do not fit or are no CA), -EIO (OpenSSL). */
int leaves_new(struct str cert, const struct secret *key, size_t cache_max,
	       struct leaves **ret) MUST_CHECK;
/* One more certificate (DER) that is sent in handshakes behind the intermediate: whoever signed the
 * last one. 0 or -EBADMSG. */
int leaves_chain(struct leaves *l, struct str cert) MUST_CHECK;
struct leaves *leaves_free(struct leaves *l); /* NULL */

/* An SSL for a connection of the job, showing `name` (canonical), or the address when name.n is 0
 * (16 bytes, mapped form). 0 or -EIO. */
int leaves_ssl(struct leaves *l, struct str name, const uint8_t *addr, SSL **ret) MUST_CHECK;
/* Before its handshake: HTTP/2 is chosen where the client offers both. Without it only where the
 * client offers nothing else. */
void leaf_prefer_h2(SSL *ssl);
bool leaf_chose_h2(const SSL *ssl); /* after it */
/* The leaf alone, borrowed: valid until the next call. */
int leaves_cert(struct leaves *l, struct str name, const uint8_t *addr, X509 **ret) MUST_CHECK;
size_t leaves_count(const struct leaves *l); /* in the cache */
/* That a client could resume: a bounded number, the oldest go first. All go with l. */
size_t leaves_sessions(const struct leaves *l);

#endif
