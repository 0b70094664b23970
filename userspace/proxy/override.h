/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision about one request, and about what its fields could make of it at the origin:
 * X-HTTP-Method-Override and its kin name another method, X-Original-URL another path, and whether
 * an origin listens to them nobody can see from here. So each of these requests must be allowed.
 */
#ifndef EGRET_PROXY_OVERRIDE_H
#define EGRET_PROXY_OVERRIDE_H

#include "proxy/request.h"

/* Fills r->verdict and r->policy of a request that request_read has read. false: refused; *f says
 * why, and where its sentence is empty the verdict does. */
bool request_decide(const struct proxy *px, struct request *r, const struct head *h,
		    struct request_fault *f);

#endif
