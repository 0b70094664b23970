/* SPDX-License-Identifier: Apache-2.0 */
/* What connections have in common: a PEM bundle, parsed once, and what OpenSSL makes when it is
 * first needed. Called by fetch.c; the bundle is root's. */
#ifndef EGRET_FETCH_ROOTS_H
#define EGRET_FETCH_ROOTS_H

#include "base/bytes.h"

/* Ciphers, groups and their keys are looked up now, and not by the first connection. 0 or -EIO. */
int roots_early(void) MUST_CHECK;
/* An X509_STORE; NULL: no certificate in it could be read. */
void *roots_new(struct str pem);
void *roots_free(void *store); /* NULL; accepts NULL */
/* For one connection's SSL_CTX: counted, not copied. */
void roots_use(void *store, void *ssl_ctx);

#endif
