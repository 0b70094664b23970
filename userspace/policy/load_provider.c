/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of each provider: which there are, of what form, which must be there. Fills a
 * credential's params, in the table's order. Called by load_credential.c; the bytes are anyone's.
 */
#include "policy/model.h"

#include <stdio.h>

#define LIST_MAX 64u
#define URL_MAX 512u

enum form {
	FORM_TEXT,
	FORM_URL,    /* https alone: a login never goes over cleartext */
	FORM_SECRET, /* "store:NAME" or "file:/PATH", never the value */
	FORM_STORE,  /* "store:NAME" or "NAME" */
	FORM_WORD,   /* one of `words` */
	FORM_PATH,
	FORM_LIST, /* of texts; one text stands for a list of one */
	FORM_MAP,  /* "key": "text", kept as "key=text" */
	FORM_ID,   /* a number, or a text */
	FORM_TIME,
};

struct provider_key {
	enum provider provider;
	enum param id;
	enum form form;
	bool required;
	const char *const *words; /* NULL ends it */
};

static const char *const vault_methods[] = { "approle", "jwt", "kubernetes", "cert", NULL };
static const char *const grants[] = { "client_credentials", "token-exchange", "jwt-bearer", NULL };
static const char *const client_auths[] = { "basic", "post",	  "private_key_jwt",
					    "mtls",  "job-token", NULL };
static const char *const subject_types[] = { "jwt", "id_token", "access_token", NULL };

