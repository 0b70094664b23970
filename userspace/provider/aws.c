/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS: keys of a role for some minutes or hours, against the ID token that the CI system signed for
 * this job (STS, AssumeRoleWithWebIdentity, unsigned). There is nothing to revoke them by: they
 * live as short as they are asked for. The secret key goes to the broker and no further; what
 * signs a job's requests is derived from it there.
 */
#include "provider/aws.h"

#include "provider/jobtoken.h"
#include "provider/table.h"
#include "provider/xml.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>

#define DURATION_MIN 900 /* STS's own bounds, seconds */
#define DURATION_MAX 43200
#define DURATION_USUAL 3600
#define SESSION_NAME_MAX 64
#define SESSION_TOKEN_MAX 16384
#define RESULT "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials/"

struct str aws_endpoint(struct question *q, const char *service, struct str region)
{
	return question_printf(q, "https://%s.%.*s.amazonaws.com%s/", service, STR_ARG(region),
			       str_starts(region, "cn-") ? ".cn" : "");
}

/* ---- the session's name ---- */

static struct str claim(struct question *q, const struct node *c, const char *key)
{
	const struct node *v = node_get(c, key);

	if (v && v->kind == NODE_STRING)
		return v->text;
	if (v && v->kind == NODE_NUMBER)
		return question_printf(q, "%lld", (long long)v->number);
	return STR("");
}

/* "acme-web-1658821493": whose job it is and which, by what GitHub, GitLab and Buildkite sign; of
 * others the subject. */
static struct str session_name(struct question *q)
{
	static const char *const pairs[][2] = { { "repository", "run_id" },
						{ "project_path", "job_id" },
						{ "pipeline_slug", "build_number" } };
	struct str own = question_param(q, PARAM_SESSION_NAME), s = STR("");
	const struct node *c;
	char *to;

	if (own.n)
		return own;
	c = job_token_claims(q);
	for (size_t i = 0; c && !s.n && i < ARRAY_SIZE(pairs); i++) {
		struct str a = claim(q, c, pairs[i][0]), b = claim(q, c, pairs[i][1]);

		/* What tells jobs apart is kept when it has to be cut. */
		if (a.n + b.n + 1 > SESSION_NAME_MAX && b.n < SESSION_NAME_MAX / 2)
			a.n = SESSION_NAME_MAX - b.n - 1;
		if (a.n && b.n)
			s = question_printf(q, "%.*s-%.*s", STR_ARG(a), STR_ARG(b));
	}
	if (c && !s.n)
		s = claim(q, c, "sub");
	if (s.n < 2)
		return STR("egret");
	if (s.n > SESSION_NAME_MAX)
		s.n = SESSION_NAME_MAX;
	to = (char *)question_printf(q, "%.*s", STR_ARG(s)).p;
	for (size_t i = 0; i < s.n; i++) {
		char ch = to[i];

		if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
		      (ch >= '0' && ch <= '9') || (ch && strchr("+=,.@_-", ch))))
			to[i] = '-';
	}
	return (struct str){ to, s.n };
}

/* ---- the answer ---- */

/* "2026-11-22T22:14:03Z", with or without a fraction. */
static bool read_time(struct str s, int64_t *ret_ms)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	struct tm tm = { 0 };
	time_t t;

	if (s.n < sizeof(form) || s.p[s.n - 1] != 'Z')
		return false;
	for (size_t i = 0; form[i]; i++)
		if (form[i] == 'd' ? s.p[i] < '0' || s.p[i] > '9' : s.p[i] != form[i])
			return false;
	for (size_t i = sizeof(form) - 1; i < s.n - 1; i++)
		if (s.p[i] != '.' && (s.p[i] < '0' || s.p[i] > '9'))
			return false;
#define TWO(at) ((s.p[at] - '0') * 10 + s.p[(at) + 1] - '0')
	tm.tm_year = TWO(0) * 100 + TWO(2) - 1900;
	tm.tm_mon = TWO(5) - 1;
	tm.tm_mday = TWO(8);
	tm.tm_hour = TWO(11);
	tm.tm_min = TWO(14);
	tm.tm_sec = TWO(17);
#undef TWO
	t = timegm(&tm);
	if (t <= 0)
		return false;
	*ret_ms = (int64_t)t * 1000;
	return true;
}

