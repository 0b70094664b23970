/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of TLS that leave together. OpenSSL writes each with a system call of its own, and each
 * may wake the reader; of bulk that is a fifth of what it costs. Between begin and end records are
 * put into a buffer of this process, which is sent when it is full. Called by stream.c for one
 * stream at a time, within one turn of the loop. Sees what is sealed already, nothing hostile.
 */
#ifndef EGRET_PROXY_GATHER_H
#define EGRET_PROXY_GATHER_H

#include "base/bytes.h"
#include <openssl/types.h>

struct gather;

/* Puts itself between ssl and fd, and is freed with ssl. NULL: no memory, nothing was changed. */
struct gather *gather_new(SSL *ssl, int fd);
void gather_begin(struct gather *g);
/* Sends what is there. 0; -EAGAIN: the socket is full, the rest is kept and goes before anything
 * else; -errno. */
int gather_end(struct gather *g) MUST_CHECK;
/* Sends what was kept: as gather_end. 0 between begin and end. */
int gather_flush(struct gather *g) MUST_CHECK;
/* What all streams of this process have kept. */
size_t gather_kept(void);

#endif