static const struct provider_key provider_keys[] = {
	{ PROVIDER_STORE, PARAM_VALUE, FORM_STORE, true, NULL },

	{ PROVIDER_FILE, PARAM_PATH, FORM_PATH, true, NULL },

	{ PROVIDER_EXEC, PARAM_ARGV, FORM_LIST, true, NULL },
	{ PROVIDER_EXEC, PARAM_TIMEOUT, FORM_TIME, false, NULL },

	{ PROVIDER_VAULT, PARAM_ADDRESS, FORM_URL, true, NULL },
	{ PROVIDER_VAULT, PARAM_NAMESPACE, FORM_TEXT, false, NULL },
	{ PROVIDER_VAULT, PARAM_CA_FILE, FORM_PATH, false, NULL },
	{ PROVIDER_VAULT, PARAM_AUTH_METHOD, FORM_WORD, true, vault_methods },
	{ PROVIDER_VAULT, PARAM_AUTH_MOUNT, FORM_TEXT, false, NULL },
	{ PROVIDER_VAULT, PARAM_AUTH_ROLE, FORM_TEXT, false, NULL },
	{ PROVIDER_VAULT, PARAM_AUTH_ROLE_ID, FORM_TEXT, false, NULL },
	{ PROVIDER_VAULT, PARAM_AUTH_SECRET_ID, FORM_SECRET, false, NULL },
	{ PROVIDER_VAULT, PARAM_AUTH_TOKEN, FORM_SECRET, false, NULL },
	{ PROVIDER_VAULT, PARAM_AUTH_AUDIENCE, FORM_TEXT, false, NULL },
	{ PROVIDER_VAULT, PARAM_AUTH_CERT, FORM_SECRET, false, NULL },
	{ PROVIDER_VAULT, PARAM_AUTH_KEY, FORM_SECRET, false, NULL },
	{ PROVIDER_VAULT, PARAM_PATH, FORM_TEXT, true, NULL },
	{ PROVIDER_VAULT, PARAM_FIELD, FORM_TEXT, false, NULL },

	{ PROVIDER_OAUTH2, PARAM_TOKEN_URL, FORM_URL, false, NULL },
	{ PROVIDER_OAUTH2, PARAM_ISSUER, FORM_URL, false, NULL },
	{ PROVIDER_OAUTH2, PARAM_REVOKE_URL, FORM_URL, false, NULL },
	{ PROVIDER_OAUTH2, PARAM_CA_FILE, FORM_PATH, false, NULL },
	{ PROVIDER_OAUTH2, PARAM_GRANT, FORM_WORD, true, grants },
	{ PROVIDER_OAUTH2, PARAM_CLIENT_ID, FORM_TEXT, false, NULL },
	{ PROVIDER_OAUTH2, PARAM_CLIENT_SECRET, FORM_SECRET, false, NULL },
	{ PROVIDER_OAUTH2, PARAM_CLIENT_KEY, FORM_SECRET, false, NULL },
	{ PROVIDER_OAUTH2, PARAM_CLIENT_CERT, FORM_SECRET, false, NULL },
	{ PROVIDER_OAUTH2, PARAM_CLIENT_AUTH, FORM_WORD, false, client_auths },
	{ PROVIDER_OAUTH2, PARAM_CLIENT_KEY_ID, FORM_TEXT, false, NULL },
	{ PROVIDER_OAUTH2, PARAM_SUBJECT_TOKEN_TYPE, FORM_WORD, false, subject_types },
	{ PROVIDER_OAUTH2, PARAM_SCOPE, FORM_LIST, false, NULL },
	{ PROVIDER_OAUTH2, PARAM_AUDIENCE, FORM_TEXT, false, NULL },
	{ PROVIDER_OAUTH2, PARAM_RESOURCE, FORM_TEXT, false, NULL },
	{ PROVIDER_OAUTH2, PARAM_TOKEN_AUDIENCE, FORM_TEXT, false, NULL },

	{ PROVIDER_GITHUB_APP, PARAM_APP_ID, FORM_ID, true, NULL },
	{ PROVIDER_GITHUB_APP, PARAM_KEY, FORM_SECRET, true, NULL },
	{ PROVIDER_GITHUB_APP, PARAM_INSTALLATION, FORM_ID, true, NULL },
	{ PROVIDER_GITHUB_APP, PARAM_REPOSITORIES, FORM_LIST, false, NULL },
	{ PROVIDER_GITHUB_APP, PARAM_PERMISSIONS, FORM_MAP, false, NULL },
	{ PROVIDER_GITHUB_APP, PARAM_API_URL, FORM_URL, false, NULL },
	{ PROVIDER_GITHUB_APP, PARAM_CA_FILE, FORM_PATH, false, NULL },

	{ PROVIDER_AWS, PARAM_ROLE_ARN, FORM_TEXT, true, NULL },
	{ PROVIDER_AWS, PARAM_SESSION_NAME, FORM_TEXT, false, NULL },
	{ PROVIDER_AWS, PARAM_REGION, FORM_LIST, true, NULL },
	{ PROVIDER_AWS, PARAM_POLICY, FORM_TEXT, false, NULL },
	{ PROVIDER_AWS, PARAM_STS_URL, FORM_URL, false, NULL },
	{ PROVIDER_AWS, PARAM_CA_FILE, FORM_PATH, false, NULL },
	{ PROVIDER_AWS, PARAM_TOKEN_AUDIENCE, FORM_TEXT, false, NULL },

	{ PROVIDER_AWS_SECRET, PARAM_SECRET_ID, FORM_TEXT, true, NULL },
	{ PROVIDER_AWS_SECRET, PARAM_FIELD, FORM_TEXT, false, NULL },
	{ PROVIDER_AWS_SECRET, PARAM_REGION, FORM_TEXT, true, NULL },
	{ PROVIDER_AWS_SECRET, PARAM_ENDPOINT, FORM_URL, false, NULL },
	{ PROVIDER_AWS_SECRET, PARAM_CA_FILE, FORM_PATH, false, NULL },
	{ PROVIDER_AWS_SECRET, PARAM_ACCESS_KEY_ID, FORM_TEXT, false, NULL },
	{ PROVIDER_AWS_SECRET, PARAM_SECRET_ACCESS_KEY, FORM_SECRET, false, NULL },
	{ PROVIDER_AWS_SECRET, PARAM_ROLE_ARN, FORM_TEXT, false, NULL },
	{ PROVIDER_AWS_SECRET, PARAM_SESSION_NAME, FORM_TEXT, false, NULL },
	{ PROVIDER_AWS_SECRET, PARAM_STS_URL, FORM_URL, false, NULL },
	{ PROVIDER_AWS_SECRET, PARAM_TOKEN_AUDIENCE, FORM_TEXT, false, NULL },

	{ PROVIDER_MTLS, PARAM_CERT, FORM_SECRET, true, NULL },
	{ PROVIDER_MTLS, PARAM_KEY, FORM_SECRET, true, NULL },
};

