/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts sources together: loads them, resolves includes and roles, adds the baseline, holds rules
 * against credentials, writes images. Called by egret-compile and by the command line. The sources
 * are files that anyone may have written.
 */
#include "policy/compile.h"
#include "base/clock.h"
#include "policy/model.h"

#include <errno.h>
#include <stdio.h>

#define INCLUDES_MAX 64 /* in one policy, those of includes counted */

struct unit {
	const struct source *source;
	struct diag_file file;
	struct policy_model *policy;
	struct credential_model *credential;
	struct diag errors; /* an include's: shown when somebody includes it */
	bool loaded, shown;
};

struct compile {
	struct compiled *out;
	struct unit *units;
	size_t n;
	unsigned flags;
};

static struct load load_of(struct compile *c, struct unit *u, struct diag *errors)
{
	return (struct load){ &c->out->arena, &u->file, errors, &c->out->warnings };
}

static void unit_load(struct compile *c, struct unit *u)
{
	struct load l =
		load_of(c, u, u->source->kind == SOURCE_INCLUDE ? &u->errors : &c->out->errors);

	if (u->loaded)
		return;
	u->loaded = true;
	if (u->source->kind == SOURCE_CREDENTIAL)
		u->credential = load_credential(&l, c->flags & COMPILE_NO_REFERENCES);
	else
		u->policy = load_policy(&l);
}

static bool file_named(struct str path, struct str name)
{
	const char *slash = path.n ? memrchr(path.p, '/', path.n) : NULL;

	if (slash)
		path = (struct str){ slash + 1, path.n - (size_t)(slash - path.p) - 1 };
	return path.n == name.n + 5 && memcmp(path.p, name.p, name.n) == 0 &&
	       memcmp(path.p + name.n, ".json", 5) == 0;
}

/* The first source that is the policy of this name: by its file's name, else by what it calls
 * itself. */
static struct unit *include_find(struct compile *c, struct str name)
{
	for (unsigned pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < c->n; i++) {
			struct unit *u = &c->units[i];

			if (u->source->kind != SOURCE_INCLUDE && u->source->kind != SOURCE_POLICY)
				continue;
			if (pass == 0 && file_named(u->source->name, name))
				return u;
			if (pass == 0)
				continue;
			unit_load(c, u);
			if (u->policy && str_eq(u->policy->name, name))
				return u;
		}
	}
	return NULL;
}

struct rule_list {
	struct rule *first, **tail;
	unsigned n;
};

/* Copies, since one rule can stand in several images. A prefix says which include it came from. */
static void rules_add(struct compile *c, struct rule_list *to, const struct rule *rules,
		      struct str prefix)
{
	char id[256];

	for (; rules; rules = rules->next) {
		struct rule *r = arena_new(&c->out->arena, sizeof(*r));

		*r = *rules;
		r->next = NULL;
		if (prefix.n) {
			int n = snprintf(id, sizeof(id), "%.*s/%.*s", STR_ARG(prefix),
					 STR_ARG(rules->id));

			r->included = true;
			r->id = arena_str(&c->out->arena, (struct str){ id, (size_t)n });
		}
		*to->tail = r;
		to->tail = &r->next;
		to->n++;
	}
}

static void includes_add(struct compile *c, struct rule_list *to, const struct policy_model *m,
			 struct unit *seen[INCLUDES_MAX], unsigned *nseen, unsigned depth)
{
	for (const struct include *i = m->includes; i; i = i->next) {
		struct unit *u = include_find(c, i->name);
		bool known = false;

		if (!u) {
			diag_add(&c->out->errors, m->file, i->at, STR("include"),
				 "no policy named \"%.*s\" was found", STR_ARG(i->name));
			continue;
		}
		for (unsigned k = 0; k < *nseen && !known; k++)
			known = seen[k] == u;
		if (known) /* twice, or in a circle: once is enough */
			continue;
		if (*nseen == INCLUDES_MAX || depth == INCLUDES_MAX) {
			diag_add(&c->out->errors, m->file, i->at, STR("include"),
				 "more than %d includes", INCLUDES_MAX);
			return;
		}
		seen[(*nseen)++] = u;
		unit_load(c, u);
		if (!u->shown && u->errors.count)
			diag_merge(&c->out->errors, &u->errors);
		u->shown = true;
		if (!u->policy)
			continue;
		if (u->policy->settings)
			diag_add(&c->out->warnings, m->file, i->at, STR("include"),
				 "\"%.*s\" says inbound or capabilities: they do not come with "
				 "an include; say them in the policy itself",
				 STR_ARG(i->name));
		rules_add(c, to, u->policy->rules, u->policy->name);
		includes_add(c, to, u->policy, seen, nseen, depth + 1);
	}
}

