/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads one credential file into a model: where the value comes from (a reference, never the
 * value), whom it is for and where it may go; load_inject.c reads how it is put there. Called by
 * compile.c.
 */
#include "policy/model.h"

#include <errno.h>

static const char *const common_keys[] = {
	"$schema", "version",	  "name", "provider",	 "for",	 "hosts",
	"inject",  "placeholder", "ttl",  "client_auth", "tier", "opaque_answers",
};
#define KEYS_MAX 48u

struct host_pattern *load_host_list(const struct load *l, const struct node *n, unsigned *ret_n)
{
	struct host_pattern *hosts;
	unsigned count = 0;

	*ret_n = 0;
	if (n->kind != NODE_ARRAY || n->count == 0 || n->count > 128) {
		diag_add(l->errors, l->file, n->at, n->key,
			 "must list 1 to 128 hosts, e.g. [\"api.github.com\"]");
		return NULL;
	}
	hosts = arena_new(l->a, n->count * sizeof(*hosts));
	for (const struct node *m = n->first; m; m = m->next) {
		const char *why = "must be a host's name, without scheme, port or path";

		if (m->kind != NODE_STRING ||
		    (m->text.n &&
		     (memchr(m->text.p, '/', m->text.n) || memchr(m->text.p, ':', m->text.n))) ||
		    host_pattern_parse(l->a, m->text, &hosts[count], &why) < 0)
			diag_add(l->errors, l->file, m->at, n->key, "%s", why);
		else if (hosts[count].kind == HOST_ADDR)
			diag_add(l->errors, l->file, m->at, n->key,
				 "a credential goes to names, whose certificates can be verified");
		else
			count++;
	}
	*ret_n = count;
	return hosts;
}

int load_time(struct str s, uint64_t *ret_ms)
{
	static const struct {
		char unit;
		uint64_t ms;
	} units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
	uint64_t v = 0, ms = 0;

	if (s.n < 2)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (s.p[s.n - 1] == units[i].unit)
			ms = units[i].ms;
	if (!ms || str_u64((struct str){ s.p, s.n - 1 }, &v) < 0 || v == 0 || v > 31536000 ||
	    v * ms > 31536000000ull)
		return -EINVAL;
	*ret_ms = v * ms;
	return 0;
}

static void load_ttl(const struct load *l, const struct node *n, struct credential_model *c)
{
	if (n->kind != NODE_STRING || load_time(n->text, &c->ttl_ms) < 0)
		diag_add(l->errors, l->file, n->at, n->key,
			 "must be a time such as 30s, 10m, 1h or 7d, at most 365d");
}

static bool load_source(const struct load *l, const struct node *root, const struct node *n,
			struct credential_model *c, bool no_references)
{
	const char *keys[KEYS_MAX];
	unsigned nkeys = ARRAY_SIZE(common_keys);
	struct str v;

	if (!n) {
		diag_add(l->errors, l->file, root->at, STR("provider"),
			 "is missing; for a secret of the sealed store it is \"store\"");
		return false;
	}
	if (!load_string(l, n, &v))
		return false;
	if (no_references) {
		diag_add(l->errors, l->file, n->at, n->key,
			 "only an admin gives credentials that refer to the store, a file, a "
			 "program or a provider");
		return false;
	}
	for (size_t i = 0; i < provider_names_n; i++)
		if (str_is(v, provider_names[i]))
			c->provider = (enum provider)(i + 1);
	if (!c->provider) {
		unknown_word(l, n->at, n->key, "provider", v, provider_names, provider_names_n);
		return false;
	}
	memcpy(keys, common_keys, sizeof(common_keys));
	nkeys += provider_key_names(c->provider, NULL, keys + nkeys, KEYS_MAX - nkeys);
	if (!keys_known(l, root, keys, nkeys))
		return false;
	load_provider(l, root, c);
	return true;
}

/* One of two words, the first if the key is absent: is it the second? */
static bool load_choice(const struct load *l, const struct node *root, const char *key,
			const char *usual, const char *other)
{
	const char *const words[] = { usual, other };
	const struct node *n = node_get(root, key);
	struct str v;

	if (!n || !load_string(l, n, &v) || str_is(v, usual))
		return false;
	if (!str_is(v, other))
		unknown_word(l, n->at, n->key, "word", v, words, ARRAY_SIZE(words));
	return str_is(v, other);
}

struct credential_model *load_credential(const struct load *l, bool no_references)
{
	struct credential_model *c = arena_new(l->a, sizeof(*c));
	const struct node *root = json_load(l->a, l->file, l->errors), *n;
	unsigned before = l->errors->count;

	if (!root)
		return NULL;
	c->file = l->file;
	c->at = root->at;
	c->params_tail = &c->params;
	if (root->kind != NODE_OBJECT) {
		diag_add(l->errors, l->file, root->at, (struct str){ 0 },
			 "a credential is an object");
		return NULL;
	}
	n = node_get(root, "provider");
	/* Which keys there are hangs on the provider: it is said first. */
	if (!load_source(l, root, n, c, no_references))
		return NULL;
	n = node_get(root, "version");
	if (n && (n->kind != NODE_NUMBER || n->number != 1))
		diag_add(l->errors, l->file, n->at, n->key, "this egret reads version 1");
	n = node_get(root, "name");
	if (!n || n->kind != NODE_STRING || !name_well_formed(n->text))
		diag_add(l->errors, l->file, n ? n->at : root->at, STR("name"),
			 "a credential needs a name of letters, digits, '.', '_' or '-'");
	else
		c->name = n->text;
	n = node_get(root, "for");
	if (n)
		c->fors = load_for(l, n, false);
	else
		diag_add(l->errors, l->file, root->at, STR("for"),
			 "is missing: say which jobs get it, or \"any\" to give it to every job");
	n = node_get(root, "hosts");
	if (n)
		c->hosts = load_host_list(l, n, &c->nhosts);
	else
		diag_add(l->errors, l->file, root->at, STR("hosts"),
			 "is missing: say where the credential may ever be sent");
	load_injects(l, root, c);
	n = node_get(root, "ttl");
	if (n)
		load_ttl(l, n, c);
	c->client_auth_pass = load_choice(l, root, "client_auth", "strip", "pass");
	c->any_tier = load_choice(l, root, "tier", "confined", "any");
	c->opaque_pass = load_choice(l, root, "opaque_answers", "refuse", "pass");
	return before == l->errors->count ? c : NULL;
}
