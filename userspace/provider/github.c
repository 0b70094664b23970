/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of a GitHub App's installation: signs as the App, asks for a token of just the
 * repositories and permissions that the credential names, holds the answer against that, and takes
 * the token back when its job ends. Called through table.c, on a fiber.
 *
 * GitHub refuses an App's token by its own clock. When it says so, the time in its answer is taken
 * in place of ours, as far as CLOCK_MAX; a host that is further off is told to set its clock.
 *
 * Hostile bytes: every answer (github_form.h). The handle is the token itself, since nothing else
 * revokes it.
 */
#include "provider/table.h"

#include "provider/github_form.h"
#include "provider/http.h"
#include "provider/sign.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define API "https://api.github.com"
#define CLOCK_MAX 600 /* seconds that a server's clock is believed to be off ours */
#define CLOCK_MIN 30  /* what is no reason to ask again */

/* What this process keeps between questions: all are of one credential. */
static struct {
	int64_t ahead; /* the server's clock of ours, seconds */
	char *of;      /* owned: whose installation the id is */
	int64_t installation;
} kept;

struct said {
	const char *method;
	struct str path; /* also what a sentence calls it */
	struct str bearer, body;
};

/* ---- one request ---- */

static int say(struct question *q, const struct said *s, struct http_answer *ret)
{
	struct str api = question_param(q, PARAM_API_URL);
	struct http_ask ask = { .method = s->method, .body = s->body };
	unsigned n = 0;

	if (!api.n)
		api = STR(API);
	while (api.p[api.n - 1] == '/')
		api.n--;
	ask.at = s->path.p;
	ask.url = question_printf(q, "%.*s/%.*s", STR_ARG(api), STR_ARG(s->path));
	ask.headers[n++] = question_printf(q, "Authorization: Bearer %.*s", STR_ARG(s->bearer)).p;
	ask.headers[n++] = "Accept: application/vnd.github+json";
	ask.headers[n++] = "X-GitHub-Api-Version: 2022-11-28";
	if (s->body.n)
		ask.headers[n++] = HTTP_JSON;
	return http_ask(q, &ask, ret);
}

static bool is_limited(const struct http_answer *a)
{
	struct str v;

	if (a->status != 403 && a->status != 429)
		return false;
	return http_header(a, "retry-after", &v) ||
	       (http_header(a, "x-ratelimit-remaining", &v) && str_is(v, "0"));
}

static int refused(struct question *q, const struct said *s, const struct http_answer *a)
{
	const char *words;
	bool clock;
	int r = github_fault(a->status, a->json, is_limited(a), &words, &clock);

	if (a->status >= 300 && a->status < 400)
		words = "a redirect: these are not followed";
	return question_fail(q, r, "%ld at %.*s%s%s", a->status, STR_ARG(s->path),
			     *words ? ": " : "", words);
}

/* ---- as the App ---- */

static int sign(struct question *q, struct str *ret)
{
	struct signing s = { .key = question_secret(q, PARAM_KEY),
			     .claims = github_claims(q, q->now + kept.ahead) };
	struct buf to;
	char why[256];
	int r;

	buf_init(&to, 8192);
	r = sign_token(&s, &to, why, sizeof(why));
	if (r == 0)
		*ret = arena_str(&q->arena, buf_str(&to));
	else
		question_fail(q, r, "key: %s", why);
	buf_done(&to);
	return r;
}

/* 1: the clock was the fault, and is set: worth another try. */
static int learn_clock(struct question *q, const struct http_answer *a)
{
	const char *words;
	struct str date;
	int64_t theirs, ahead;
	bool clock;

	(void)github_fault(a->status, a->json, false, &words, &clock);
	if (!clock || !http_header(a, "date", &date) || !github_date(date, &theirs))
		return 0;
	ahead = theirs - q->now;
	if (ahead > CLOCK_MAX || ahead < -CLOCK_MAX)
		return question_fail(q, -EACCES,
				     "this host's clock is %lld minutes %s GitHub's: set it right",
				     llabs(ahead) / 60, ahead < 0 ? "ahead of" : "behind");
	if (llabs(ahead - kept.ahead) < CLOCK_MIN)
		return 0;
	kept.ahead = ahead;
	return 1;
}

static int say_as_app(struct question *q, struct said *s, struct http_answer *ret)
{
	int r = sign(q, &s->bearer);

	if (r == 0)
		r = say(q, s, ret);
	if (r < 0 || ret->status != 401)
		return r;
	r = learn_clock(q, ret);
	if (r != 1)
		return r;
	r = sign(q, &s->bearer);
	return r == 0 ? say(q, s, ret) : r;
}