static bool same_roles(const struct for_entry *a, const struct for_entry *b)
{
	if (a->nroles != b->nroles)
		return false;
	for (unsigned i = 0; i < a->nroles; i++)
		if (!str_eq(a->roles[i], b->roles[i]))
			return false;
	return true;
}

static bool have_credentials(const struct compile *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->units[i].source->kind == SOURCE_CREDENTIAL)
			return true;
	return false;
}

static void check_credential(struct compile *c, const struct rule *r)
{
	bool named = false;

	if (!have_credentials(c)) {
		diag_add(&c->out->warnings, r->file, r->credential_at, STR("credential"),
			 "\"%.*s\" was not checked: no credential was given",
			 STR_ARG(r->credential));
		return;
	}
	/* Several may have the name, for other jobs each: whichever a job gets has to go there. */
	for (size_t u = 0; u < c->n; u++) {
		const struct credential_model *m = c->units[u].credential;
		bool covered = false;

		if (!m || !str_eq(m->name, r->credential))
			continue;
		named = true;
		for (unsigned i = 0; i < m->nhosts && !covered; i++)
			covered = host_pattern_covers(&m->hosts[i], &r->host);
		if (!covered)
			diag_add(&c->out->errors, r->file, r->credential_at, STR("credential"),
				 "\"%.*s\" may not go to this rule's host; its \"hosts\" would "
				 "have to name it",
				 STR_ARG(r->credential));
	}
	if (!named)
		diag_add(&c->out->errors, r->file, r->credential_at, STR("credential"),
			 "no credential is named \"%.*s\"", STR_ARG(r->credential));
}

static void image_add(struct compile *c, struct unit *u, struct str name,
		      const struct for_entry *fors, const struct for_entry *roles_of)
{
	struct compiled *out = c->out;
	struct load l = load_of(c, u, &out->errors);
	struct unit *seen[INCLUDES_MAX] = { u };
	struct rule_list list = { 0 };
	unsigned nseen = 1, before = out->errors.count;
	const char *cdn;
	struct str image;

	list.tail = &list.first;
	rules_add(c, &list, u->policy->rules, (struct str){ 0 });
	for (unsigned i = 0; roles_of && i < roles_of->nroles; i++)
		for (const struct role *r = u->policy->roles; r; r = r->next)
			if (str_eq(r->name, roles_of->roles[i]))
				rules_add(c, &list, r->rules, (struct str){ 0 });
	includes_add(c, &list, u->policy, seen, &nseen, 0);
	for (size_t i = 0; i < c->n; i++)
		if (c->units[i].source->kind == SOURCE_BASELINE && c->units[i].policy)
			rules_add(c, &list, c->units[i].policy->rules, c->units[i].policy->name);
	if (list.n > RULES_MAX) {
		diag_add(&out->errors, &u->file, 0, STR("rules"),
			 "more than %d rules, includes counted", RULES_MAX);
		return;
	}
	check_rules(&l, list.first);
	check_direct(&l, list.first);
	for (const struct rule *r = list.first; r; r = r->next) {
		if (r->credential.n)
			check_credential(c, r);
		cdn = r->scheme == SCHEME_TLS && !r->deny ? shared_cdn(&r->host) : NULL;
		if (cdn)
			diag_add(&out->warnings, r->file, r->at, STR("allow"),
				 "rule \"%.*s\" passes TLS through to %s, which many share: who "
				 "else is served there can be reached by another Host inside; open "
				 "it with https:// where that can be",
				 STR_ARG(r->id), cdn);
		if (r->until_us && !r->deny && r->until_us <= clock_wall_us())
			diag_add(&out->warnings, r->file, r->at, STR("until"),
				 "rule \"%.*s\" has expired", STR_ARG(r->id));
	}
	if (before != out->errors.count)
		return;
	if (policy_image(&out->arena, u->policy, name, list.first, fors, &image) < 0)
		diag_add(&out->errors, &u->file, 0, (struct str){ 0 }, "the policy is too large");
	else
		out->policies[out->npolicies++] = image;
}

