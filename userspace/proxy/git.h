/* SPDX-License-Identifier: Apache-2.0 */
/* Pushes whose rule names refs: the list at the head of the body is read and judged before anything
 * else is done. */
#ifndef EGRET_PROXY_GIT_H
#define EGRET_PROXY_GIT_H

#include "proxy/exchange.h"
#include "proxy/refuse.h"

/* The request is allowed so far (x.rq.verdict.refs). Ends in exchange_allowed or in a refusal. */
void git_start(struct session *s);
void git_readable(struct session *s);
/* A refusal in git's own words, if the client takes those: r->body and what goes with it. The body
 * lies in to. */
void git_refusal(struct session *s, struct refusal *r, struct buf *to);

#endif
