/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client certificate and its key, as the broker leased them: read once, shown in handshakes with
 * the hosts of its credential (upstream.h), dropped with the lease and its last connection.
 */
#ifndef EGRET_PROXY_CLIENTCERT_H
#define EGRET_PROXY_CLIENTCERT_H

#include "base/bytes.h"
#include <openssl/types.h>

struct client_cert;
/* PEM: the certificate and what leads up from it; the key, not encrypted. 0; -EBADMSG: not those,
 * or they do not belong together. */
int client_cert_read(struct str chain, struct str key, struct client_cert **ret) MUST_CHECK;
struct client_cert *client_cert_hold(struct client_cert *c);
struct client_cert *client_cert_free(struct client_cert *c); /* NULL; accepts NULL */
/* Never the same for two that were read: connections and sessions are kept apart by it. 0: NULL */
uint64_t client_cert_number(const struct client_cert *c);
int client_cert_show(const struct client_cert *c, SSL *ssl) MUST_CHECK; /* 0 or -EIO */

#endif