/* One image for the entries without a role, one for each set of roles: NAME, NAME:reader,
 * NAME:reader+publisher. */
static void policy_add(struct compile *c, struct unit *u)
{
	const struct for_entry *left = u->policy->fors;
	struct for_entry *plain = NULL, **tail = &plain, *copy;
	bool done[FOR_MAX] = { false };
	unsigned i = 0, k;

	for (const struct for_entry *e = left; e; e = e->next, i++) {
		if (e->nroles)
			continue;
		done[i] = true;
		copy = arena_new(&c->out->arena, sizeof(*copy));
		*copy = *e;
		copy->next = NULL;
		*tail = copy;
		tail = &copy->next;
	}
	image_add(c, u, u->policy->name, plain, NULL);
	i = 0;
	for (const struct for_entry *e = left; e; e = e->next, i++) {
		struct for_entry *group = NULL, **end = &group;
		struct buf name;

		if (done[i])
			continue;
		k = i;
		for (const struct for_entry *o = e; o; o = o->next, k++) {
			if (done[k] || !same_roles(e, o))
				continue;
			done[k] = true;
			copy = arena_new(&c->out->arena, sizeof(*copy));
			*copy = *o;
			copy->next = NULL;
			*end = copy;
			end = &copy->next;
		}
		buf_init(&name, PATTERN_MAX);
		if (buf_add_str(&name, u->policy->name) == 0)
			for (unsigned r = 0; r < e->nroles; r++)
				if (buf_addf(&name, "%c%.*s", r ? '+' : ':', STR_ARG(e->roles[r])) <
				    0)
					break;
		image_add(c, u, arena_str(&c->out->arena, buf_str(&name)), group, e);
		buf_done(&name);
	}
}

static void check_baseline(struct compile *c, const struct unit *u)
{
	for (const struct rule *r = u->policy->rules; r; r = r->next)
		if (!r->deny)
			diag_add(&c->out->errors, r->file, r->at, STR("rules"),
				 "a baseline can only deny");
	if (u->policy->includes || u->policy->roles || u->policy->fors || u->policy->settings)
		diag_add(&c->out->errors, &u->file, 0, (struct str){ 0 },
			 "a baseline has rules only: no for, include, roles, inbound or "
			 "capabilities");
}

/* Two that surely come together, and a job has one variable of each name. */
static void check_variables(struct compile *c, const struct unit *a, const struct unit *b)
{
	const struct credential_model *x = a->credential, *y = b->credential;

	if (str_eq(x->name, y->name) || str_eq(x->placeholder, y->placeholder) ||
	    !fors_tie(x->fors, y->fors))
		return;
	for (unsigned i = 0; i < x->nenv; i++)
		for (unsigned k = 0; k < y->nenv; k++)
			if (str_eq(x->env[i], y->env[k]))
				diag_add(
					&c->out->errors, &b->file, y->at, STR("placeholder"),
					"%.*s is filled by %.*s too, with another text and for the "
					"same jobs",
					STR_ARG(y->env[k]), STR_ARG(a->source->name));
}

static void check_names(struct compile *c)
{
	for (size_t i = 0; i < c->n; i++) {
		for (size_t k = 0; k < i; k++) {
			const struct unit *a = &c->units[k], *b = &c->units[i];

			if (a->source->kind != b->source->kind)
				continue;
			if (a->source->kind == SOURCE_POLICY && a->policy && b->policy &&
			    str_eq(a->policy->name, b->policy->name))
				diag_add(&c->out->errors, &b->file, 0, STR("name"),
					 "\"%.*s\" is also the name of %.*s",
					 STR_ARG(b->policy->name), STR_ARG(a->source->name));
			if (a->credential && b->credential &&
			    str_eq(a->credential->name, b->credential->name) &&
			    fors_tie(a->credential->fors, b->credential->fors))
				diag_add(&c->out->errors, &b->file, 0, STR("name"),
					 "\"%.*s\" is also the name of %.*s, and both are for the "
					 "same jobs: let one's \"for\" say more",
					 STR_ARG(b->credential->name), STR_ARG(a->source->name));
			if (a->credential && b->credential)
				check_variables(c, a, b);
		}
	}
}

/* A token of an App's may do all that the App may, in each repository that it was let into, where
 * the credential does not say less. */
