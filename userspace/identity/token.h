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
	struct str text;      /* as it came, without blanks around it */
	struct str signature; /* its third part, decoded */
	struct str alg, kid;
	const struct node *claims;
};

/* A key of the issuer that fits the token's algorithm: its public parts as a JWK, or for EdDSA the
 * 32 bytes of an Ed25519 point (RFC 8037). */
struct token_key {
	struct str jwk, ed25519;
};
/* Which algorithms an issuer signs with, as egretd was configured; TOKEN_ALGS are known. */
enum { TOKEN_RS256 = 1u << 0, TOKEN_PS256 = 1u << 1, TOKEN_ES256 = 1u << 2, TOKEN_EDDSA = 1u << 3 };
#define TOKEN_ALGS (TOKEN_RS256 | TOKEN_PS256 | TOKEN_ES256 | TOKEN_EDDSA)
unsigned token_alg(struct str name); /* 0: not known */

/* All: 0, or -EINVAL with a sentence. Strings are in the arena. */
int token_open(struct arena *a, struct str text, unsigned algs, struct token *ret, char *why,
	       size_t n) MUST_CHECK;
/* iss, aud, exp, nbf, iat, jti; now in seconds of the wall clock. */
int token_check(const struct token *t, struct str issuer, struct str audience, int64_t now,
		char *why, size_t n) MUST_CHECK;
/* The address of the keys in ISSUER/.well-known/openid-configuration. */
int discovery_keys(struct arena *a, struct str document, struct str issuer, struct str *ret,
		   char *why, size_t n) MUST_CHECK;
int64_t token_expires(const struct token *t); /* of one that token_check passed: seconds */
/* The one key of the set that the token names and that fits its algorithm. -ENOKEY: the set is good
 * and has none of that name: it may have been fetched too early. */
int keys_find(struct arena *a, struct str set, const struct token *t, struct token_key *ret,
	      char *why, size_t n) MUST_CHECK;
/* A text of the object without control characters; false when absent, of another kind or too long.
 */
bool claim_text(const struct node *object, const char *key, struct str *ret);

#endif
