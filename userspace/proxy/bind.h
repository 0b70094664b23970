/* SPDX-License-Identifier: Apache-2.0 */
/* Which credential goes with a request, and the one list of when none does. */
#ifndef EGRET_PROXY_BIND_H
#define EGRET_PROXY_BIND_H

#include "proxy/exchange.h"

/* Sets x->credential; takes what the client wrote in its places out of x->carrier. false: refused,
 * and the session may be gone. */
bool bind_choose(struct session *s);

#endif
