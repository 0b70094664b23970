/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS connection of this process with itself, in memory, before the first real one: what OpenSSL
 * makes but once, and code and data that were never touched, are behind us then. Called by programs
 * that wait for somebody's question. Its key and certificate are made for it and forgotten.
 */
#ifndef EGRET_FETCH_REHEARSE_H
#define EGRET_FETCH_REHEARSE_H

#include "base/bytes.h"

/* From the handshake to an answer that was read, the certificate verified. 0 or -EIO. */
int rehearse(void) MUST_CHECK;

#endif