static int refused(struct question *q, const struct http_ask *ask, const struct http_answer *got)
{
	struct xml_want w[] = { { .path = "ErrorResponse/Error/Code" },
				{ .path = "ErrorResponse/Error/Message" } };

	if (xml_read(got->body, &q->arena, w, ARRAY_SIZE(w)) < 0)
		w[0].text = w[1].text = STR("");
	if (str_is(w[0].text, "ExpiredTokenException"))
		return job_token_over(q, "sts says that it has ended");
	return http_refused(q, ask, got,
			    question_printf(q, "%.*s%s%.*s", STR_ARG(w[0].text),
					    w[0].text.n && w[1].text.n ? ": " : "",
					    STR_ARG(w[1].text)));
}

static bool plain(struct str s, size_t min, size_t max)
{
	if (s.n < min || s.n > max)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return true;
}

static int read_keys(struct question *q, const struct http_answer *got, int64_t duration,
		     struct aws_keys *ret)
{
	enum { ACCESS_KEY, SECRET, SESSION, EXPIRATION };
	struct xml_want w[] = { [ACCESS_KEY] = { .path = RESULT "AccessKeyId" },
				[SECRET] = { .path = RESULT "SecretAccessKey" },
				[SESSION] = { .path = RESULT "SessionToken" },
				[EXPIRATION] = { .path = RESULT "Expiration" } };
	int64_t expires;

	if (xml_read(got->body, &q->arena, w, ARRAY_SIZE(w)) < 0)
		return question_fail(q, -EBADMSG,
				     "the answer of sts is not the XML that it is "
				     "documented to be");
	if (!plain(w[ACCESS_KEY].text, 16, 128) || !plain(w[SECRET].text, 16, 128) ||
	    !plain(w[SESSION].text, 16, SESSION_TOKEN_MAX) ||
	    !read_time(w[EXPIRATION].text, &expires))
		return question_fail(q, -EBADMSG,
				     "the answer of sts has not all of AccessKeyId, "
				     "SecretAccessKey, SessionToken and Expiration");
	if (expires <= q->now * 1000)
		return question_fail(q, -EBADMSG,
				     "the keys that sts gave have expired already: is "
				     "this host's clock right?");
	/* Their clock may be ahead of ours: never longer than was asked for. */
	if (expires > (q->now + duration) * 1000)
		expires = (q->now + duration) * 1000;
	*ret = (struct aws_keys){ w[ACCESS_KEY].text, w[SECRET].text, w[SESSION].text, expires };
	return 0;
}

int aws_answer(struct question *q, const struct http_ask *ask, const struct http_answer *got,
	       int64_t duration, struct aws_keys *ret)
{
	return got->status == 200 ? read_keys(q, got, duration, ret) : refused(q, ask, got);
}

int aws_assume(struct question *q, struct aws_keys *ret)
{
	struct str url = question_param(q, PARAM_STS_URL);
	int64_t duration = DURATION_USUAL;
	struct http_ask ask = { .method = "POST", .at = "sts", .headers = { HTTP_FORM } };
	struct http_answer got;
	int r;

	r = job_token_need(q);
	if (r < 0)
		return r;
	if (q->ttl_ms)
		duration = (int64_t)(q->ttl_ms / 1000);
	if (duration < DURATION_MIN)
		duration = DURATION_MIN;
	if (duration > DURATION_MAX)
		duration = DURATION_MAX;
	ask.url = url.n ? url : aws_endpoint(q, "sts", question_param(q, PARAM_REGION));
	ask.body =
		form_body(q, (struct pair[]){ { "Action", STR("AssumeRoleWithWebIdentity") },
					      { "Version", STR("2011-06-15") },
					      { "RoleArn", question_param(q, PARAM_ROLE_ARN) },
					      { "RoleSessionName", session_name(q) },
					      { "DurationSeconds",
						question_printf(q, "%lld", (long long)duration) },
					      { "Policy", question_param(q, PARAM_POLICY) },
					      { "WebIdentityToken", q->token },
					      { NULL, { NULL, 0 } } });
	r = http_ask(q, &ask, &got);
	return r < 0 ? r : aws_answer(q, &ask, &got, duration, ret);
}

static int provide(struct question *q, struct answer *ret)
{
	struct aws_keys keys;
	int r = aws_assume(q, &keys);

	if (r < 0)
		return r;
	ret->value = keys.secret;
	ret->access_key = keys.access_key;
	ret->session = keys.session;
	ret->expires_ms = keys.expires_ms;
	ret->renew_by_ms = job_token_ends(q) * 1000;
	return 0;
}

const struct provider_ops provider_aws = { "aws", provide, NULL, NULL, NULL };
