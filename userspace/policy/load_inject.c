/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a credential is put into a request: `inject` and `placeholder` of its file. Called by
 * load_credential.c. A place in a head can be set (format) or be one where the placeholder is
 * swapped; in a body only the placeholder is.
 */
#include "policy/model.h"

#include <errno.h>

#define POINTER_TOKENS 32

/* The keys of an inject entry that name its place: exactly one of them stands. */
static const struct place {
	const char *key;
	enum inject_kind set, swap; /* with a format, without one; 0: not to be had */
} places[] = {
	{ "header", INJECT_HEADER, INJECT_SWAP_HEADER },
	{ "basic", INJECT_BASIC, 0 },
	{ "query", INJECT_QUERY, INJECT_SWAP_QUERY },
	{ "json", 0, INJECT_SWAP_JSON },
	{ "form", 0, INJECT_SWAP_FORM },
	{ "sigv4", INJECT_SIGV4, 0 },
};

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

static bool fault(const struct load *l, const struct node *n, const char *sentence)
{
	diag_add(l->errors, l->file, n->at, n->key, "%s", sentence);
	return false;
}

static bool header_name(const struct load *l, const struct node *n, struct str *ret)
{
	static const char *const closed[] = {
		"host", "content-length", "transfer-encoding", "connection", "upgrade",
		"te",	"trailer",	  "keep-alive",	       "expect",     "proxy-connection"
	};
	char lower[64];

	if (n->text.n == 0 || n->text.n >= sizeof(lower))
		return fault(l, n, "must be a header's name of at most 63 bytes");
	for (size_t i = 0; i < n->text.n; i++) {
		char c = n->text.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      (c && strchr("!#$%&'*+-.^_`|~", c))))
			return fault(l, n, "not a header's name");
		lower[i] = c;
	}
	*ret = arena_str(l->a, (struct str){ lower, n->text.n });
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		if (str_is(*ret, closed[i]))
			return fault(l, n, "this header belongs to the connection");
	}
	return true;
}

/* The name itself, as a form means it: not encoded. */
static bool field_name(const struct load *l, const struct node *n, struct str *ret)
{
	bool ok = n->text.n && n->text.n <= 128;

	for (size_t i = 0; ok && i < n->text.n; i++)
		ok = (unsigned char)n->text.p[i] >= 0x20 && (unsigned char)n->text.p[i] < 0x7f;
	if (!ok)
		return fault(l, n, "must be a name of 1 to 128 printable ASCII bytes");
	*ret = n->text;
	return true;
}

/* RFC 6901 */
static bool json_pointer(const struct load *l, const struct node *n, struct str *ret)
{
	struct str s = n->text;
	unsigned tokens = 0;

	if (s.n == 0 || s.n > 512 || s.p[0] != '/')
		return fault(l, n, "must be a JSON pointer such as \"/auth/token\"");
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20)
			return fault(l, n, "holds a control byte");
		tokens += c == '/';
		if (c == '~' && (i + 1 == s.n || (s.p[i + 1] != '0' && s.p[i + 1] != '1')))
			return fault(l, n, "'~' is written ~0 and a '/' inside of a key ~1");
	}
	if (tokens > POINTER_TOKENS)
		return fault(l, n, "leads more than 32 levels down");
	*ret = s;
	return true;
}

/* "sigv4": true: the whole request is signed anew, with what the provider aws gets. */
static bool load_sigv4(const struct load *l, const struct node *n, const struct node *format,
		       const struct credential_model *c, struct inject_model *in)
{
	in->kind = INJECT_SIGV4;
	in->name = STR("authorization");
	in->format = STR("{token}");
	if (format)
		return fault(l, format, "stands with header and query only");
	if (c->provider != PROVIDER_AWS)
		return fault(l, n, "needs the provider \"aws\", whose keys sign requests");
	return n->number ||
	       fault(l, n, "is true, or left out: requests are signed anew, or they are not");
}

static bool load_place(const struct load *l, const struct node *n, const struct node *format,
		       const struct place *p, bool has_placeholder, struct inject_model *in)
{
	if (p->set == INJECT_BASIC) {
		in->kind = INJECT_BASIC;
		in->name = STR("authorization");
		in->format = n->text;
		if (format)
			return fault(l, format, "stands with header and query only");
		if (!one_token(n->text) || !memchr(n->text.p, ':', n->text.n))
			return fault(l, n,
				     "must be \"user:{token}\", printable ASCII, with {token} "
				     "once");
		return true;
	}
	if (p->swap == INJECT_SWAP_HEADER ? !header_name(l, n, &in->name)
	    : p->swap == INJECT_SWAP_JSON ? !json_pointer(l, n, &in->name)
					  : !field_name(l, n, &in->name))
		return false;
	if (format && !p->set)
		return fault(l, format,
			     "stands with header and query only: in a body the placeholder is "
			     "swapped");
	if (format) {
		in->kind = p->set;
		in->format = format->text;
		return one_token(format->text) ||
		       fault(l, format,
			     "must be printable ASCII with {token} once, e.g. \"Bearer {token}\"");
	}
	in->kind = p->swap;
	in->format = STR("{token}");
	if (has_placeholder)
		return true;
	return fault(l, n,
		     p->set ? "needs a format (\"Bearer {token}\"), or a placeholder to swap"
			    : "needs a placeholder to swap");
}