const char *const provider_names[] = { "store",	     "file", "exec",	   "vault", "oauth2",
				       "github-app", "aws",  "aws-secret", "mtls" };
const size_t provider_names_n = ARRAY_SIZE(provider_names);

static bool clean(struct str s)
{
	if (!s.n || s.n > PATTERN_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

static void bad(const struct load *l, const struct node *n, const char *text)
{
	diag_add(l->errors, l->file, n->at, n->key, "%s", text);
}

static void add(const struct load *l, struct credential_model *c, enum param id, struct str v)
{
	struct param_model *p = arena_new(l->a, sizeof(*p));

	p->id = id;
	p->value = v;
	*c->params_tail = p;
	c->params_tail = &p->next;
	c->nparams++;
}

static bool absolute(struct str s)
{
	return clean(s) && s.p[0] == '/' && !memmem(s.p, s.n, "/../", 4) &&
	       !memmem(s.p, s.n, "//", 2);
}

static bool is_url(struct str s)
{
	if (!str_starts(s, "https://") || s.n > URL_MAX || s.n == 8 || s.p[8] == '/')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || strchr("@?#\\\"<>{}|^`", s.p[i]))
			return false;
	return true;
}

static void secret(const struct load *l, const struct node *n, const struct provider_key *k,
		   struct credential_model *c, struct str v)
{
	char text[PROTO_NAME_MAX + 8];

	if (k->form == FORM_STORE && name_well_formed(v)) {
		snprintf(text, sizeof(text), "store:%.*s", STR_ARG(v));
		v = arena_str(l->a, str_of(text));
	}
	if (str_starts(v, "store:") && name_well_formed((struct str){ v.p + 6, v.n - 6 }))
		add(l, c, k->id, v);
	else if (k->form == FORM_SECRET && str_starts(v, "file:") &&
		 absolute((struct str){ v.p + 5, v.n - 5 }))
		add(l, c, k->id, v);
	else if (k->form == FORM_STORE)
		bad(l, n,
		    "must be \"store:NAME\", the name that `egret secret set` was given, never the "
		    "value");
	else
		bad(l, n,
		    "must be \"store:NAME\" or \"file:/PATH\" (a file of root's), never the value");
}

static void word(const struct load *l, const struct node *n, const struct provider_key *k,
		 struct credential_model *c, struct str v)
{
	size_t words = 0;

	for (; k->words[words]; words++) {
		if (str_is(v, k->words[words])) {
			add(l, c, k->id, v);
			return;
		}
	}
	unknown_word(l, n->at, n->key, "word", v, k->words, words);
}

static void list(const struct load *l, const struct node *n, const struct provider_key *k,
		 struct credential_model *c)
{
	if (n->kind != NODE_ARRAY || !n->count || n->count > LIST_MAX) {
		bad(l, n, "must list 1 to 64 texts");
		return;
	}
	for (const struct node *m = n->first; m; m = m->next) {
		if (m->kind != NODE_STRING || !clean(m->text))
			diag_add(l->errors, l->file, m->at, n->key, "must be a text of one line");
		else
			add(l, c, k->id, m->text);
	}
	if (k->id == PARAM_ARGV && n->first->kind == NODE_STRING && !absolute(n->first->text))
		bad(l, n, "the program is named by its whole path, \"/usr/local/bin/...\"");
}

static void map(const struct load *l, const struct node *n, const struct provider_key *k,
		struct credential_model *c)
{
	char text[PATTERN_MAX];

	if (n->kind != NODE_OBJECT || !n->count || n->count > LIST_MAX) {
		bad(l, n, "must be an object of 1 to 64 texts, e.g. { \"contents\": \"read\" }");
		return;
	}
	for (const struct node *m = n->first; m; m = m->next) {
		if (m->kind != NODE_STRING || !clean(m->text) || !name_well_formed(m->key) ||
		    m->key.n + m->text.n + 2 > sizeof(text)) {
			diag_add(l->errors, l->file, m->at, m->key, "must be a text of one line");
			continue;
		}
		snprintf(text, sizeof(text), "%.*s=%.*s", STR_ARG(m->key), STR_ARG(m->text));
		add(l, c, k->id, arena_str(l->a, str_of(text)));
	}
}

static void number(const struct load *l, const struct node *n, const struct provider_key *k,
		   struct credential_model *c)
{
	char text[24];

	if (n->number < 1) {
		bad(l, n, "must be a number above 0, or a name");
		return;
	}
	snprintf(text, sizeof(text), "%lld", (long long)n->number);
	add(l, c, k->id, arena_str(l->a, str_of(text)));
}

static void one(const struct load *l, const struct node *n, const struct provider_key *k,
		struct credential_model *c)
{
	char text[24];
	uint64_t ms;
	struct str v;

	if (k->form == FORM_MAP) {
		map(l, n, k, c);
		return;
	}
	if (k->form == FORM_LIST && n->kind != NODE_STRING) {
		list(l, n, k, c);
		return;
	}
	if (k->form == FORM_ID && n->kind == NODE_NUMBER) {
		number(l, n, k, c);
		return;
	}
	if (!load_string(l, n, &v))
		return;
	if (k->form == FORM_SECRET || k->form == FORM_STORE) {
		secret(l, n, k, c, v);
	} else if (k->form == FORM_WORD) {
		word(l, n, k, c, v);
	} else if (k->form == FORM_TIME) {
		if (load_time(v, &ms) < 0 || ms > 60000) {
			bad(l, n, "must be a time of at most 60s");
			return;
		}
		snprintf(text, sizeof(text), "%llu", (unsigned long long)ms);
		add(l, c, k->id, arena_str(l->a, str_of(text)));
	} else if (k->form == FORM_URL && !is_url(v)) {
		bad(l, n, "must be an address \"https://HOST...\" without user, query or fragment");
	} else if ((k->form == FORM_PATH || k->id == PARAM_ARGV) && !absolute(v)) {
		bad(l, n, "must be a whole path, \"/etc/...\"");
	} else if (!clean(v)) {
		bad(l, n, "must be a text of one line, 1 to 1024 bytes");
	} else {
		add(l, c, k->id, v);
	}
}

static bool has(const struct credential_model *c, enum param id)
{
	for (const struct param_model *p = c->params; p; p = p->next)
		if (p->id == id)
			return true;
	return false;
}

static bool says(const struct credential_model *c, enum param id, const char *what)
{
	for (const struct param_model *p = c->params; p; p = p->next)
		if (p->id == id)
			return str_is(p->value, what);
	return false;
}

static void need(const struct load *l, const struct node *root, const struct credential_model *c,
		 enum param id, const char *because)
{
	if (!has(c, id))
		diag_add(l->errors, l->file, root->at, str_of(param_name(id)), "is missing: %s",
			 because);
}

/* As it is sent: one spelling, and no way to another place. */
static void check_path(const struct load *l, const struct node *root,
		       const struct credential_model *c, enum param id)
{
	for (const struct param_model *p = c->params; p; p = p->next) {
		struct str rest = p->value;
		bool good = true;

		while (p->id == id && good) {
			const char *slash = memchr(rest.p, '/', rest.n);
			struct str part = { rest.p, slash ? (size_t)(slash - rest.p) : rest.n };

			good = part.n && !str_is(part, ".") && !str_is(part, "..") &&
			       !memchr(part.p, '?', part.n) && !memchr(part.p, '#', part.n) &&
			       !memchr(part.p, '%', part.n);
			if (!slash)
				break;
			rest = (struct str){ slash + 1, rest.n - part.n - 1 };
		}
		if (!good)
			diag_add(l->errors, l->file, root->at, str_of(param_name(id)),
				 "is a path below /v1/, without leading, doubled or trailing "
				 "slashes, dots, queries and escapes");
	}
}

static void check_github(const struct load *l, const struct node *root,
			 const struct credential_model *c)
{
	for (const struct param_model *p = c->params; p; p = p->next)
		if (p->id == PARAM_REPOSITORIES && memchr(p->value.p, '/', p->value.n))
			diag_add(l->errors, l->file, root->at, STR("repositories"),
				 "are named without their owner, who is the installation's");
}

static void check_vault(const struct load *l, const struct node *root,
			const struct credential_model *c)
{
	check_path(l, root, c, PARAM_PATH);
	check_path(l, root, c, PARAM_AUTH_MOUNT);
	if (says(c, PARAM_AUTH_METHOD, "approle")) {
		need(l, root, c, PARAM_AUTH_ROLE_ID, "approle logs in with role_id and secret_id");
		need(l, root, c, PARAM_AUTH_SECRET_ID,
		     "approle logs in with role_id and secret_id");
	} else if (says(c, PARAM_AUTH_METHOD, "jwt")) {
		need(l, root, c, PARAM_AUTH_ROLE, "jwt logs in to a role");
	} else if (says(c, PARAM_AUTH_METHOD, "kubernetes")) {
		need(l, root, c, PARAM_AUTH_ROLE, "kubernetes logs in to a role");
		need(l, root, c, PARAM_AUTH_TOKEN,
		     "kubernetes logs in with a service account's token, \"file:/PATH\"");
	} else {
		need(l, root, c, PARAM_AUTH_CERT, "cert logs in with cert and key");
		need(l, root, c, PARAM_AUTH_KEY, "cert logs in with cert and key");
	}
}

static void check_oauth2(const struct load *l, const struct node *root,
			 const struct credential_model *c)
{
	bool key = says(c, PARAM_CLIENT_AUTH, "private_key_jwt");
	bool mtls = says(c, PARAM_CLIENT_AUTH, "mtls");

	if (has(c, PARAM_TOKEN_URL) == has(c, PARAM_ISSUER))
		diag_add(l->errors, l->file, root->at, STR("token_url"),
			 "has exactly one of token_url and issuer");
	if (says(c, PARAM_GRANT, "client_credentials"))
		need(l, root, c, PARAM_CLIENT_ID, "client_credentials names a client");
	if (!says(c, PARAM_GRANT, "client_credentials") || says(c, PARAM_CLIENT_AUTH, "job-token"))
		need(l, root, c, PARAM_TOKEN_AUDIENCE,
		     "the job's own ID token is asked for with this audience");
	if (!has(c, PARAM_CLIENT_ID))
		return; /* an assertion or a subject token alone may do (RFC 7523, 8693) */
	if (key || mtls)
		need(l, root, c, PARAM_CLIENT_KEY,
		     key ? "private_key_jwt signs with it"
			 : "mtls needs client_cert and client_key");
	if (mtls)
		need(l, root, c, PARAM_CLIENT_CERT, "mtls needs client_cert and client_key");
	if (!key && !mtls && !says(c, PARAM_CLIENT_AUTH, "job-token"))
		need(l, root, c, PARAM_CLIENT_SECRET, "basic and post prove the client with it");
}

/* Each stands in the scope of a signature, and the first in a host's name. */
static void check_regions(const struct load *l, const struct node *root,
			  const struct credential_model *c)
{
	for (const struct param_model *p = c->params; p; p = p->next) {
		bool ok = p->value.n <= 32;

		for (size_t i = 0; ok && i < p->value.n; i++)
			ok = (p->value.p[i] >= 'a' && p->value.p[i] <= 'z') ||
			     (p->value.p[i] >= '0' && p->value.p[i] <= '9') || p->value.p[i] == '-';
		if (p->id == PARAM_REGION && !ok)
			diag_add(l->errors, l->file, root->at, STR("region"),
				 "must be a region such as \"eu-west-1\"");
	}
}

/* What STS takes for one. */
static void check_session_name(const struct load *l, const struct node *root,
			       const struct credential_model *c)
{
	for (const struct param_model *p = c->params; p; p = p->next) {
		bool ok = p->value.n >= 2 && p->value.n <= 64;

		for (size_t i = 0; ok && i < p->value.n; i++) {
			char ch = p->value.p[i];

			ok = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
			     (ch >= '0' && ch <= '9') || strchr("+=,.@_-", ch);
		}
		if (p->id == PARAM_SESSION_NAME && !ok)
			diag_add(l->errors, l->file, root->at, STR("session_name"),
				 "must be 2 to 64 letters, digits and + = , . @ _ -");
	}
}

static void check_aws(const struct load *l, const struct node *root,
		      const struct credential_model *c)
{
	check_regions(l, root, c);
	check_session_name(l, root, c);
}

static void check_aws_secret(const struct load *l, const struct node *root,
			     const struct credential_model *c)
{
	check_aws(l, root, c);
	if (has(c, PARAM_ROLE_ARN) == has(c, PARAM_ACCESS_KEY_ID))
		diag_add(l->errors, l->file, root->at, STR("role_arn"),
			 "has exactly one of role_arn and access_key_id");
	if (has(c, PARAM_ACCESS_KEY_ID))
		need(l, root, c, PARAM_SECRET_ACCESS_KEY, "access_key_id comes with it");
}

/* The part of a name before and after its dot; before is empty for a plain one. */
static struct str outer(const char *name)
{
	const char *dot = strchr(name, '.');

	return (struct str){ name, dot ? (size_t)(dot - name) : 0 };
}

static const struct node *find(const struct node *root, const char *name)
{
	const char *dot = strchr(name, '.');
	const struct node *in;

	if (!dot)
		return node_get(root, name);
	in = node_get(root, "auth");
	return in && in->kind == NODE_OBJECT ? node_get(in, dot + 1) : NULL;
}

unsigned provider_key_names(enum provider p, const char *in, const char **ret, unsigned max)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(provider_keys) && n < max; i++) {
		const char *name = param_name(provider_keys[i].id);
		struct str o = outer(name);

		if (provider_keys[i].provider != p)
			continue;
		if (in && str_is(o, in))
			ret[n++] = name + o.n + 1;
		else if (!in && !o.n)
			ret[n++] = name;
		else if (!in && (!n || strcmp(ret[n - 1], "auth")))
			ret[n++] = "auth";
	}
	return n;
}

