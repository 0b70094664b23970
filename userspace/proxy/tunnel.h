/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes moved unread between two sockets, by splice(2) through pipes that are held only while bytes
 * are in them (pipes.h). Started by conn.c for what a rule passes unopened. Half-closes and resets
 * are carried over, a reset behind what was said before it; bytes are counted when the other side's
 * socket has them.
 */
#ifndef EGRET_PROXY_TUNNEL_H
#define EGRET_PROXY_TUNNEL_H

#include "base/loop.h"

struct tunnel;
struct tunnel_end {
	uint64_t out, in; /* bytes from a to b, from b to a */
	int err;	  /* 0: both sides ended in order; -ETIMEDOUT: idle; else what broke it */
};
/* The tunnel is gone when this is called. Never from inside tunnel_start. */
typedef void (*tunnel_fn)(void *owner, const struct tunnel_end *end);

/* Takes over a (the job's side) and b on success. 0, -ENOMEM... */
int tunnel_start(struct loop *l, int a, int b, uint64_t idle_ms, tunnel_fn fn, void *owner,
		 struct tunnel **ret) MUST_CHECK;
/* Both sides see a reset; fn is not called; the bytes so far are given. */
void tunnel_cut(struct tunnel *t, struct tunnel_end *ret);

#endif
