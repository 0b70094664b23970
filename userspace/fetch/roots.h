/* SPDX-License-Identifier: Apache-2.0 */
/* A PEM bundle, parsed once for all connections. Called by fetch.c; the bundle is root's. */
#ifndef EGRET_FETCH_ROOTS_H
#define EGRET_FETCH_ROOTS_H

#include "base/bytes.h"

/* An X509_STORE; NULL: no certificate in it could be read. */
void *roots_new(struct str pem);
void *roots_free(void *store); /* NULL; accepts NULL */
/* For one connection's SSL_CTX: counted, not copied. */
void roots_use(void *store, void *ssl_ctx);

#endif