/* ---- the installation ---- */

static int look_up(struct question *q, const char *form, struct str name, int64_t *ret)
{
	struct said s = { .method = "GET" };
	struct http_answer a;
	int r;

	s.path = question_printf(q, "%s/%.*s/installation", form, STR_ARG(name));
	r = say_as_app(q, &s, &a);
	if (r < 0)
		return r;
	if (a.status != 200)
		return refused(q, &s, &a);
	return github_installation(q, a.json, ret);
}

static bool name_good(struct str name)
{
	unsigned slashes = 0;

	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (c == '/' && i && i + 1 < name.n)
			slashes++;
		else if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			   (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
			return false;
	}
	return name.n && name.n <= 200 && slashes <= 1 && name.p[0] != '.';
}

/* An id, an account ("acme") or one of its repositories ("acme/web"). */
static int find_installation(struct question *q, int64_t *ret)
{
	struct str name = question_param(q, PARAM_INSTALLATION);
	int64_t id;
	int r;

	if (kept.of && str_is(name, kept.of)) {
		*ret = kept.installation;
		return 0;
	}
	if (github_is_id(name)) {
		*ret = strtoll(name.p, NULL, 10);
		return 0;
	}
	if (!name_good(name))
		return question_fail(q, -EINVAL,
				     "installation: an id, an account's name or OWNER/REPOSITORY");
	if (memchr(name.p, '/', name.n)) {
		r = look_up(q, "repos", name, &id);
	} else {
		r = look_up(q, "orgs", name, &id);
		if (r == -ENOENT)
			r = look_up(q, "users", name, &id);
	}
	if (r < 0)
		return r;
	free(kept.of);
	kept.of = mem_dup(name);
	kept.installation = id;
	*ret = id;
	return 0;
}

static void forget_installation(void)
{
	free(kept.of);
	kept.of = NULL;
}

/* ---- the token ---- */

static int take_back(struct question *q, struct str token)
{
	const struct said s = { .method = "DELETE",
				.path = STR("installation/token"),
				.bearer = token };
	struct http_answer a;
	int r = say(q, &s, &a);

	/* 401: it is not valid any more. */
	if (r < 0 || a.status == 204 || a.status == 401)
		return r;
	return refused(q, &s, &a);
}

/* The server's time of its answer, by its own word or by what is known of its clock. */
static int64_t their_now(const struct question *q, const struct http_answer *a)
{
	struct str date;
	int64_t t;

	if (http_header(a, "date", &date) && github_date(date, &t))
		return t;
	return q->now + kept.ahead;
}

static int give(struct question *q, const struct http_answer *a, struct answer *ret)
{
	struct github_token t;
	char why[QUESTION_WHY_MAX];
	int64_t left;
	int r = github_token_read(q, a->json, &t);

	if (r < 0)
		return r;
	left = github_left(t.expires, their_now(q, a));
	r = github_token_fits(q, a->json);
	if (r == 0 && !left)
		r = question_fail(q, -EBADMSG, "the token that was given has expired already");
	if (r < 0) {
		memcpy(why, q->why, sizeof(why));
		(void)!take_back(q, t.token);
		memcpy(q->why, why, sizeof(why));
		return r;
	}
	ret->value = ret->handle = t.token;
	ret->expires_ms = (q->now + left) * 1000;
	return 0;
}

static int github_provide(struct question *q, struct answer *ret)
{
	struct said s = { .method = "POST", .body = github_body(q) };
	struct http_answer a;
	int64_t id = 0;
	bool known;
	int r;

	for (;;) {
		known = kept.of != NULL;
		r = find_installation(q, &id);
		if (r < 0)
			return r;
		s.path = question_printf(q, "app/installations/%" PRId64 "/access_tokens", id);
		r = say_as_app(q, &s, &a);
		if (r < 0)
			return r;
		if (a.status == 201)
			return give(q, &a, ret);
		/* Installed anew it has another id. */
		if (a.status != 404 || !known)
			return refused(q, &s, &a);
		forget_installation();
	}
}

static int github_revoke(struct question *q)
{
	return take_back(q, q->handle);
}

const struct provider_ops provider_github_app = { .name = "github-app",
						  .provide = github_provide,
						  .revoke = github_revoke };
