/* SPDX-License-Identifier: Apache-2.0 */
/* TLS towards upstreams: one context for this proxy, sessions kept for this job, every certificate
 * judged by verify.c. Called by dial.c. */
#ifndef EGRET_PROXY_UPTLS_H
#define EGRET_PROXY_UPTLS_H

#include "proxy/clientcert.h"
#include <openssl/types.h>

struct uptls;
/* Takes over the descriptors of the roots. Cheap: the context is made when first used. */
struct uptls *uptls_new(const int *root_fds, unsigned nroots, size_t chain_bytes);
struct uptls *uptls_free(struct uptls *u); /* NULL; every SSL of it must be gone */

/* An SSL for a handshake over fd, without ALPN. host canonical, or n = 0 and addr (16 bytes). cert
 * is shown to who asks for one; NULL: none. 0 or -EIO. */
int uptls_ssl(struct uptls *u, int fd, struct str host, const uint8_t *addr, uint16_t port,
	      const struct client_cert *cert, SSL **ret) MUST_CHECK;
/* What verification found wrong, or "". Borrowed from the SSL. */
const char *uptls_why(const SSL *ssl);
/* In clear (NULL) or without a word for it: NULL. Else why the peer ended it, behind "it" or "the
 * server": it demands a client certificate, or does not take the one that it was shown. */
const char *uptls_lost(const SSL *ssl);
bool uptls_chose_h2(const SSL *ssl); /* after a handshake: does it speak HTTP/2? */
/* After a handshake: was the certificate verified for the host? */
bool uptls_verified(const SSL *ssl);
/* What OpenSSL does once a process, and each context once, is done now: a handshake in memory with
 * `server`, which has no socket and is freed, and a record from it. Nothing of it is kept. */
void uptls_warm(struct uptls *u, SSL *server);

#endif