static void warn_wide(const struct unit *u, struct diag *to)
{
	static const struct {
		enum param id;
		const char *key, *what;
	} narrow[] = {
		{ PARAM_PERMISSIONS, "permissions",
		  "is not there: the token may do all that the App may" },
		{ PARAM_REPOSITORIES, "repositories",
		  "is not there: the token is good for each repository of the installation" },
	};
	const struct credential_model *c = u->credential;

	for (size_t i = 0; c->provider == PROVIDER_GITHUB_APP && i < ARRAY_SIZE(narrow); i++) {
		const struct param_model *p = c->params;

		while (p && p->id != narrow[i].id)
			p = p->next;
		if (!p)
			diag_add(to, &u->file, c->at, str_of(narrow[i].key), "%s", narrow[i].what);
	}
}

static void images_write(struct compile *c)
{
	struct compiled *out = c->out;
	size_t npolicies = 0, ncredentials = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct unit *u = &c->units[i];

		ncredentials += u->credential != NULL;
		if (u->source->kind == SOURCE_POLICY && u->policy) {
			npolicies++;
			for (const struct for_entry *e = u->policy->fors; e; e = e->next)
				npolicies += e->nroles > 0;
		}
	}
	out->policies = arena_new(&out->arena, (npolicies + 1) * sizeof(*out->policies));
	out->credentials = arena_new(&out->arena, (ncredentials + 1) * sizeof(*out->credentials));
	for (size_t i = 0; i < c->n; i++) {
		struct unit *u = &c->units[i];

		if (u->source->kind == SOURCE_POLICY && u->policy)
			policy_add(c, u);
		if (!u->credential)
			continue;
		if (u->credential->is_static)
			diag_add(&out->warnings, &u->file, u->credential->at, STR("provider"),
				 "\"%.*s\" holds a static value: it is not revoked when a job ends",
				 STR_ARG(u->credential->name));
		warn_wide(u, &out->warnings);
		if (credential_image(&out->arena, u->credential,
				     &out->credentials[out->ncredentials]) < 0)
			diag_add(&out->errors, &u->file, 0, (struct str){ 0 },
				 "the credential is too large");
		else
			out->ncredentials++;
	}
}

/* Said of the file with which it is. */
static bool too_much(const struct source *sources, size_t n, struct diag *errors)
{
	size_t bytes = 0, i;

	for (i = 0; i < n && i < COMPILE_SOURCES_MAX && bytes <= COMPILE_BYTES_MAX; i++)
		bytes += sources[i].text.n;
	if (bytes > COMPILE_BYTES_MAX)
		diag_add(errors, &(struct diag_file){ .name = sources[i - 1].name }, 0,
			 (struct str){ 0 }, COMPILE_BYTES_TEXT);
	else if (i < n)
		diag_add(errors, &(struct diag_file){ .name = sources[i].name }, 0,
			 (struct str){ 0 }, COMPILE_SOURCES_TEXT, COMPILE_SOURCES_MAX);
	return errors->count > 0;
}

int policy_compile(const struct source *sources, size_t n, unsigned flags, struct compiled *ret)
{
	struct compile c = { .out = ret, .n = n, .flags = flags };
	*ret = (struct compiled){ 0 };
	/* A node takes up to a hundred times its bytes, and each source is bounded by
	 * SCAN_NODES_MAX: this is past both. */
	arena_init(&ret->arena, 2048u << 20);
	diag_init(&ret->errors);
	diag_init(&ret->warnings);
	if (too_much(sources, n, &ret->errors))
		return -EINVAL;
	c.units = arena_new(&ret->arena, (n + 1) * sizeof(*c.units));
	for (size_t i = 0; i < n; i++) {
		struct unit *u = &c.units[i];

		u->source = &sources[i];
		u->file = (struct diag_file){ sources[i].name, sources[i].text };
		diag_init(&u->errors);
		if (sources[i].kind != SOURCE_INCLUDE)
			unit_load(&c, u);
	}
	check_names(&c);
	for (size_t i = 0; i < n; i++)
		if (c.units[i].source->kind == SOURCE_BASELINE && c.units[i].policy)
			check_baseline(&c, &c.units[i]);
	images_write(&c);
	for (size_t i = 0; i < n; i++)
		diag_done(&c.units[i].errors);
	return ret->errors.count ? -EINVAL : 0;
}

void compiled_done(struct compiled *c)
{
	diag_done(&c->errors);
	diag_done(&c->warnings);
	arena_done(&c->arena);
	*c = (struct compiled){ 0 };
}
