/* SPDX-License-Identifier: Apache-2.0 */
/* What of an answer is a credential of its own, and what the job gets instead: derived.h. */
#ifndef EGRET_PROXY_DERIVE_H
#define EGRET_PROXY_DERIVE_H

#include "proxy/exchange.h"

/* What is done about an answer. */
enum derive { DERIVE_PASS, DERIVE_REFUSE, DERIVE_WHOLE };

/* Of an answer's head, before it is searched for values: marks for cookies, tokens and signed
 * redirects; notes where a registry's tokens are. WHOLE: its body is to be read whole and given to
 * derive_body. REFUSE: *why says why. */
enum derive derive_head(struct session *s, struct head *h, const char **why);
/* The body as the job gets it, in parts; those and what they refer to last as long as the exchange
 * and `body`. false: *why. */
bool derive_body(struct session *s, const struct head *h, struct str body, struct str **ret,
		 size_t *ret_n, const char **why);

#endif
