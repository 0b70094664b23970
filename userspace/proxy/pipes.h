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

/* Both ends non-blocking; [0] reads. 0; -EMFILE, -ENFILE. */
int pipes_take(int ret[2]) MUST_CHECK;
/* It must be empty. ends become -1. */
void pipes_give(int ends[2]);
/* With whatever it holds. ends become -1; accepts -1. */
void pipes_drop(int ends[2]);

#endif
