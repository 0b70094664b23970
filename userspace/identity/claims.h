/* SPDX-License-Identifier: Apache-2.0 */
/* Claims of a token whose signature held, as facts of a job. Called by main.c; pure. */
#ifndef EGRET_IDENTITY_CLAIMS_H
#define EGRET_IDENTITY_CLAIMS_H

#include "identity/token.h"

#define CLAIMS_FACTS_MAX 32

struct claims_facts {
	struct str at[CLAIMS_FACTS_MAX]; /* "key=value"; a key once */
	unsigned n;
};

/* kind: "github", "gitlab", "buildkite", "generic". 0, or -EINVAL with a sentence that names the
 * claim. */
int claims_facts(struct arena *a, const struct token *t, struct str kind, struct claims_facts *ret,
		 char *why, size_t n) MUST_CHECK;

#endif
