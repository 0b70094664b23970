/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one rule and lists of rules. Called by load_policy.c; the closed world of a rule's keys is
 * here. */
#include "policy/model.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static const char *const rule_keys[] = { "id",	       "allow",	 "deny", "direct", "query",
					 "credential", "limits", "refs", "until" };

/* "2027-01-31" (to its end, UTC) or "2027-01-31T12:00:00Z". */
int rule_until_parse(struct str s, uint64_t *ret_us)
{
	static const char date[] = "dddd-dd-dd", full[] = "dddd-dd-ddTdd:dd:ddZ";
	const char *form = s.n == sizeof(date) - 1 ? date : full;
	struct tm tm = { 0 }, back;
	time_t t;

	if (s.n != strlen(form))
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++)
		if (form[i] == 'd' ? s.p[i] < '0' || s.p[i] > '9' : s.p[i] != form[i])
			return -EINVAL;
#define TWO(at) ((s.p[at] - '0') * 10 + s.p[(at) + 1] - '0')
	tm.tm_year = TWO(0) * 100 + TWO(2) - 1900;
	tm.tm_mon = TWO(5) - 1;
	tm.tm_mday = TWO(8);
	if (form == full) {
		tm.tm_hour = TWO(11);
		tm.tm_min = TWO(14);
		tm.tm_sec = TWO(17);
	}
#undef TWO
	back = tm;
	t = timegm(&tm);
	/* timegm carries over: what came back changed was no date */
	if (t < 0 || tm.tm_mon != back.tm_mon || tm.tm_mday != back.tm_mday ||
	    tm.tm_hour != back.tm_hour || tm.tm_min != back.tm_min || tm.tm_sec != back.tm_sec)
		return -EINVAL;
	if (form == date)
		t += 86400;
	*ret_us = (uint64_t)t * 1000000;
	return 0;
}

static bool one_limit(struct str s)
{
	static const char *const units[] = { "/s", "/m", "/h", "/job", "MB/job", " at once" };
	static const char *const pers[] = { " per job", " per repo", " per org", " per credential",
					    " per host" };
	size_t digits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(pers); i++) {
		size_t n = strlen(pers[i]);

		if (s.n > n && memcmp(s.p + s.n - n, pers[i], n) == 0) {
			s.n -= n;
			break;
		}
	}
	while (digits < s.n && digits < 9 && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	if (digits == 0 || s.p[0] == '0')
		return false;
	s = (struct str){ s.p + digits, s.n - digits };
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (str_is(s, units[i]))
			return true;
	return false;
}

bool rule_limits_check(const struct load *l, const struct node *n)
{
	bool ok = n->kind == NODE_ARRAY && n->count > 0;

	if (!ok)
		diag_add(l->errors, l->file, n->at, n->key,
			 "must be a list, e.g. [\"10/m per repo\"]");
	for (const struct node *m = ok ? n->first : NULL; m; m = m->next) {
		if (m->kind == NODE_STRING && one_limit(m->text))
			continue;
		diag_add(l->errors, l->file, m->at, n->key,
			 "must be N/s, N/m, N/h, N/job, NMB/job or \"N at once\", then \"per "
			 "job|repo|org|credential|host\" if wanted");
		ok = false;
	}
	return ok;
}

static void load_query(const struct load *l, const struct node *n, struct rule *r)
{
	if (n->kind != NODE_ARRAY || n->count > QUERY_MAX) {
		diag_add(l->errors, l->file, n->at, n->key,
			 "must list the allowed names (at most %d); [] allows no query", QUERY_MAX);
		return;
	}
	if (r->deny || r->git || (r->scheme != SCHEME_HTTP && r->scheme != SCHEME_HTTPS)) {
		diag_add(l->errors, l->file, n->key_at, n->key,
			 "only an allow rule for http:// or https:// with plain methods has a "
			 "query");
		return;
	}
	r->has_query = true;
	r->query = arena_new(l->a, (n->count + 1) * sizeof(*r->query));
	for (const struct node *m = n->first; m; m = m->next) {
		struct str v;

		if (m->kind != NODE_STRING || m->text.n == 0 || m->text.n > 256) {
			diag_add(l->errors, l->file, m->at, n->key,
				 "a name must be a string of 1 to 256 bytes");
			continue;
		}
		v = m->text;
		if (memchr(v.p, '*', v.n))
			diag_add(l->errors, l->file, m->at, n->key,
				 "names are matched whole; leave \"query\" out to allow any query");
		r->query[r->nquery++] = v;
	}
}

static void load_refs(const struct load *l, const struct node *n, struct rule *r)
{
	const char *why;

	if (r->git != GIT_PUSH) {
		diag_add(l->errors, l->file, n->key_at, n->key,
			 "only a rule with the method GIT-PUSH alone has refs");
		return;
	}
	if (n->kind != NODE_ARRAY || n->count == 0 || n->count > REFS_MAX) {
		diag_add(l->errors, l->file, n->at, n->key,
			 "must list 1 to %d names or patterns, e.g. [\"refs/tags/v*\"]; leave it "
			 "out for all refs",
			 REFS_MAX);
		return;
	}
	r->refs = arena_new(l->a, n->count * sizeof(*r->refs));
	for (const struct node *m = n->first; m; m = m->next) {
		why = "must be a string";
		if (m->kind != NODE_STRING ||
		    ref_pattern_parse(l->a, m->text, &r->refs[r->nrefs], &why) < 0)
			diag_add(l->errors, l->file, m->at, n->key, "%s", why);
		else
			r->nrefs++;
	}
}

