/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads one credential file into a model: where the value comes from (a reference, never the
 * value), whom it is for, where it may go and how it is put there. Called by compile.c.
 */
#include "policy/model.h"

#include <errno.h>

static const char *const common_keys[] = {
	"$schema", "version",	  "name", "provider",	 "for",	 "hosts",
	"inject",  "placeholder", "ttl",  "client_auth", "tier",
};
#define KEYS_MAX 48u

static struct host_pattern *load_hosts(const struct load *l, const struct node *n, unsigned *ret_n)
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

static bool one_token(struct str s)
{
	static const char mark[] = "{token}";
	unsigned seen = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c >= 0x7f)
			return false;
		if (s.n - i >= 7 && memcmp(s.p + i, mark, 7) == 0) {
			seen++;
			i += 6;
		} else if (c == '{' || c == '}') {
			return false;
		}
	}
	return seen == 1 && s.n <= 512;
}

static bool header_name(struct load const *l, const struct node *n, struct str *ret)
{
	static const char *const closed[] = {
		"host", "content-length", "transfer-encoding", "connection", "upgrade",
		"te",	"trailer",	  "keep-alive",	       "expect",     "proxy-connection"
	};
	char lower[64];

	if (n->text.n == 0 || n->text.n >= sizeof(lower)) {
		diag_add(l->errors, l->file, n->at, n->key,
			 "must be a header's name of at most 63 bytes");
		return false;
	}
	for (size_t i = 0; i < n->text.n; i++) {
		char c = n->text.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      (c && strchr("!#$%&'*+-.^_`|~", c)))) {
			diag_add(l->errors, l->file, n->at, n->key, "not a header's name");
			return false;
		}
		lower[i] = c;
	}
	*ret = arena_str(l->a, (struct str){ lower, n->text.n });
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		if (!str_is(*ret, closed[i]))
			continue;
		diag_add(l->errors, l->file, n->at, n->key,
			 "this header belongs to the connection");
		return false;
	}
	return true;
}

static struct inject_model *load_inject(const struct load *l, const struct node *n,
					const struct credential_model *c, bool has_placeholder)
{
	static const char *const keys[] = { "hosts", "header", "format", "basic" };
	struct inject_model *in = arena_new(l->a, sizeof(*in));
	const struct node *hosts, *header, *format, *basic;

	if (n->kind != NODE_OBJECT) {
		diag_add(l->errors, l->file, n->at, STR("inject"),
			 "must be an object or a list of objects with header and format, or basic");
		return NULL;
	}
	if (!keys_known(l, n, keys, ARRAY_SIZE(keys)))
		return NULL;
	hosts = node_get(n, "hosts");
	header = node_get(n, "header");
	format = node_get(n, "format");
	basic = node_get(n, "basic");
	for (const struct node *m = n->first; m; m = m->next) {
		if (m == hosts || m->kind == NODE_STRING)
			continue;
		diag_add(l->errors, l->file, m->at, m->key, "must be a string");
		return NULL;
	}
	if (hosts) {
		in->hosts = load_hosts(l, hosts, &in->nhosts);
		for (unsigned i = 0; i < in->nhosts; i++) {
			bool covered = false;

			for (unsigned k = 0; k < c->nhosts && !covered; k++)
				covered = host_pattern_covers(&c->hosts[k], &in->hosts[i]);
			if (!covered)
				diag_add(l->errors, l->file, hosts->at, hosts->key,
					 "\"%.*s\" is not among the credential's hosts",
					 STR_ARG(in->hosts[i].name));
		}
		if (in->nhosts == 0)
			return NULL;
	}
	if (!!header + !!basic != 1) {
		diag_add(l->errors, l->file, n->at, STR("inject"),
			 "has exactly one of header and basic");
		return NULL;
	}
	if (basic) {
		in->kind = INJECT_BASIC;
		in->header = STR("authorization");
		in->format = basic->text;
		if (format)
			diag_add(l->errors, l->file, format->key_at, format->key,
				 "stands with header only");
		if (!one_token(basic->text) || !memchr(basic->text.p, ':', basic->text.n))
			diag_add(l->errors, l->file, basic->at, basic->key,
				 "must be \"user:{token}\", printable ASCII, with {token} once");
		return in;
	}
	if (!header_name(l, header, &in->header))
		return NULL;
	if (format) {
		in->kind = INJECT_HEADER;
		in->format = format->text;
		if (!one_token(format->text))
			diag_add(l->errors, l->file, format->at, format->key,
				 "must be printable ASCII with {token} once, e.g. \"Bearer "
				 "{token}\"");
	} else {
		in->kind = INJECT_PLACEHOLDER_HEADER;
		in->format = STR("{token}");
		if (!has_placeholder)
			diag_add(l->errors, l->file, header->at, header->key,
				 "needs a format (\"Bearer {token}\"), or a placeholder to swap");
	}
	return in;
}

