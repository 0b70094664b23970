/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of protocols whose answers hold credentials. Called by derive.c. Host and path are
 * canonical, the rest of the request is a job's.
 */
#include "proxy/derive_table.h"

#include "http/form.h"
#include "proxy/derived.h"

#include <stdio.h>

enum { M_POST = 1, M_PUT = 2 };

static unsigned method_of(struct str m)
{
	return str_is(m, "POST") ? M_POST : str_is(m, "PUT") ? M_PUT : 0;
}

/* Host and path as rule patterns have no place here: these are protocols', not a site's. Of each
 * list the first that fits counts. Most requests are GET: what they are held against is short. */
static const struct protocol of_get[] = {
	/* AWS: AssumeRole and its kin */
	{ .host_begin = "sts.", .path_end = "/", .form = ANSWER_STS },
	/* Where registries of images hand out tokens, asked before a challenge was seen here. What
	 * is no JSON is none. */
	{ .query_key = "service",
	  .form = ANSWER_TOKENS,
	  .keys = " token access_token refresh_token ",
	  .guess = true },
	{ .query_key = "scope",
	  .form = ANSWER_TOKENS,
	  .keys = " token access_token refresh_token ",
	  .guess = true },
	{ .path_end = "/token",
	  .form = ANSWER_TOKENS,
	  .keys = " token access_token refresh_token id_token ",
	  .guess = true },
};

static const struct protocol of_others[] = {
	/* Git LFS, docs/api/batch.md */
	{ .methods = M_POST, .path_end = "/objects/batch", .form = ANSWER_LFS },
	/* AWS: GetAuthorizationToken of ECR; of CodeArtifact; AssumeRole and its kin */
	{ .methods = M_POST, .target_end = ".GetAuthorizationToken", .form = ANSWER_ECR },
	{ .methods = M_POST,
	  .path_begin = "/v1/authorization-token",
	  .form = ANSWER_TOKENS,
	  .keys = " authorizationToken " },
	{ .methods = M_POST, .host_begin = "sts.", .path_end = "/", .form = ANSWER_STS },
	/* Vault and OpenBao: a login */
	{ .methods = M_POST | M_PUT,
	  .path_begin = "/v1/auth/",
	  .form = ANSWER_TOKENS,
	  .keys = " client_token " },
	/* npm: adduser, token create */
	{ .methods = M_PUT, .path_begin = "/-/user/", .form = ANSWER_TOKENS, .keys = " token " },
	{ .methods = M_POST,
	  .path_end = "/-/npm/v1/tokens",
	  .form = ANSWER_TOKENS,
	  .keys = " token " },
	/* GitHub: installations, runners; GitLab: access and deploy tokens, their rotation */
	{ .methods = M_POST,
	  .path_end = "/access_tokens",
	  .form = ANSWER_TOKENS,
	  .keys = " token " },
	{ .methods = M_POST,
	  .path_end = "/personal_access_tokens",
	  .form = ANSWER_TOKENS,
	  .keys = " token " },
	{ .methods = M_POST,
	  .path_end = "/deploy_tokens",
	  .form = ANSWER_TOKENS,
	  .keys = " token " },
	{ .methods = M_POST, .path_end = "/rotate", .form = ANSWER_TOKENS, .keys = " token " },
	{ .methods = M_POST, .path_end = "-token", .form = ANSWER_TOKENS, .keys = " token " },
	{ .methods = M_POST,
	  .path_end = "/generate-jitconfig",
	  .form = ANSWER_TOKENS,
	  .keys = " encoded_jit_config " },
	/* OAuth 2.0 (RFC 6749 5.1) and OpenID Connect, as issuers name their endpoints */
	{ .methods = M_POST,
	  .path_end = "/token",
	  .form = ANSWER_TOKENS,
	  .keys = " access_token refresh_token id_token token " },
	{ .methods = M_POST,
	  .path_end = "/access_token",
	  .form = ANSWER_TOKENS,
	  .keys = " access_token refresh_token id_token token " },
	{ .methods = M_POST,
	  .path_end = "/token.oauth2",
	  .form = ANSWER_TOKENS,
	  .keys = " access_token refresh_token id_token token " },
};

/* Token endpoints of registries of images, wherever a challenge said that they are. */
static const struct protocol registry = { .form = ANSWER_TOKENS,
					  .keys = " token access_token refresh_token " };

static bool ends(struct str s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && memcmp(s.p + s.n - n, with, n) == 0;
}

bool derive_listed(const char *list, struct str word)
{
	const char *at = list;
	size_t n = word.n;

	while (n && (at = memmem(at, strlen(at), word.p, n))) {
		if ((at == list || at[-1] == ' ') && (!at[n] || at[n] == ' '))
			return true;
		at++;
	}
	return false;
}

static struct str query_value(struct str query, const char *name, char *to, size_t size)
{
	struct form_field f;
	size_t n = 0;

	for (size_t at = 0; query.n && form_each(query, &at, &f);) {
		if (!form_name_is(f.name, str_of(name)))
			continue;
		for (size_t i = 0; i < f.value.n && n < size; i++) {
			char c = f.value.p[i];
			unsigned v;

			if (c == '%' && i + 2 < f.value.n &&
			    sscanf((char[]){ f.value.p[i + 1], f.value.p[i + 2], 0 }, "%2x", &v) ==
				    1) {
				c = (char)v;
				i += 2;
			}
			if (f.value.p[i] == '+')
				c = ' ';
			to[n++] = c;
		}
		break;
	}
	return (struct str){ to, n };
}

static bool query_has(struct str query, const char *name)
{
	struct form_field f;

	for (size_t at = 0; query.n && form_each(query, &at, &f);)
		if (form_name_is(f.name, str_of(name)))
			return true;
	return false;
}

static bool fits(const struct protocol *p, const struct request *rq, const struct field *target)
{
	return (!p->host_begin || str_starts(rq->q.host, p->host_begin)) &&
	       (!p->path_begin || str_starts(rq->q.path, p->path_begin)) &&
	       (!p->path_end || ends(rq->q.path, p->path_end)) &&
	       (!p->target_end || (target && ends(target->value, p->target_end))) &&
	       (!p->query_key || query_has(rq->q.query, p->query_key));
}

const struct protocol *derive_protocol(const struct session *s, struct str *ret_registry)
{
	const struct request *rq = &s->x.rq;
	const struct head *q = &s->req.head;
	const struct field *target;
	unsigned method;
	char service[256];

	*ret_registry = (struct str){ NULL, 0 };
	if (derived_realm(creds_derived(s->px->creds), rq->q.host, rq->q.path,
			  query_value(rq->q.query, "service", service, sizeof(service)),
			  ret_registry))
		return &registry;
	if (str_is(q->method, "GET")) {
		for (size_t i = 0; i < ARRAY_SIZE(of_get); i++)
			if (fits(&of_get[i], rq, NULL))
				return &of_get[i];
		return NULL;
	}
	method = method_of(q->method);
	target = head_find(q, "x-amz-target");
	for (size_t i = 0; i < ARRAY_SIZE(of_others); i++)
		if ((of_others[i].methods & method) && fits(&of_others[i], rq, target))
			return &of_others[i];
	return NULL;
}