void load_provider(const struct load *l, const struct node *root, struct credential_model *c)
{
	const struct node *auth = node_get(root, "auth"), *n;
	const char *keys[32];
	unsigned before = l->errors->count, nkeys;

	nkeys = provider_key_names(c->provider, "auth", keys, ARRAY_SIZE(keys));
	if (nkeys && auth) {
		if (auth->kind != NODE_OBJECT) {
			bad(l, auth, "must be an object with method and what it needs");
			return;
		}
		if (!keys_known(l, auth, keys, nkeys))
			return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(provider_keys); i++) {
		const struct provider_key *k = &provider_keys[i];

		if (k->provider != c->provider)
			continue;
		n = find(root, param_name(k->id));
		if (n)
			one(l, n, k, c);
		else if (k->form == FORM_STORE)
			diag_add(l->errors, l->file, root->at, STR("value"),
				 "is missing; name the secret: \"store:NAME\"");
		else if (k->required)
			diag_add(l->errors, l->file, root->at, str_of(param_name(k->id)),
				 "is missing");
	}
	if (l->errors->count != before)
		return;
	if (c->provider == PROVIDER_VAULT)
		check_vault(l, root, c);
	else if (c->provider == PROVIDER_GITHUB_APP)
		check_github(l, root, c);
	else if (c->provider == PROVIDER_OAUTH2)
		check_oauth2(l, root, c);
	else if (c->provider == PROVIDER_AWS_SECRET)
		check_aws_secret(l, root, c);
	if (c->provider == PROVIDER_AWS)
		check_aws(l, root, c);
	c->is_static = c->provider == PROVIDER_STORE || c->provider == PROVIDER_FILE ||
		       c->provider == PROVIDER_AWS_SECRET || c->provider == PROVIDER_MTLS;
}
