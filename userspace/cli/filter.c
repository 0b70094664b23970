// SPDX-License-Identifier: Apache-2.0
/* Filters of `egret events` and `egret summary` (cli/filter.h). The lines they look at may come
 * from any file: only read, never kept. */
#include "cli/filter.h"
#include "event/event.h"
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>

static const char *const names[FILTER_KEYS] = {
	[FILTER_VERDICT] = "verdict", [FILTER_KIND] = "kind",
	[FILTER_JOB] = "job",	      [FILTER_REPO] = "repo",
	[FILTER_HOST] = "host",	      [FILTER_CREDENTIAL] = "credential",
	[FILTER_LEASE] = "lease",     [FILTER_RULE] = "rule",
	[FILTER_REASON] = "reason",   [FILTER_METHOD] = "method",
	[FILTER_STATUS] = "status",
};

/* Where each key looks: any of these. */
static const char *const paths[FILTER_KEYS][5] = {
	[FILTER_VERDICT] = { "verdict" },
	[FILTER_KIND] = { "kind" },
	[FILTER_JOB] = { "job.id" },
	[FILTER_REPO] = { "job.repo" },
	[FILTER_HOST] = { "dest.host", "http.host", "tls.sni", "dns.name", "dest.ip" },
	[FILTER_CREDENTIAL] = { "credential.name" },
	[FILTER_LEASE] = { "credential.lease" },
	[FILTER_RULE] = { "rule" },
	[FILTER_REASON] = { "reason" },
	[FILTER_METHOD] = { "http.method" },
	[FILTER_STATUS] = { "http.status" },
};

enum filter_key filter_key_of(const char *name)
{
	for (unsigned k = 0; k < FILTER_KEYS; k++)
		if (!strcmp(name, names[k]))
			return (enum filter_key)k;
	return FILTER_KEYS;
}

static bool is_pattern(const char *s)
{
	return strpbrk(s, "*?[") != NULL;
}

static bool known_verdict(const char *s)
{
	for (unsigned v = VERDICT_ALLOW; v <= VERDICT_WOULD_DENY; v++)
		if (!strcmp(s, event_verdict_name((enum event_verdict)v)))
			return true;
	return false;
}

static bool known_kind(const char *s)
{
	for (unsigned k = 1; k < EVENT_KINDS_END; k++)
		if (!strcmp(s, event_kind_name((enum event_kind)k)))
			return true;
	return false;
}

/* "403", "4xx", "40x", "5+" */
static bool status_form(const char *s)
{
	size_t n = strlen(s);

	if (n == 2 && s[0] >= '1' && s[0] <= '9' && s[1] == '+')
		return true;
	if (n != 3 || s[0] < '1' || s[0] > '9')
		return false;
	for (size_t i = 1; i < 3; i++)
		if (!isdigit((unsigned char)s[i]) && tolower((unsigned char)s[i]) != 'x')
			return false;
	return true;
}

static bool status_fits(const char *pattern, uint64_t status)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)status);
	if (pattern[1] == '+')
		return strlen(text) == 3 && text[0] >= pattern[0];
	if (strlen(text) != 3)
		return false;
	for (size_t i = 0; i < 3; i++)
		if (tolower((unsigned char)pattern[i]) != 'x' && pattern[i] != text[i])
			return false;
	return true;
}

int filter_add(struct filters *f, enum filter_key key, const char *value, bool negated,
	       const char **ret_why)
{
	const char *why = NULL;

	if (f->n == FILTERS_MAX)
		return -E2BIG;
	if (!*value)
		why = "it is empty";
	else if (key == FILTER_VERDICT && !is_pattern(value) && !known_verdict(value))
		why = "verdicts are allow, deny and would_deny";
	else if (key == FILTER_KIND && !is_pattern(value) && !known_kind(value))
		why = "no event is of this kind; egret-events(5) lists them";
	else if (key == FILTER_STATUS && !status_form(value))
		why = "a status is 403, 4xx or 5+";
	if (why) {
		*ret_why = why;
		return -EINVAL;
	}
	f->list[f->n++] = (struct filter){ key, value, negated };
	return 0;
}