/* The kernel lets members talk for as long as the job lasts, whatever they say. */
static void services_alone(const struct load *l, const struct node *n)
{
	for (const struct node *m = n->first; m; m = m->next)
		if (!str_is(m->key, "id") && !str_is(m->key, "allow"))
			diag_add(l->errors, l->file, m->key_at, m->key,
				 "the rule \"services\" takes nothing but an id");
}

static void load_rule_keys(const struct load *l, const struct node *n, struct rule *r)
{
	for (const struct node *m = n->first; m; m = m->next) {
		if (str_is(m->key, "query")) {
			load_query(l, m, r);
		} else if (str_is(m->key, "credential")) {
			r->credential_at = m->at;
			if (!load_string(l, m, &r->credential))
				continue;
			if (!name_well_formed(r->credential))
				diag_add(l->errors, l->file, m->at, m->key,
					 "not a credential's name");
			else if (r->deny)
				diag_add(l->errors, l->file, m->key_at, m->key,
					 "a deny rule gives no credential");
			else if (r->scheme != SCHEME_HTTPS)
				diag_add(l->errors, l->file, m->key_at, m->key,
					 "a credential goes only over https:// that egret opens "
					 "and verifies");
			else if (r->host.kind == HOST_ADDR)
				diag_add(l->errors, l->file, m->key_at, m->key,
					 "a credential goes to names, never to an address");
		} else if (str_is(m->key, "limits")) {
			if (rule_limits_check(l, m))
				diag_add(l->errors, l->file, m->key_at, m->key,
					 "not available in this version; take it out, it would not "
					 "be enforced");
		} else if (str_is(m->key, "refs")) {
			load_refs(l, m, r);
		} else if (str_is(m->key, "until")) {
			struct str v;

			if (load_string(l, m, &v) && rule_until_parse(v, &r->until_us) < 0)
				diag_add(l->errors, l->file, m->at, m->key,
					 "must be a date (2027-01-31, to its end in UTC) or a time "
					 "(2027-01-31T12:00:00Z)");
		}
	}
}

static struct rule *load_rule(const struct load *l, const struct node *n, unsigned number)
{
	const struct node *allow, *deny, *direct, *id, *what;
	struct rule *r = arena_new(l->a, sizeof(*r));
	char text[RULE_TEXT_MAX + 32];
	int k;

	r->file = l->file;
	r->at = n->at;
	if (n->kind != NODE_OBJECT) {
		diag_add(l->errors, l->file, n->at, STR("rules"),
			 "a rule must be an object, e.g. { \"id\": \"api\", \"allow\": \"READ "
			 "https://api.github.com/**\" }");
		return NULL;
	}
	if (!keys_known(l, n, rule_keys, ARRAY_SIZE(rule_keys)))
		return NULL;
	allow = node_get(n, "allow");
	deny = node_get(n, "deny");
	direct = node_get(n, "direct");
	if (!!allow + !!deny + !!direct != 1) {
		diag_add(l->errors, l->file, n->at, STR("rules"),
			 "a rule has exactly one of allow, deny and direct");
		return NULL;
	}
	what = allow ? allow : deny ? deny : direct;
	if (what->kind != NODE_STRING) {
		diag_add(l->errors, l->file, what->at, what->key,
			 "must be one string; write a rule for each");
		return NULL;
	}
	id = node_get(n, "id");
	if (id && (id->kind != NODE_STRING || !name_well_formed(id->text) || id->text.n > 64)) {
		diag_add(l->errors, l->file, id->at, id->key,
			 "must be 1 to 64 letters, digits, '.', '_' or '-'");
		return NULL;
	}
	if (id) {
		r->id = id->text;
	} else {
		k = snprintf(text, sizeof(text), "#%u", number);
		r->id = arena_str(l->a, (struct str){ text, (size_t)k });
	}
	r->deny = deny != NULL;
	if ((what == direct ? rule_direct_parse(l, what, r) : rule_pattern_parse(l, what, r)) < 0)
		return NULL;
	k = snprintf(text, sizeof(text), "%.*s %.*s", STR_ARG(what->key), STR_ARG(what->text));
	r->text = arena_str(l->a, (struct str){ text, (size_t)k });
	if (r->scheme == SCHEME_SERVICES)
		services_alone(l, n);
	else
		load_rule_keys(l, n, r);
	return r;
}

struct rule *load_rules(const struct load *l, const struct node *list)
{
	struct rule *first = NULL, **tail = &first;
	unsigned number = 0;

	if (list->kind != NODE_ARRAY) {
		diag_add(l->errors, l->file, list->at, list->key, "must be a list of rules");
		return NULL;
	}
	if (list->count > RULES_MAX) {
		diag_add(l->errors, l->file, list->at, list->key, "more than %d rules", RULES_MAX);
		return NULL;
	}
	for (const struct node *m = list->first; m; m = m->next) {
		struct rule *r = load_rule(l, m, ++number);

		if (!r)
			continue;
		*tail = r;
		tail = &r->next;
	}
	return first;
}
