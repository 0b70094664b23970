/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one policy file into a model. Called by compile.c; includes and credentials are looked up
 * there. */
#include "policy/model.h"

static const char *const policy_keys[] = { "$schema",  "version", "name",	 "mode",
					   "for",      "include", "rules",	 "roles",
					   "priority", "inbound", "capabilities" };

static void load_mode(const struct load *l, const struct node *n, struct policy_model *m)
{
	static const char *const modes[] = { "enforce", "audit" };
	struct str v;

	if (!load_string(l, n, &v))
		return;
	if (str_is(v, "audit"))
		m->mode = POLICY_AUDIT;
	else if (!str_is(v, "enforce"))
		unknown_word(l, n->at, n->key, "mode", v, modes, ARRAY_SIZE(modes));
}

static void load_inbound(const struct load *l, const struct node *n, struct policy_model *m)
{
	static const char *const words[] = { "deny", "allow" };
	struct str v;

	if (!load_string(l, n, &v))
		return;
	if (str_is(v, "allow"))
		m->settings |= SETTING_INBOUND;
	else if (!str_is(v, "deny"))
		unknown_word(l, n->at, n->key, "word", v, words, ARRAY_SIZE(words));
}

static void load_capabilities(const struct load *l, const struct node *n, struct policy_model *m)
{
	static const char *const words[] = { "NET_RAW", "NET_ADMIN" };

	if (n->kind != NODE_ARRAY || n->count > ARRAY_SIZE(words)) {
		diag_add(l->errors, l->file, n->at, n->key,
			 "must be a list of NET_RAW and NET_ADMIN; [] leaves none");
		return;
	}
	for (const struct node *i = n->first; i; i = i->next) {
		struct str v = i->kind == NODE_STRING ? i->text : (struct str){ 0 };

		if (str_is(v, "NET_RAW"))
			m->settings |= SETTING_NET_RAW;
		else if (str_is(v, "NET_ADMIN"))
			m->settings |= SETTING_NET_ADMIN;
		else if (v.n)
			unknown_word(l, i->at, n->key, "capability", v, words, ARRAY_SIZE(words));
		else
			diag_add(l->errors, l->file, i->at, n->key,
				 "must be \"NET_RAW\" or \"NET_ADMIN\"");
	}
}

static void load_includes(const struct load *l, const struct node *n, struct policy_model *m)
{
	struct include **tail = &m->includes;

	if (n->kind != NODE_ARRAY || n->count > 64) {
		diag_add(l->errors, l->file, n->at, n->key,
			 "must be a list of at most 64 policy names");
		return;
	}
	for (const struct node *i = n->first; i; i = i->next) {
		struct include *one;

		if (i->kind != NODE_STRING || !name_well_formed(i->text)) {
			diag_add(l->errors, l->file, i->at, n->key,
				 "must be a policy's name, without folder or .json");
			continue;
		}
		one = arena_new(l->a, sizeof(*one));
		one->name = i->text;
		one->at = i->at;
		*tail = one;
		tail = &one->next;
	}
}

static void load_role_lists(const struct load *l, const struct node *n, struct policy_model *m)
{
	struct role **tail = &m->roles;

	if (n->kind != NODE_OBJECT) {
		diag_add(l->errors, l->file, n->at, n->key, "must be an object of rule lists");
		return;
	}
	for (const struct node *i = n->first; i; i = i->next) {
		struct role *one;

		if (!name_well_formed(i->key) || i->key.n > 32) {
			diag_add(l->errors, l->file, i->key_at, n->key,
				 "a role's name is 1 to 32 letters, digits, '.', '_' or '-'");
			continue;
		}
		one = arena_new(l->a, sizeof(*one));
		one->name = i->key;
		one->rules = load_rules(l, i);
		*tail = one;
		tail = &one->next;
	}
}

/* An id names one rule, whatever roles are given. */
static void check_ids(const struct load *l, struct rule *const *lists, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (const struct rule *r = lists[i]; r; r = r->next) {
			bool twice = false;

			if (r->id.p[0] == '#')
				continue;
			for (size_t j = 0; j <= i && !twice; j++)
				for (const struct rule *o = lists[j]; o && o != r && !twice;
				     o = o->next)
					twice = str_eq(o->id, r->id);
			if (twice)
				diag_add(l->errors, l->file, r->at, STR("id"),
					 "another rule has the id \"%.*s\"", STR_ARG(r->id));
		}
	}
}