static bool fits(const struct filter *f, const struct json_line *l)
{
	bool folded = f->key == FILTER_HOST || f->key == FILTER_METHOD;

	for (unsigned i = 0; i < ARRAY_SIZE(paths[0]) && paths[f->key][i]; i++) {
		const struct json_value *v = json_get(l, paths[f->key][i]);
		char text[1100];

		if (!v)
			continue;
		if (f->key == FILTER_STATUS) {
			if (v->kind == JSON_NUM && status_fits(f->value, v->num))
				return true;
			continue;
		}
		if (v->kind != JSON_TEXT || v->text.n >= sizeof(text))
			continue;
		memcpy(text, v->text.p, v->text.n);
		text[v->text.n] = 0;
		if (!fnmatch(f->value, text, folded ? FNM_CASEFOLD : 0))
			return true;
	}
	return false;
}

/* One of the plain ones of this key if there are any, and none of those turned round. */
static bool key_match(const struct filters *f, enum filter_key key, const struct json_line *l)
{
	bool asked = false, found = false;

	for (unsigned i = 0; i < f->n; i++) {
		const struct filter *one = &f->list[i];

		if (one->key != key)
			continue;
		if (one->negated) {
			if (fits(one, l))
				return false;
			continue;
		}
		asked = true;
		found = found || fits(one, l);
	}
	return found || !asked;
}

bool filter_match(const struct filters *f, const struct json_line *l)
{
	struct str time = json_text(l, "time");
	char when[CLOCK_TEXT_MAX] = "";
	uint64_t seq;

	if (f->after && (!json_num(l, "seq", &seq) || seq <= f->after))
		return false;
	/* One form, one zone: their order as text is their order in time. */
	if (time.n < sizeof(when))
		memcpy(when, time.p, time.n);
	if ((f->since[0] && strcmp(when, f->since) < 0) ||
	    (f->until[0] && strcmp(when, f->until) > 0))
		return false;
	for (unsigned k = 0; k < FILTER_KEYS; k++)
		if (!key_match(f, (enum filter_key)k, l))
			return false;
	return true;
}

static int time_before(const char *s, uint64_t now_us, char *to)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	uint64_t sum = 0;

	while (*s) {
		uint64_t n;
		size_t digits = strspn(s, "0123456789"), u;

		if (!digits || digits > 9 || str_u64((struct str){ s, digits }, &n))
			return -EINVAL;
		for (u = 0; u < ARRAY_SIZE(units) && units[u].unit != s[digits]; u++)
			;
		if (u == ARRAY_SIZE(units))
			return -EINVAL;
		sum += n * units[u].seconds;
		s += digits + 1;
	}
	sum = sum > UINT64_MAX / 1000000 ? UINT64_MAX : sum * 1000000;
	clock_text(sum < now_us ? now_us - sum : 0, to);
	return 0;
}

/* A digit for each 0 of the form, the same byte for the others. */
static bool has_form(const char *s, const char *form)
{
	for (; *form; s++, form++)
		if (*form == '0' ? !isdigit((unsigned char)*s) : *s != *form)
			return false;
	return true;
}

int filter_time(const char *text, uint64_t now_us, char *to)
{
	char full[CLOCK_TEXT_MAX] = "0000-00-00T00:00:00.000000Z";
	size_t n = strlen(text);

	if (n >= 2 && isdigit((unsigned char)text[0]) && isalpha((unsigned char)text[n - 1]) &&
	    text[n - 1] != 'Z')
		return time_before(text, now_us, to);
	if (n < 10 || !has_form(text, "0000-00-00"))
		return -EINVAL;
	memcpy(full, text, 10);
	if (n > 10) {
		/* "2026-11-22T09:14Z", with seconds, with a fraction: Z or nothing means UTC */
		if (text[n - 1] == 'Z')
			n--;
		if (n < 16 || n > 26 || (text[10] != 'T' && text[10] != ' ') ||
		    !has_form(text + 11, "00:00") ||
		    (n > 16 && (n < 19 || !has_form(text + 16, ":00"))))
			return -EINVAL;
		if (n > 19 &&
		    (text[19] != '.' || n == 20 || strspn(text + 20, "0123456789") != n - 20))
			return -EINVAL;
		memcpy(full + 11, text + 11, n - 11);
	}
	memcpy(to, full, sizeof(full));
	return 0;
}
