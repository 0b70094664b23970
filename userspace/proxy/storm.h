/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS records that are no data: KeyUpdates, tickets, attempts to renegotiate, warnings. A peer that
 * sends nothing else makes the proxy compute, and OpenSSL reads on within one call: past a bound
 * the connection is at its end. Set on both contexts, the job's side and the upstreams'.
 */
#ifndef EGRET_PROXY_STORM_H
#define EGRET_PROXY_STORM_H

#include <openssl/types.h>

#define STORM_RECORDS 64 /* in a row, after the handshake, without a record of data */

struct proxy;

void storm_start(struct proxy *px); /* whose events say that it was met */
void storm_watch(SSL_CTX *ctx);

#endif
