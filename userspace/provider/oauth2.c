/* SPDX-License-Identifier: Apache-2.0 */
/* See oauth2.h: what an authorisation server's answer means. Every byte of it is hostile. */
#include "provider/oauth2.h"

#include "provider/jobtoken.h"
#include "provider/table.h"
#include <errno.h>
#include <stdio.h>

#define TOKEN_MAX 16384 /* twice in one frame: as value and as handle */
#define EXPIRES_MAX (366ll * 86400)

/* The server's own words: "invalid_client: unknown client". */
static struct str words_of(struct question *q, const struct http_answer *got, struct str *ret_error)
{
	struct str error = { "", 0 }, text = { "", 0 };

	(void)node_text(got->json, "error", 128, &error);
	(void)node_text(got->json, "error_description", 512, &text);
	*ret_error = error;
	return question_printf(q, "%.*s%s%.*s", STR_ARG(error), text.n && error.n ? ": " : "",
			       STR_ARG(text));
}

static int refused(struct question *q, const struct http_ask *ask, const struct http_answer *got)
{
	struct str error, words = words_of(q, got, &error);
	int r = http_refused(q, ask, got, words);

	return str_is(error, "temporarily_unavailable") || str_is(error, "server_error") ||
			       str_is(error, "slow_down")
		       ? -EAGAIN
		       : r;
}

/* What may stand in a header: b64token and all that servers make of it, no blank. */
static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return s.n > 0;
}

/* A number, or the same as a text as some write it. 1: not there. */
static int lifetime(const struct node *json, int64_t *ret)
{
	const struct node *v = node_get(json, "expires_in");
	uint64_t text;

	if (!v || v->kind == NODE_NULL)
		return 1;
	if (v->kind == NODE_STRING && str_u64(v->text, &text) == 0 && text <= EXPIRES_MAX)
		*ret = (int64_t)text;
	else if (v->kind == NODE_NUMBER)
		*ret = v->number;
	else
		return -EBADMSG;
	return *ret > 0 && *ret <= EXPIRES_MAX ? 0 : -EBADMSG;
}

int oauth2_answer(struct question *q, const struct http_ask *ask, const struct http_answer *got,
		  struct answer *ret)
{
	struct str token, type;
	int64_t seconds = 0;
	int r;

	if (got->status != 200)
		return refused(q, ask, got);
	if (!got->json || got->json->kind != NODE_OBJECT)
		return question_fail(q, -EBADMSG, "the answer of %s is not a JSON object", ask->at);
	if (!node_text(got->json, "access_token", TOKEN_MAX, &token) || !is_token(token))
		return question_fail(q, -EBADMSG,
				     "the answer of %s has no access_token of at most 16 KiB that "
				     "could stand in a header",
				     ask->at);
	if (!node_text(got->json, "token_type", 64, &type) || !str_eq_nocase(type, STR("Bearer")))
		return question_fail(q, -EBADMSG,
				     "the token of %s is not of the type Bearer: egret could not "
				     "show it as it wants to be shown",
				     ask->at);
	r = lifetime(got->json, &seconds);
	if (r < 0)
		return question_fail(q, r, "expires_in of %s is not a number of seconds", ask->at);
	if (r > 0 && !q->ttl_ms)
		return question_fail(q, -EBADMSG,
				     "%s does not say when the token expires: give the credential "
				     "a ttl",
				     ask->at);
	if (r > 0 || (q->ttl_ms && q->ttl_ms < (uint64_t)seconds * 1000))
		ret->expires_ms = q->now * 1000 + (int64_t)q->ttl_ms;
	else
		ret->expires_ms = (q->now + seconds) * 1000;
	ret->value = token;
	return 0;
}

static int say(struct question *q, const struct http_ask *ask, struct http_answer *got)
{
	int r = http_ask(q, ask, got);

	oauth2_looked(r < 0 ? 0 : got->status);
	return r;
}

static int provide(struct question *q, struct answer *ret)
{
	struct oauth2_ends ends;
	struct http_answer got;
	struct http_ask ask;
	int r = oauth2_find(q, &ends);

	if (r == 0)
		r = oauth2_ask_token(q, &ends, &ask);
	if (r == 0)
		r = say(q, &ask, &got);
	if (r == 0)
		r = oauth2_answer(q, &ask, &got, ret);
	ret->renew_by_ms = job_token_ends(q) * 1000;
	/* RFC 7009 wants the token itself. */
	if (r == 0 && ends.revoke.n)
		ret->handle = ret->value;
	return r;
}

static int take_back(struct question *q)
{
	struct oauth2_ends ends;
	struct http_answer got;
	struct http_ask ask;
	int r = oauth2_find(q, &ends);

	if (r == 0 && !ends.revoke.n)
		return 0; /* the issuer has taken the place away; the token expires */
	if (r == 0)
		r = oauth2_ask_revoke(q, &ends, &ask);
	if (r == 0)
		r = say(q, &ask, &got);
	if (r == 0 && got.status != 200 && got.status != 204)
		r = refused(q, &ask, &got);
	return r;
}

const struct provider_ops provider_oauth2 = { "oauth2", provide, NULL, take_back, NULL };