static struct role *role_find(const struct policy_model *m, struct str name)
{
	for (struct role *r = m->roles; r; r = r->next)
		if (str_eq(r->name, name))
			return r;
	return NULL;
}

static void check_roles(const struct load *l, const struct policy_model *m)
{
	const char *names[64];
	size_t n = 0;

	for (const struct role *r = m->roles; r && n < ARRAY_SIZE(names); r = r->next)
		names[n++] = r->name.p; /* arena strings end in NUL */
	for (const struct for_entry *e = m->fors; e; e = e->next)
		for (unsigned i = 0; i < e->nroles; i++)
			if (!role_find(m, e->roles[i]))
				unknown_word(l, e->at, STR("role"), "role", e->roles[i], names, n);
}

/* "npm.json" in any folder is named npm if the file does not say. */
static struct str name_of_file(struct str path)
{
	const char *slash = path.n ? memrchr(path.p, '/', path.n) : NULL;

	if (slash)
		path = (struct str){ slash + 1, path.n - (size_t)(slash - path.p) - 1 };
	if (path.n > 5 && memcmp(path.p + path.n - 5, ".json", 5) == 0)
		path.n -= 5;
	return path;
}

struct policy_model *load_policy(const struct load *l)
{
	struct policy_model *m = arena_new(l->a, sizeof(*m));
	const struct node *root = json_load(l->a, l->file, l->errors);
	struct rule *lists[65];
	size_t nlists = 0;
	const struct node *n;
	unsigned before = l->errors->count;

	if (!root)
		return NULL;
	m->file = l->file;
	m->name = name_of_file(l->file->name);
	if (root->kind != NODE_OBJECT) {
		diag_add(l->errors, l->file, root->at, (struct str){ 0 },
			 "a policy is an object: { \"name\": ..., \"rules\": [...] }");
		return NULL;
	}
	if (!keys_known(l, root, policy_keys, ARRAY_SIZE(policy_keys)))
		before = UINT32_MAX; /* go on, to name the other errors too */
	n = node_get(root, "version");
	if (n && (n->kind != NODE_NUMBER || n->number != 1))
		diag_add(l->errors, l->file, n->at, n->key, "this egret reads version 1");
	n = node_get(root, "name");
	if (n)
		load_string(l, n, &m->name);
	if (!name_well_formed(m->name))
		diag_add(l->errors, l->file, n ? n->at : root->at, STR("name"),
			 "a policy needs a name of letters, digits, '.', '_' or '-'");
	n = node_get(root, "mode");
	if (n)
		load_mode(l, n, m);
	n = node_get(root, "priority");
	if (n && n->kind != NODE_NUMBER)
		diag_add(l->errors, l->file, n->at, n->key, "must be a whole number");
	else if (n)
		m->priority = n->number;
	n = node_get(root, "inbound");
	if (n)
		load_inbound(l, n, m);
	n = node_get(root, "capabilities");
	if (n)
		load_capabilities(l, n, m);
	n = node_get(root, "for");
	if (n)
		m->fors = load_for(l, n, true);
	n = node_get(root, "include");
	if (n)
		load_includes(l, n, m);
	n = node_get(root, "rules");
	if (n)
		m->rules = load_rules(l, n);
	else
		diag_add(l->errors, l->file, root->at, STR("rules"),
			 "is missing; \"rules\": [] denies everything");
	n = node_get(root, "roles");
	if (n && n->count > 64)
		diag_add(l->errors, l->file, n->at, n->key, "more than 64 roles");
	else if (n)
		load_role_lists(l, n, m);
	lists[nlists++] = m->rules;
	for (const struct role *r = m->roles; r; r = r->next)
		lists[nlists++] = r->rules;
	check_ids(l, lists, nlists);
	check_roles(l, m);
	return before == l->errors->count ? m : NULL;
}
