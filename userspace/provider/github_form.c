/* SPDX-License-Identifier: Apache-2.0 */
/* See github_form.h. */
#include "provider/github_form.h"

#include "provider/http.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define NAMES_MAX 600 /* repositories of an answer, permissions of one */
#define BACK_S 60     /* clocks that run ahead of GitHub's */
#define LIFE_S 600    /* the longest that it takes */
#define TOKEN_S 3600  /* the longest that it gives tokens for */

/* ---- what is said ---- */

bool github_is_id(struct str s)
{
	uint64_t v;

	return str_u64(s, &v) == 0 && v > 0 && v < 1ull << 53;
}

struct str github_claims(struct question *q, int64_t now)
{
	struct str app = question_param(q, PARAM_APP_ID);

	/* Old servers take a number alone, a client's id is a text. */
	if (!github_is_id(app))
		app = json_quoted(q, app);
	return question_printf(q, "{\"iat\":%" PRId64 ",\"exp\":%" PRId64 ",\"iss\":%.*s}",
			       now - BACK_S, now - BACK_S + LIFE_S, STR_ARG(app));
}

static struct str comma(struct question *q, struct str before, struct str more)
{
	return question_printf(q, "%.*s%s%.*s", STR_ARG(before), before.n ? "," : "",
			       STR_ARG(more));
}

/* "contents=read" of the credential's permissions. */
static struct str split(struct str pair, struct str *ret_level)
{
	const char *eq = memchr(pair.p, '=', pair.n);
	size_t n = eq ? (size_t)(eq - pair.p) : pair.n;

	*ret_level = eq ? (struct str){ eq + 1, pair.n - n - 1 } : (struct str){ "", 0 };
	return (struct str){ pair.p, n };
}

struct str github_body(struct question *q)
{
	struct str names = { "", 0 }, levels = { "", 0 }, done = { "", 0 }, one, level;
	size_t at = 0;

	while (question_each_param(q, PARAM_REPOSITORIES, &at, &one))
		names = comma(q, names, json_quoted(q, one));
	at = 0;
	while (question_each_param(q, PARAM_PERMISSIONS, &at, &one)) {
		one = split(one, &level);
		one = json_quoted(q, one);
		level = json_quoted(q, level);
		levels = comma(q, levels,
			       question_printf(q, "%.*s:%.*s", STR_ARG(one), STR_ARG(level)));
	}
	if (names.n)
		done = question_printf(q, "\"repositories\":[%.*s]", STR_ARG(names));
	if (levels.n)
		done = comma(q, done,
			     question_printf(q, "\"permissions\":{%.*s}", STR_ARG(levels)));
	return question_printf(q, "{%.*s}", STR_ARG(done));
}

/* ---- what is answered ---- */

static bool plain(struct str s, const char *more)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c && strchr(more, c))))
			return false;
	}
	return s.n > 0;
}

int github_token_read(struct question *q, const struct node *root, struct github_token *ret)
{
	struct github_token to;
	struct str expires;

	if (!node_text(root, "token", GITHUB_TOKEN_MAX, &to.token) || !plain(to.token, "_.-") ||
	    !node_text(root, "expires_at", 64, &expires) || time_rfc3339(expires, &to.expires) < 0)
		return question_fail(q, -EBADMSG,
				     "the answer has no token, or not the time when it ends");
	*ret = to;
	return 0;
}

static int level_of(struct str level)
{
	static const char *const levels[] = { "none", "read", "write", "admin" };

	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++)
		if (str_is(level, levels[i]))
			return (int)i;
	return 99;
}

static int asked_level(const struct question *q, struct str name)
{
	struct str one, level;
	size_t at = 0;

	while (question_each_param(q, PARAM_PERMISSIONS, &at, &one))
		if (str_eq(split(one, &level), name))
			return level_of(level);
	return str_is(name, "metadata") ? 1 : 0; /* which each token may read */
}

static bool asked_name(const struct question *q, struct str name)
{
	struct str one;
	size_t at = 0;

	while (question_each_param(q, PARAM_REPOSITORIES, &at, &one))
		if (str_eq_nocase(one, name))
			return true;
	return false;
}

static int wider(struct question *q, const char *what, struct str name)
{
	return question_fail(q, -EACCES,
			     "the token may do more than was asked for (%s%s%.*s); it is not used",
			     what, name.n ? " " : "", name.n > 100 ? 100 : (int)name.n,
			     plain(name, "_.-/") ? name.p : "?");
}

