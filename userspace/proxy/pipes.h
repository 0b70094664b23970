/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes for splice(2), lent to a tunnel while it has bytes on their way and taken back empty: a
 * proxy with thousands of tunnels holds as many pipes as have bytes that their receiver does not
 * take. The kernel counts a uid's pipes (pipe-user-pages-soft): past that number they are made of
 * two pages, which is slow and still right. Called by tunnel.c.
 */
#ifndef EGRET_PROXY_PIPES_H
#define EGRET_PROXY_PIPES_H

#include "base/bytes.h"

struct pipe {
	int ends[2]; /* [0] reads; -1: none */
	bool large;
};
#define NO_PIPE ((struct pipe){ .ends = { -1, -1 } })

/* Both ends non-blocking. 0; -EMFILE, -ENFILE. */
int pipes_take(struct pipe *ret) MUST_CHECK;
/* Takes it back; it must be empty. */
void pipes_give(struct pipe *p);
/* Closes it with whatever it holds; none is fine. */
void pipes_drop(struct pipe *p);

#endif
