/* SPDX-License-Identifier: Apache-2.0 */
/* Reads "for": whom a policy or a credential is for. Called by load_policy.c and load_credential.c
 * on scanned nodes. */
#include "policy/model.h"

const char *const fact_keys[] = {
	"provider", "org", "repo",  "repo_id", "ref",	      "sha",   "event",	 "fork",
	"workflow", "job", "stage", "run_id",  "environment", "actor", "runner",
};
const size_t fact_keys_n = ARRAY_SIZE(fact_keys);

static const char *const entry_keys[] = {
	"provider",    "org",	"repo",	    "repo_id",	 "ref",	  "sha",
	"event",       "fork",	"workflow", "job",	 "stage", "run_id",
	"environment", "actor", "runner",   "assurance", "role",
};

bool load_string(const struct load *l, const struct node *n, struct str *ret)
{
	if (n->kind != NODE_STRING) {
		diag_add(l->errors, l->file, n->at, n->key, "must be a string");
		return false;
	}
	*ret = n->text;
	return true;
}

static void load_value(const struct load *l, const struct node *n, struct str key,
		       struct for_cond *c)
{
	struct str v;

	if (c->key == FACT_FORK && n->kind == NODE_BOOL) {
		c->values[c->nvalues++] = n->number ? STR("true") : STR("false");
		return;
	}
	if (n->kind != NODE_STRING) {
		diag_add(l->errors, l->file, n->at, key,
			 c->key == FACT_FORK ? "must be true or false"
					     : "must be a string or a list of strings (write "
					       "numbers in quotes)");
		return;
	}
	v = n->text;
	if (c->key == FACT_FORK && !str_is(v, "true") && !str_is(v, "false"))
		diag_add(l->errors, l->file, n->at, key, "must be true or false");
	else if (v.n == 0)
		diag_add(l->errors, l->file, n->at, key,
			 "is empty; leave the key out to match any");
	else if (v.n > PATTERN_MAX)
		diag_add(l->errors, l->file, n->at, key, "is too long");
	else
		c->values[c->nvalues++] = v;
}

static void load_cond(const struct load *l, const struct node *n, unsigned key, struct for_entry *e)
{
	struct for_cond *c = arena_new(l->a, sizeof(*c));

	c->key = key;
	if (n->kind == NODE_ARRAY) {
		if (n->count == 0 || n->count > FOR_VALUES_MAX) {
			diag_add(l->errors, l->file, n->at, n->key, "must list 1 to %d values",
				 FOR_VALUES_MAX);
			return;
		}
		for (const struct node *v = n->first; v; v = v->next)
			load_value(l, v, n->key, c);
	} else {
		load_value(l, n, n->key, c);
	}
	c->next = e->conds;
	e->conds = c;
	e->nconds++;
	if (key == FACT_EVENT || key == FACT_FORK)
		e->names_event = true;
	if (key == FACT_ENVIRONMENT) /* only the CI server can vouch for it */
		e->assurance = ASSURANCE_SIGNED;
}

static void load_assurance(const struct load *l, const struct node *n, struct for_entry *e)
{
	static const char *const words[] = { "runner", "signed" };
	struct str v;

	if (!load_string(l, n, &v))
		return;
	if (str_is(v, "signed"))
		e->assurance = ASSURANCE_SIGNED;
	else if (str_is(v, "unverified"))
		diag_add(l->errors, l->file, n->at, n->key,
			 "what is unverified is never matched; \"runner\" or \"signed\"");
	else if (!str_is(v, "runner"))
		unknown_word(l, n->at, n->key, "assurance", v, words, ARRAY_SIZE(words));
}

static void load_roles(const struct load *l, const struct node *n, struct for_entry *e)
{
	const struct node *one = n->kind == NODE_ARRAY ? n->first : n;
	unsigned count = n->kind == NODE_ARRAY ? n->count : 1;

	if (count == 0 || count > FOR_VALUES_MAX) {
		diag_add(l->errors, l->file, n->at, n->key, "must name 1 to %d roles",
			 FOR_VALUES_MAX);
		return;
	}
	e->roles = arena_new(l->a, count * sizeof(*e->roles));
	for (unsigned i = 0; i < count; i++, one = one->next)
		if (load_string(l, one, &e->roles[e->nroles]))
			e->nroles++;
}

static struct for_entry *load_entry(const struct load *l, const struct node *n, bool roles_allowed)
{
	struct for_entry *e = arena_new(l->a, sizeof(*e));

	e->assurance = ASSURANCE_RUNNER;
	e->at = n->at;
	if (n->kind != NODE_OBJECT) {
		diag_add(l->errors, l->file, n->at, STR("for"),
			 "an entry must be an object, e.g. { \"repo\": \"acme/web\" }");
		return e;
	}
	if (!keys_known(l, n, entry_keys, ARRAY_SIZE(entry_keys)))
		return e;
	for (const struct node *m = n->first; m; m = m->next) {
		if (str_is(m->key, "role") && !roles_allowed)
			diag_add(l->errors, l->file, m->key_at, m->key, "only a policy has roles");
		else if (str_is(m->key, "role"))
			load_roles(l, m, e);
		for (unsigned k = 0; k < ARRAY_SIZE(fact_keys); k++)
			if (str_is(m->key, fact_keys[k]))
				load_cond(l, m, k, e);
	}
	/* Last, so that it can only be raised by what was read before. */
	for (const struct node *m = n->first; m; m = m->next)
		if (str_is(m->key, "assurance"))
			load_assurance(l, m, e);
	/* { } is for every job whose event is known and harmless; a credential must say "any" in
	 * full. */
	if (e->nconds == 0 && !roles_allowed)
		diag_add(l->errors, l->file, n->at, STR("for"),
			 "an entry without a fact would fit every job; say that with \"for\": "
			 "\"any\"");
	return e;
}

struct for_entry *load_for(const struct load *l, const struct node *n, bool roles_allowed)
{
	struct for_entry *first = NULL, **tail = &first;

	if (n->kind == NODE_STRING && str_is(n->text, "any")) {
		first = arena_new(l->a, sizeof(*first));
		first->any = true;
		first->at = n->at;
		return first;
	}
	if (n->kind != NODE_ARRAY) {
		diag_add(l->errors, l->file, n->at, n->key,
			 "must be a list of objects, or \"any\"");
		return NULL;
	}
	if (n->count == 0 || n->count > FOR_MAX) {
		diag_add(l->errors, l->file, n->at, n->key,
			 "must have 1 to %d entries; \"any\" fits every job", FOR_MAX);
		return NULL;
	}
	for (const struct node *m = n->first; m; m = m->next) {
		*tail = load_entry(l, m, roles_allowed);
		tail = &(*tail)->next;
	}
	return first;
}
