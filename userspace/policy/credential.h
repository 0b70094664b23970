/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A credential's image: what the broker (where from), the proxy (where to) and egretd (for whom,
 * and which placeholders the job holds) need to know of it. Never a value. Same rules as policy
 * images: checked once by credential_open.
 */
#ifndef EGRET_POLICY_CREDENTIAL_H
#define EGRET_POLICY_CREDENTIAL_H

#include "policy/policy.h"

enum provider {
	PROVIDER_STORE = 1,
	PROVIDER_FILE,
	PROVIDER_EXEC,
	PROVIDER_VAULT,
	PROVIDER_OAUTH2,
	PROVIDER_GITHUB_APP,
	PROVIDER_AWS,
	PROVIDER_AWS_SECRET,
	PROVIDER_MTLS,
	PROVIDER_LAST = PROVIDER_MTLS
};
/* What a provider is told (params.def): texts; several of one id are a list. One that stands for a
 * secret is a reference, "store:NAME" or "file:/PATH". */
enum param {
	PARAM_NONE,
#define PARAM(id, key) PARAM_##id,
#include "policy/params.def"
#undef PARAM
	PARAM_END
};
const char *param_name(enum param id);	 /* its key in the credential's file */
bool param_is_secret(enum param id);	 /* its value is a reference */
#define CREDENTIAL_AWS_PATH "/egret/aws" /* of http://169.254.170.2: placeholder keys */
enum inject_kind {
	INJECT_HEADER = 1, /* format with one {token} */
	INJECT_BASIC,	   /* format "user:{token}" */
	INJECT_QUERY,	   /* the key's value is the format, percent-encoded */
	/* the placeholder's value is swapped where it stands in this */
	INJECT_SWAP_HEADER, /* also inside its Basic form */
	INJECT_SWAP_QUERY,
	INJECT_SWAP_JSON,   /* in a string of a JSON body */
	INJECT_SWAP_FORM,   /* in a field of an urlencoded body */
	INJECT_CERTIFICATE, /* shown in the handshake */
	INJECT_SIGV4,	    /* the request is signed anew (AWS Signature Version 4) */
};
#define INJECT_LAST INJECT_SIGV4

struct credential {
	const uint8_t *p;
	size_t n;
};

struct credential_inject {
	enum inject_kind kind;
	struct str name;   /* of the header, lower case ("authorization" for Basic), of the query's
			      key, of the form's field; a JSON pointer */
	struct str format; /* holds {token} */
};

int credential_open(struct str image, struct credential *ret) MUST_CHECK;     /* 0 or -EBADMSG */
bool credential_same(const struct credential *a, const struct credential *b); /* in every byte */
struct str credential_name(const struct credential *c);
enum provider credential_provider(const struct credential *c);
/* Walks the params, in the order of load_provider.c's table. Start with *at = 0. */
bool credential_each_param(const struct credential *c, size_t *at, enum param *ret_id,
			   struct str *ret);
/* Whom a token of the job must be for that its provider is shown (policy/credential_token.c); n =
 * 0: it needs none. */
struct str credential_token_audience(const struct credential *c);
struct str credential_param(const struct credential *c, enum param id); /* the first; n = 0: none */
bool credential_static(const struct credential *c);
bool credential_client_auth_pass(const struct credential *c);
/* "opaque_answers": "pass": answers whose encoding cannot be searched for its value go through. */
bool credential_opaque_pass(const struct credential *c);
/* "tier": "any": also for jobs that are only cooperative (they could leave their job). */
bool credential_any_tier(const struct credential *c);
uint64_t credential_ttl_ms(const struct credential *c); /* 0: the provider's */
int credential_for(const struct credential *c,
		   const struct facts *f); /* as policy_for; "any" fits with 0 keys */
/* Walks its hosts as they are written ("**.example.com"). Start with *at = 0. */
#define HOST_PATTERN_MAX 260u
bool credential_each_host(const struct credential *c, size_t *at, char to[HOST_PATTERN_MAX]);
/* May it go to this canonical host? */
bool credential_host(const struct credential *c, struct str host);
/* Walks the injections for a host. Start with *at = 0. */
bool credential_each_inject(const struct credential *c, struct str host, size_t *at,
			    struct credential_inject *ret);
/* What the job holds instead: value, and the environment variables that get it. n = 0 if none. */
struct str credential_placeholder(const struct credential *c);
bool credential_each_env(const struct credential *c, size_t *at, struct str *ret);

#endif