static void load_placeholder(const struct load *l, const struct node *n, struct credential_model *c)
{
	static const char *const keys[] = { "env", "value" };
	const struct node *value, *env;

	if (n->kind != NODE_OBJECT) {
		diag_add(l->errors, l->file, n->at, n->key, "must be an object with value and env");
		return;
	}
	if (!keys_known(l, n, keys, ARRAY_SIZE(keys)))
		return;
	value = node_get(n, "value");
	env = node_get(n, "env");
	if (!value || value->kind != NODE_STRING || value->text.n < 8 || value->text.n > 128) {
		diag_add(l->errors, l->file, value ? value->at : n->at, STR("value"),
			 "must be a string of 8 to 128 bytes that stands for the credential");
		return;
	}
	for (size_t i = 0; i < value->text.n; i++) {
		char ch = value->text.p[i];

		if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
		    (ch >= '0' && ch <= '9') || ch == '_' || ch == '-' || ch == '.')
			continue;
		diag_add(l->errors, l->file, value->at, value->key,
			 "only letters, digits, '_', '-' and '.'");
		return;
	}
	c->placeholder = value->text;
	if (!env)
		return;
	if (env->kind != NODE_ARRAY || env->count == 0 || env->count > 16) {
		diag_add(l->errors, l->file, env->at, env->key, "must list 1 to 16 variables");
		return;
	}
	c->env = arena_new(l->a, env->count * sizeof(*c->env));
	for (const struct node *m = env->first; m; m = m->next) {
		bool ok = m->kind == NODE_STRING && m->text.n && m->text.n <= 64;

		for (size_t i = 0; ok && i < m->text.n; i++) {
			char ch = m->text.p[i];

			ok = (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || ch == '_' ||
			     (i && ch >= '0' && ch <= '9');
		}
		if (ok && m->text.n > 3 && memcmp(m->text.p, "LD_", 3) == 0)
			ok = false;
		if (ok && (str_is(m->text, "PATH") || str_is(m->text, "HOME") ||
			   str_is(m->text, "BASH_ENV")))
			ok = false;
		if (ok)
			c->env[c->nenv++] = m->text;
		else
			diag_add(l->errors, l->file, m->at, env->key,
				 "not a variable that a credential may fill");
	}
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

static void load_injects(const struct load *l, const struct node *root, struct credential_model *c)
{
	const struct node *n = node_get(root, "inject");
	bool has_placeholder = node_get(root, "placeholder") != NULL;
	struct inject_model **tail = &c->injects;
	const struct node *one;

	if (!n || (n->kind == NODE_ARRAY && (n->count == 0 || n->count > 64))) {
		diag_add(
			l->errors, l->file, n ? n->at : root->at, STR("inject"),
			"must say where the credential goes, e.g. { \"header\": \"Authorization\", "
			"\"format\": \"Bearer {token}\" }");
		return;
	}
	one = n->kind == NODE_ARRAY ? n->first : n;
	while (one) {
		*tail = load_inject(l, one, c, has_placeholder);
		if (*tail)
			tail = &(*tail)->next;
		one = n->kind == NODE_ARRAY ? one->next : NULL;
	}
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
		c->hosts = load_hosts(l, n, &c->nhosts);
	else
		diag_add(l->errors, l->file, root->at, STR("hosts"),
			 "is missing: say where the credential may ever be sent");
	n = node_get(root, "placeholder");
	if (n)
		load_placeholder(l, n, c);
	load_injects(l, root, c);
	n = node_get(root, "ttl");
	if (n)
		load_ttl(l, n, c);
	c->client_auth_pass = load_choice(l, root, "client_auth", "strip", "pass");
	c->any_tier = load_choice(l, root, "tier", "confined", "any");
	return before == l->errors->count ? c : NULL;
}
