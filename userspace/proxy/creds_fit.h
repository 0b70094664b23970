/* SPDX-License-Identifier: Apache-2.0 */
/* What a value of a credential may be. */
#ifndef EGRET_PROXY_CREDS_FIT_H
#define EGRET_PROXY_CREDS_FIT_H

#include "base/limits.h"
#include "base/msg.h"
#include "proxy/creds.h"
#include "proxy/proxy.h"

/* Why not, in words; NULL: it is. */
const char *creds_unfit(struct str v, const struct limits *l);
/* What stands beside a signing key: both go out in fields of a head. NULL: the lease has them, and
 * *ret_session lies in m. */
const char *creds_signer(struct lease *l, const struct msg_in *m, struct str key,
			 struct str *ret_session);
/* Wall time from which the next value is asked for; 0: never. At two thirds of what is left: the
 * broker renews then as well, and who asked before it had the next one asks again. */
uint64_t creds_renew_at(uint64_t expires_us);
/* What events say of a request that goes with it; id: of the lease, n = 0: it has none. */
void creds_say(struct event *e, const struct credential *c, struct str id);
void creds_said(const struct credential *c, struct str id, struct event_part *ret);
/* Leases and refusals of the broker are in the stream by the broker itself, whom a proxy cannot
 * silence; here only what it does not know of. */
void creds_note_failure(struct proxy *px, const struct credential *c, const char *fault);

#endif
