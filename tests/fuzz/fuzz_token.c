/* SPDX-License-Identifier: Apache-2.0 */
/* A token, a NUL byte, and what the issuer answers (the discovery document, a NUL byte, its keys):
 * taken apart, checked, and made facts. The signature is not of our making and is left out. */
#include <stdio.h>
#include <stdlib.h>

#include "identity/claims.h"
#include "identity/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct str part(struct str *left)
{
	const char *nul = left->n ? memchr(left->p, 0, left->n) : NULL;
	struct str s = { left->p, nul ? (size_t)(nul - left->p) : left->n };
	size_t used = s.n + (nul != NULL);

	*left = (struct str){ left->p + used, left->n - used };
	return s;
}

static void clean(struct str s, size_t max)
{
	if (s.n > max)
		abort();
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			abort();
}

static void facts(struct arena *a, const struct token *t)
{
	static const char *const kinds[] = { "github", "gitlab", "buildkite", "generic" };
	struct claims_facts f;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		char why[512] = "";

		if (claims_facts(a, t, str_of(kinds[k]), &f, why, sizeof(why)) < 0) {
			if (!why[0])
				abort(); /* refused, and nothing said */
			continue;
		}
		if (f.n < 2 || f.n > CLAIMS_FACTS_MAX)
			abort();
		for (unsigned i = 0; i < f.n; i++)
			clean(f.at[i], 2 * TOKEN_TEXT_MAX + 64);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str left = { (const char *)data, n }, text = part(&left), document = part(&left),
		   out;
	char why[512] = "";
	struct arena arena;
	struct token_key key;
	struct token t;

	arena_init(&arena, TOKEN_ARENA_MAX);
	if (token_open(&arena, text, TOKEN_ALGS, &t, why, sizeof(why)) == 0) {
		if (token_check(&t, STR("https://ci.test"), STR("egret:1"), 1800000000, why,
				sizeof(why)) < 0 &&
		    !why[0])
			abort();
		if (discovery_keys(&arena, document, STR("https://ci.test"), &out, why,
				   sizeof(why)) == 0)
			clean(out, TOKEN_TEXT_MAX);
		if (keys_find(&arena, left, &t, &key, why, sizeof(why)) == 0) {
			clean(key.jwk, 4096);
			if (!key.jwk.n == !key.ed25519.n)
				abort(); /* one of the two */
		}
		facts(&arena, &t);
	} else if (!why[0]) {
		abort(); /* refused, and nothing said */
	}
	arena_done(&arena);
	return 0;
}
