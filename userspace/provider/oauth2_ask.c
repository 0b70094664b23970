/* SPDX-License-Identifier: Apache-2.0 */
/* See oauth2.h: the forms of requests, and the ways in which a client proves itself. Nothing here
 * comes from a network but the addresses, which oauth2_find.c has looked at. */
#include "provider/oauth2.h"

#include "provider/jobtoken.h"
#include "provider/sign.h"
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>

#define ASSERTION_S 120
#define ASSERTION_MAX 8192
#define URN "urn:ietf:params:oauth:"

/* The longest form: a grant's eight and a client's three. */
#define PAIRS_MAX 12

struct form {
	struct pair pairs[PAIRS_MAX + 1];
	unsigned n;
};

static void add(struct form *f, const char *key, struct str value)
{
	if (value.n && f->n < PAIRS_MAX)
		f->pairs[f->n++] = (struct pair){ key, value };
}

/* Signed by the client itself (RFC 7523 3). Each is used once: jti. */
static int assertion(struct question *q, const struct oauth2_ends *ends, struct str *ret)
{
	struct str id = json_quoted(q, question_param(q, PARAM_CLIENT_ID));
	struct str kid = question_param(q, PARAM_CLIENT_KEY_ID);
	struct signing s = { .key = question_secret(q, PARAM_CLIENT_KEY),
			     .kid = kid.n ? kid.p : NULL };
	unsigned char once[16], thumb[SIGN_THUMBPRINT];
	char why[256];
	struct buf to;
	int r;

	if (question_secret(q, PARAM_CLIENT_CERT).n) {
		r = sign_thumbprint(question_secret(q, PARAM_CLIENT_CERT), thumb);
		if (r < 0)
			return question_fail(q, r, "client_cert is no certificate in PEM");
		/* Who names keys by certificates (Entra ID) wants PS256 too. */
		s.x5t = base64url(q, (struct str){ (const char *)thumb, sizeof(thumb) }).p;
		s.pss = true;
	}
	if (RAND_bytes(once, sizeof(once)) != 1)
		return question_fail(q, -EIO, "OpenSSL has no random bytes");
	s.claims = question_printf(
		q,
		"{\"iss\":%.*s,\"sub\":%.*s,\"aud\":%.*s,\"jti\":\"%.*s\",\"iat\":%lld,"
		"\"exp\":%lld}",
		STR_ARG(id), STR_ARG(id), STR_ARG(json_quoted(q, ends->audience)),
		STR_ARG(base64url(q, (struct str){ (const char *)once, sizeof(once) })),
		(long long)q->now, (long long)q->now + ASSERTION_S);
	buf_init(&to, ASSERTION_MAX);
	r = sign_token(&s, &to, why, sizeof(why));
	if (r < 0)
		question_fail(q, r, "client_key: %s", why);
	else
		*ret = arena_str(&q->arena, buf_str(&to));
	buf_done(&to);
	return r;
}

static int prove_client(struct question *q, const struct oauth2_ends *ends, struct form *f,
			struct http_ask *ask)
{
	struct str id = question_param(q, PARAM_CLIENT_ID);
	struct str how = question_param(q, PARAM_CLIENT_AUTH);
	struct str secret = question_secret(q, PARAM_CLIENT_SECRET), value, key;
	int r = 0;

	if (!id.n)
		return 0;
	if (str_is(how, "private_key_jwt") || str_is(how, "job-token")) {
		bool own = str_is(how, "private_key_jwt");

		r = own ? assertion(q, ends, &value) : job_token_need(q);
		add(f, "client_id", id);
		add(f, "client_assertion_type", STR(URN "client-assertion-type:jwt-bearer"));
		if (r == 0)
			add(f, "client_assertion", own ? value : q->token);
	} else if (str_is(how, "mtls")) {
		add(f, "client_id", id);
		ask->cert = question_secret(q, PARAM_CLIENT_CERT);
		ask->key = question_secret(q, PARAM_CLIENT_KEY);
	} else if (str_is(how, "post")) {
		add(f, "client_id", id);
		add(f, "client_secret", secret);
	} else {
		/* Each half is form-encoded before they are joined (RFC 6749 2.3.1). */
		key = url_escaped(q, id);
		value = url_escaped(q, secret);
		value = question_printf(q, "%.*s:%.*s", STR_ARG(key), STR_ARG(value));
		ask->headers[2] =
			question_printf(q, "Authorization: Basic %.*s", STR_ARG(base64(q, value)))
				.p;
	}
	return r;
}

static int close_ask(struct question *q, struct str url, const struct oauth2_ends *ends,
		     struct form *f, struct http_ask *ret)
{
	struct http_ask ask = { .method = "POST", .url = url };
	int r;

	ask.at = str_starts(url, "https://") ? url.p + 8 : url.p;
	ask.headers[0] = HTTP_FORM;
	ask.headers[1] = "Accept: application/json";
	r = prove_client(q, ends, f, &ask);
	if (r < 0)
		return r;
	ask.body = form_body(q, f->pairs);
	*ret = ask;
	return 0;
}

/* A list of scopes is one text with blanks between (RFC 6749 3.3). */
static struct str scopes(struct question *q)
{
	struct str one, all = { "", 0 };
	size_t at = 0;

	while (question_each_param(q, PARAM_SCOPE, &at, &one))
		all = question_printf(q, "%.*s%s%.*s", STR_ARG(all), all.n ? " " : "",
				      STR_ARG(one));
	return all;
}

static struct str token_type(struct question *q)
{
	struct str t = question_param(q, PARAM_SUBJECT_TOKEN_TYPE);

	return t.n ? question_printf(q, URN "token-type:%.*s", STR_ARG(t))
		   : STR(URN "token-type:jwt");
}

int oauth2_ask_token(struct question *q, const struct oauth2_ends *ends, struct http_ask *ret)
{
	struct str grant = question_param(q, PARAM_GRANT);
	struct form f = { .n = 0 };
	int r = 0;

	if (str_is(grant, "token-exchange")) {
		add(&f, "grant_type", STR(URN "grant-type:token-exchange"));
		add(&f, "resource", question_param(q, PARAM_RESOURCE));
		add(&f, "audience", question_param(q, PARAM_AUDIENCE));
		add(&f, "scope", scopes(q));
		add(&f, "requested_token_type", STR(URN "token-type:access_token"));
		add(&f, "subject_token", q->token);
		add(&f, "subject_token_type", token_type(q));
		r = job_token_need(q);
	} else if (str_is(grant, "jwt-bearer")) {
		add(&f, "grant_type", STR(URN "grant-type:jwt-bearer"));
		add(&f, "assertion", q->token);
		add(&f, "scope", scopes(q));
		add(&f, "audience", question_param(q, PARAM_AUDIENCE));
		add(&f, "resource", question_param(q, PARAM_RESOURCE));
		r = job_token_need(q);
	} else {
		add(&f, "grant_type", STR("client_credentials"));
		add(&f, "scope", scopes(q));
		add(&f, "audience", question_param(q, PARAM_AUDIENCE));
		add(&f, "resource", question_param(q, PARAM_RESOURCE));
	}
	return r < 0 ? r : close_ask(q, ends->token, ends, &f, ret);
}

int oauth2_ask_revoke(struct question *q, const struct oauth2_ends *ends, struct http_ask *ret)
{
	struct form f = { .n = 0 };

	add(&f, "token", q->handle);
	add(&f, "token_type_hint", STR("access_token"));
	return close_ask(q, ends->revoke, ends, &f, ret);
}
