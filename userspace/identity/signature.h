/* SPDX-License-Identifier: Apache-2.0 */
/* The signature of a token. Called by main.c with what token.c let through. */
#ifndef EGRET_IDENTITY_SIGNATURE_H
#define EGRET_IDENTITY_SIGNATURE_H

#include "identity/token.h"

/* Before the jail: the library's JSON reader takes its seed from a file. 0 or -EIO. */
int signature_early(void) MUST_CHECK;
/* key: of the kind that the token's algorithm needs. 0, or -EINVAL with a sentence. */
int signature_check(const struct token *t, const struct token_key *key, char *why,
		    size_t n) MUST_CHECK;

#endif
