/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `for` in an image: checked, and held against a job's facts. Called by policy_for and
 * credential_for in egretd. Which facts may choose: those the CI server signed or the runner said
 * before user code; what is unverified chooses nothing but "any".
 */
#include "policy/image.h"

#include <errno.h>

bool table_ok(struct img_table t, size_t record, size_t n)
{
	return t.off <= n && t.n <= (n - t.off) / record;
}

bool range_ok(uint32_t at, uint32_t count, uint32_t n)
{
	return at <= n && count <= n - at;
}

bool str_ok(struct img_str s, struct img_table strings)
{
	return range_ok(s.off, s.n, strings.n);
}

int for_view_check(const struct for_view *v, size_t n)
{
	struct img_for f;
	struct img_cond c;
	struct img_str s;

	if (!table_ok(v->strings, 1, n) || !table_ok(v->fors, sizeof(f), n) ||
	    !table_ok(v->conds, sizeof(c), n) || !table_ok(v->values, sizeof(s), n))
		return -EBADMSG;
	for (uint32_t i = 0; i < v->fors.n; i++) {
		IMG_GET(v->p, v->fors, i, &f);
		if (!range_ok(f.cond, f.nconds, v->conds.n) || f.assurance > ASSURANCE_SIGNED ||
		    f.any > 1 || f.names_event > 1)
			return -EBADMSG;
	}
	for (uint32_t i = 0; i < v->conds.n; i++) {
		IMG_GET(v->p, v->conds, i, &c);
		if (!range_ok(c.value, c.nvalues, v->values.n) || c.key >= fact_keys_n)
			return -EBADMSG;
	}
	for (uint32_t i = 0; i < v->values.n; i++) {
		IMG_GET(v->p, v->values, i, &s);
		if (!str_ok(s, v->strings))
			return -EBADMSG;
	}
	return 0;
}

static bool fact(const struct facts *f, const char *key, struct str *ret)
{
	for (size_t i = 0; i < f->n; i++) {
		if (!str_is(f->list[i].key, key))
			continue;
		*ret = f->list[i].value;
		return true;
	}
	return false;
}

/* An event by which only people with write access start a job. Pull requests, forks and what is not
 * known are not. */
static bool event_is_own(const struct facts *f)
{
	static const char *const own[] = {
		"push",	      "tag",  "schedule", "release",	"workflow_dispatch",
		"deployment", "web",  "api",	  "trigger",	"manual",
		"create",     "chat", "pipeline", "merge_group"
	};
	struct str v;

	if (fact(f, "fork", &v) && !str_is(v, "false"))
		return false;
	if (!fact(f, "event", &v))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (str_is(v, own[i]))
			return true;
	return false;
}

static bool cond_fits(const struct for_view *v, const struct img_cond *c, const struct facts *f)
{
	struct str value;
	struct img_str s;

	/* No event is the unknown one: an entry can say that it takes it. */
	if (!fact(f, fact_keys[c->key], &value)) {
		if (strcmp(fact_keys[c->key], "event"))
			return false;
		value = STR("unknown");
	}
	for (uint32_t i = 0; i < c->nvalues; i++) {
		IMG_GET(v->p, v->values, c->value + i, &s);
		if (glob_fits(img_text(v->p, v->strings, s), value))
			return true;
	}
	return false;
}

int for_view_fits(const struct for_view *v, const struct facts *f)
{
	bool own = event_is_own(f);
	int best = -1;

	for (uint32_t i = 0; i < v->fors.n; i++) {
		struct img_for e;
		struct img_cond c;
		uint32_t k;

		IMG_GET(v->p, v->fors, i, &e);
		if (!e.any && ((unsigned)f->assurance < e.assurance || (!own && !e.names_event)))
			continue;
		for (k = 0; k < e.nconds; k++) {
			IMG_GET(v->p, v->conds, e.cond + k, &c);
			if (!cond_fits(v, &c, f))
				break;
		}
		if (k == e.nconds && (int)k > best)
			best = (int)k;
	}
	return best;
}
