/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signed ID token (JWS, compact form) and the issuer's documents: taken apart and checked, all
 * but the signature itself (signature.h). Pure: called by main.c in the jail, fuzzed by
 * tests/fuzz/fuzz_token.c. Every byte is hostile until the signature holds, so nothing here is
 * believed before; faults say which check failed and never show the token.
 */
#ifndef EGRET_IDENTITY_TOKEN_H
#define EGRET_IDENTITY_TOKEN_H

#include "policy/scan.h"

#define TOKEN_SIZE_MAX 16384
#define TOKEN_TEXT_MAX 512 /* of a claim that is used */
#define TOKEN_LEEWAY_S 60
#define TOKEN_ARENA_MAX (64u << 20)

struct token {
	struct str text; /* as it came, without blanks around it */
	struct str alg, kid;
	const struct node *claims;
};

/* All: 0, or -EINVAL with a sentence. Strings are in the arena. */
int token_open(struct arena *a, struct str text, struct token *ret, char *why, size_t n) MUST_CHECK;
/* iss, aud, exp, nbf, iat, jti; now in seconds of the wall clock. */
int token_check(const struct token *t, struct str issuer, struct str audience, int64_t now,
		char *why, size_t n) MUST_CHECK;
/* The address of the keys in ISSUER/.well-known/openid-configuration. */
int discovery_keys(struct arena *a, struct str document, struct str issuer, struct str *ret,
		   char *why, size_t n) MUST_CHECK;
/* The one key of the set that the token names and that fits its algorithm, as a JWK of its public
 * parts. */
int keys_find(struct arena *a, struct str set, const struct token *t, struct str *ret, char *why,
	      size_t n) MUST_CHECK;
/* A text of the object without control characters; false when absent, of another kind or too long.
 */
bool claim_text(const struct node *object, const char *key, struct str *ret);

#endif
