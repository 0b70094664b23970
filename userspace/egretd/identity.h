/* SPDX-License-Identifier: Apache-2.0 */
/* Asking egret-identity whether a CI server's token is good: one short-lived process a question. */
#ifndef EGRET_EGRETD_IDENTITY_H
#define EGRET_EGRETD_IDENTITY_H

#include "egretd/daemon.h"

struct identity;
/* facts: "key=value", lent until done returns. err < 0: text says which check failed. */
typedef void (*identity_fn)(void *owner, int err, const char *text, const struct str *facts,
			    size_t n);

int identity_start(struct daemon *d, int token_fd, const struct config_identity *issuer,
		   const char *audience, identity_fn done, void *owner, struct identity **ret,
		   char *why, size_t n) MUST_CHECK;
void identity_cancel(struct identity *i); /* accepts NULL */

#endif