static int permissions_fit(struct question *q, const struct node *root)
{
	const struct node *given = node_object(root, "permissions");
	unsigned seen = 0;

	if (!question_param(q, PARAM_PERMISSIONS).n)
		return 0;
	if (!given)
		return wider(q, "it does not say its permissions", (struct str){ "", 0 });
	for (const struct node *p = given->first; p; p = p->next) {
		if (++seen > NAMES_MAX || p->kind != NODE_STRING ||
		    level_of(p->text) > asked_level(q, p->key))
			return wider(q, "permission", p->key);
	}
	return 0;
}

static int repositories_fit(struct question *q, const struct node *root)
{
	const struct node *given = node_get(root, "repositories");
	struct str how, name;
	unsigned seen = 0;

	if (!question_param(q, PARAM_REPOSITORIES).n)
		return 0;
	if (node_text(root, "repository_selection", 32, &how) && !str_is(how, "selected"))
		return wider(q, "all repositories", (struct str){ "", 0 });
	if (!given || given->kind != NODE_ARRAY)
		return wider(q, "it does not say its repositories", (struct str){ "", 0 });
	for (const struct node *p = given->first; p; p = p->next) {
		if (!node_text(p, "name", 256, &name))
			name = (struct str){ "?", 1 };
		if (++seen > NAMES_MAX || !asked_name(q, name))
			return wider(q, "repository", name);
	}
	return 0;
}

int github_token_fits(struct question *q, const struct node *root)
{
	int r = permissions_fit(q, root);

	return r == 0 ? repositories_fit(q, root) : r;
}

int github_installation(struct question *q, const struct node *root, int64_t *ret)
{
	const struct node *suspended;
	int64_t id;

	if (!node_whole(root, "id", &id) || id < 1 || id >= 1ll << 53)
		return question_fail(q, -EBADMSG, "the answer does not name an installation");
	suspended = node_get(root, "suspended_at");
	if (suspended && suspended->kind != NODE_NULL)
		return question_fail(q, -EACCES, "the app's installation is suspended");
	*ret = id;
	return 0;
}

/* ---- times ---- */

int64_t github_left(int64_t expires, int64_t now)
{
	if (expires <= now)
		return 0;
	return expires > now + TOKEN_S ? TOKEN_S : expires - now;
}

bool github_date(struct str s, int64_t *ret)
{
	char text[64];
	struct tm tm = { 0 };
	const char *end;
	time_t t;

	if (!s.n || s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (!end || *end)
		return false;
	t = timegm(&tm);
	*ret = t;
	return t > 0;
}

/* ---- what goes wrong ---- */

/* The first that the server's text holds. */
static const struct {
	const char *text, *words;
	bool clock, again;
} faults[] = {
	{ "rate limit", "too many requests", false, true },
	{ "Expiration time", "the clocks differ, or the app's token was not taken", true, false },
	{ "Issued at", "the clocks differ, or the app's token was not taken", true, false },
	{ "could not be decoded", "the key is none of the app's", false, false },
	{ "'Issuer' claim", "there is no such app (app_id)", false, false },
	{ "Integration not found", "there is no such app (app_id)", false, false },
	{ "suspended", "the app's installation is suspended", false, false },
	{ "IP allow list", "the organization does not allow this host's address", false, false },
	{ "repository that does not exist", "a repository is not one of the installation's", false,
	  false },
	{ "permissions requested", "the installation does not have these permissions", false,
	  false },
	{ "Bad credentials", "the token is not valid any more", false, false },
	{ "User-Agent", "it wants a User-Agent", false, false },
	{ "Not Found", "it is not there, or not the app's to see", false, false },
};

int github_fault(long status, const struct node *root, bool limited, const char **ret_words,
		 bool *ret_clock)
{
	bool again = status == 408 || status == 429 || status >= 500 || limited;
	struct str message;

	*ret_words = limited ? "too many requests" : "";
	*ret_clock = false;
	if (node_text(root, "message", 4096, &message) && !limited) {
		for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
			const char *text = faults[i].text;

			if (!memmem(message.p, message.n, text, strlen(text)))
				continue;
			*ret_words = faults[i].words;
			*ret_clock = faults[i].clock && status == 401;
			again = again || faults[i].again;
			break;
		}
	}
	if (again)
		return -EAGAIN;
	return status == 404 ? -ENOENT : -EACCES;
}