static bool load_narrowed(const struct load *l, const struct node *hosts,
			  const struct credential_model *c, struct inject_model *in)
{
	in->hosts = load_host_list(l, hosts, &in->nhosts);
	for (unsigned i = 0; i < in->nhosts; i++) {
		bool covered = false;

		for (unsigned k = 0; k < c->nhosts && !covered; k++)
			covered = host_pattern_covers(&c->hosts[k], &in->hosts[i]);
		if (!covered)
			diag_add(l->errors, l->file, hosts->at, hosts->key,
				 "\"%.*s\" is not among the credential's hosts",
				 STR_ARG(in->hosts[i].name));
	}
	return in->nhosts != 0;
}

static struct inject_model *load_inject(const struct load *l, const struct node *n,
					const struct credential_model *c)
{
	const char *keys[ARRAY_SIZE(places) + 2] = { "hosts", "format" };
	struct inject_model *in = arena_new(l->a, sizeof(*in));
	const struct node *hosts, *named = NULL;
	const struct place *place = NULL;
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		keys[i + 2] = places[i].key;
	if (n->kind != NODE_OBJECT) {
		diag_add(l->errors, l->file, n->at, STR("inject"),
			 "must be an object or a list of objects with header and format, or basic");
		return NULL;
	}
	if (!keys_known(l, n, keys, ARRAY_SIZE(keys)))
		return NULL;
	hosts = node_get(n, "hosts");
	for (const struct node *m = n->first; m; m = m->next) {
		if (m == hosts || m->kind == (str_is(m->key, "sigv4") ? NODE_BOOL : NODE_STRING))
			continue;
		diag_add(l->errors, l->file, m->at, m->key,
			 str_is(m->key, "sigv4") ? "must be true" : "must be a string");
		return NULL;
	}
	if (hosts && !load_narrowed(l, hosts, c, in))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const struct node *m = node_get(n, places[i].key);

		if (!m)
			continue;
		count++;
		named = m;
		place = &places[i];
	}
	if (count != 1) {
		diag_add(l->errors, l->file, n->at, STR("inject"),
			 "has exactly one of header, basic, query, json, form and sigv4");
		return NULL;
	}
	if (place->set == INJECT_SIGV4)
		return load_sigv4(l, named, node_get(n, "format"), c, in) ? in : NULL;
	if (c->provider == PROVIDER_AWS) {
		diag_add(l->errors, l->file, named->key_at, named->key,
			 "the keys of provider \"aws\" never go out: they sign requests, "
			 "{ \"sigv4\": true }");
		return NULL;
	}
	if (!load_place(l, named, node_get(n, "format"), place, c->placeholder.n != 0, in))
		return NULL;
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

void load_injects(const struct load *l, const struct node *root, struct credential_model *c)
{
	const struct node *n = node_get(root, "placeholder"), *one;
	struct inject_model **tail = &c->injects;

	if (n)
		load_placeholder(l, n, c);
	n = node_get(root, "inject");
	/* Shown in the handshake with each of its hosts, and nowhere else. */
	if (c->provider == PROVIDER_MTLS) {
		if (n)
			diag_add(l->errors, l->file, n->key_at, n->key,
				 "is left out with mtls: its certificate is shown to all of its "
				 "hosts");
		*tail = arena_new(l->a, sizeof(**tail));
		(*tail)->kind = INJECT_CERTIFICATE;
		(*tail)->name = STR("certificate");
		return;
	}
	if (!n || (n->kind == NODE_ARRAY && (n->count == 0 || n->count > 64))) {
		diag_add(
			l->errors, l->file, n ? n->at : root->at, STR("inject"),
			"must say where the credential goes, e.g. { \"header\": \"Authorization\", "
			"\"format\": \"Bearer {token}\" }");
		return;
	}
	one = n->kind == NODE_ARRAY ? n->first : n;
	while (one) {
		*tail = load_inject(l, one, c);
		if (*tail)
			tail = &(*tail)->next;
		one = n->kind == NODE_ARRAY ? one->next : NULL;
	}
}
