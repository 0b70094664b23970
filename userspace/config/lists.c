/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration's lists of objects: what egret looks after ("managed") and whose tokens say
 * which job it is ("identity"). Called by config.c; reads root's own file. */
#include "config/load.h"

#include "policy/model.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>

#define ISSUER_MAX 512

static const char *const engines[] = { "docker", "podman", "containerd", "crio", "buildkit" };
static const char *const kinds[] = { "github", "gitlab", "buildkite", "generic" };
static const char *const managed_keys[] = { "unit",	    "engine",	     "root",
					    "unregistered", "registrar",     "adopt",
					    "jobs",	    "engine_socket", "exempt_namespaces" };
static const char *const identity_keys[] = { "issuer", "audience", "kind", "replay", "algorithms" };

static bool one_of(struct str s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(s, words[i]))
			return true;
	return false;
}

static bool is_text(const struct node *n)
{
	return n->kind == NODE_STRING && n->text.n > 0;
}

/* Printable ASCII without blanks. */
static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
			return false;
	return s.n > 0;
}

static bool is_root(const struct node *n)
{
	return is_text(n) && n->text.n < 1024 && n->text.p[0] == '/' && is_plain(n->text);
}

static void load_unregistered(const struct loading *l, const struct node *n,
			      struct config_managed *to)
{
	struct str s = n->text;

	if (n->kind == NODE_STRING && str_is(s, "deny")) {
		to->unregistered = UNREGISTERED_DENY;
	} else if (n->kind == NODE_STRING && str_is(s, "hold")) {
		to->unregistered = UNREGISTERED_HOLD;
	} else if (n->kind == NODE_STRING && str_starts(s, "policy:") &&
		   name_well_formed((struct str){ s.p + 7, s.n - 7 })) {
		to->unregistered = UNREGISTERED_POLICY;
		to->policy = arena_str(&l->c->arena, (struct str){ s.p + 7, s.n - 7 });
	} else {
		config_wrong(l, n, "must be", "\"deny\", \"hold\" or \"policy:NAME\"");
	}
}

static void load_registrar(const struct loading *l, const struct node *n, struct config_managed *to)
{
	struct passwd *user = NULL;

	if (n->kind == NODE_NUMBER && n->number >= 0 && n->number <= 0x7ffffffe) {
		to->registrar = n->number;
		return;
	}
	if (!is_text(n) || n->text.n > 255) {
		config_wrong(l, n, "must be", "the name or the number of a user");
		return;
	}
	errno = 0;
	user = getpwnam(arena_str(&l->c->arena, n->text).p);
	if (user)
		to->registrar = user->pw_uid;
	else
		diag_add(l->d, l->f, n->at, n->key,
			 "this host has no user \"%.*s\"%s%s; make the user first, or give its "
			 "number",
			 STR_ARG(n->text), errno ? ": " : "", errno ? strerror(errno) : "");
}

static void load_engine(const struct loading *l, const struct node *n, struct config_managed *to)
{
	const char *near;

	if (n->kind == NODE_STRING && one_of(n->text, engines, ARRAY_SIZE(engines))) {
		to->engine = arena_str(&l->c->arena, n->text);
		return;
	}
	near = n->kind == NODE_STRING ? word_near(n->text, engines, ARRAY_SIZE(engines)) : NULL;
	diag_add(l->d, l->f, n->at, n->key,
		 "must be: \"docker\", \"podman\", \"containerd\", \"crio\" or \"buildkit\"%s%s%s",
		 near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* As Kubernetes names them: RFC 1123 labels. */
static bool is_namespace(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
		      (s.p[i] == '-' && i > 0 && i + 1 < s.n)))
			return false;
	return s.n > 0 && s.n <= 63;
}

static void load_exempt(const struct loading *l, const struct node *n, struct config_managed *to)
{
	const struct node *at;

	to->nexempt = 0;
	if (n->kind != NODE_ARRAY) {
		config_wrong(l, n, "must be a list of Kubernetes namespaces", NULL);
		return;
	}
	for (at = n->first; at; at = at->next) {
		if (at->kind != NODE_STRING || !is_namespace(at->text))
			config_wrong(l, at, "must hold",
				     "names of Kubernetes namespaces, no patterns");
		else if (to->nexempt == CONFIG_EXEMPT_MAX)
			config_wrong(l, at, "has more than 32 entries", NULL);
		else
			to->exempt[to->nexempt++] = arena_str(&l->c->arena, at->text);
	}
}

static void load_managed_key(const struct loading *l, const struct node *n,
			     struct config_managed *to)
{
	if (str_is(n->key, "unit")) {
		if (!is_text(n) || n->text.n > 255 || !is_plain(n->text) ||
		    memchr(n->text.p, '/', n->text.n))
			config_wrong(l, n, "must be",
				     "a unit's name without '/', as actions.runner.*.service");
		else
			to->unit = arena_str(&l->c->arena, n->text);
	} else if (str_is(n->key, "engine")) {
		load_engine(l, n, to);
	} else if (str_is(n->key, "root")) {
		if (!is_root(n))
			config_wrong(l, n, "must be", "an absolute path");
		else
			to->root = arena_str(&l->c->arena, n->text);
	} else if (str_is(n->key, "unregistered")) {
		load_unregistered(l, n, to);
	} else if (str_is(n->key, "registrar")) {
		load_registrar(l, n, to);
	} else if (str_is(n->key, "adopt")) {
		to->adopt_sole = n->kind == NODE_STRING && str_is(n->text, "sole");
		if (!to->adopt_sole)
			config_wrong(l, n, "must be", "\"sole\"");
	} else if (str_is(n->key, "jobs")) {
		to->jobs_gitlab = n->kind == NODE_STRING && str_is(n->text, "gitlab");
		to->jobs_kubernetes = n->kind == NODE_STRING && str_is(n->text, "kubernetes");
		if (!to->jobs_gitlab && !to->jobs_kubernetes)
			config_wrong(l, n, "must be", "\"gitlab\" or \"kubernetes\"");
	} else if (str_is(n->key, "engine_socket")) {
		to->hide_sockets = n->kind == NODE_STRING && str_is(n->text, "hide");
		if (!to->hide_sockets && (n->kind != NODE_STRING || !str_is(n->text, "keep")))
			config_wrong(l, n, "must be", "\"keep\" or \"hide\"");
	} else if (str_is(n->key, "exempt_namespaces")) {
		load_exempt(l, n, to);
	} else {
		config_unknown(l, n, "unknown key", managed_keys, ARRAY_SIZE(managed_keys));
	}
}

/* What one key says about another. false: an error was written. */
static bool managed_holds_together(const struct loading *l, const struct node *n,
				   const struct config_managed *m)
{
	unsigned i, before = l->d->count;

	if (!m->unit.n && !m->engine.n)
		config_wrong(l, n, "needs \"unit\" or \"engine\"", NULL);
	if (m->registrar >= 0 && !m->unit.n)
		config_wrong(l, n, "has a \"registrar\" but no \"unit\" whose jobs it registers",
			     NULL);
	if ((m->adopt_sole || m->jobs_gitlab || m->hide_sockets) && !m->engine.n)
		config_wrong(l, n,
			     "has \"adopt\", \"jobs\" or \"engine_socket\", which say what becomes "
			     "of an engine's containers, but no \"engine\"",
			     NULL);
	if ((m->jobs_kubernetes || m->nexempt) && !str_is(m->engine, "containerd") &&
	    !str_is(m->engine, "crio"))
		config_wrong(
			l, n,
			"has \"jobs\": \"kubernetes\" or \"exempt_namespaces\", which are for the "
			"engines containerd and crio",
			NULL);
	if ((m->root.n || m->jobs_gitlab) && m->engine.n && !str_is(m->engine, "docker"))
		config_wrong(l, n,
			     "has \"root\" or \"jobs\": \"gitlab\", which are for the engine "
			     "docker alone",
			     NULL);
	if (m->root.n && !m->engine.n)
		config_wrong(l, n, "has a \"root\" but no \"engine\" that keeps containers there",
			     NULL);
	for (i = 0; i < l->c->nmanaged; i++) {
		const struct config_managed *o = &l->c->managed[i];

		if (str_eq(o->unit, m->unit) && str_eq(o->engine, m->engine) &&
		    str_eq(o->root, m->root))
			config_wrong(l, n, "says again what an earlier entry said", NULL);
	}
	return l->d->count == before;
}

void config_load_managed(const struct loading *l, const struct node *n)
{
	const struct node *at, *key;

	l->c->nmanaged = 0;
	if (n->kind != NODE_ARRAY) {
		config_wrong(l, n, "must be a list of objects with \"unit\" or \"engine\"", NULL);
		return;
	}
	for (at = n->first; at; at = at->next) {
		struct config_managed m = { .registrar = -1 };
		unsigned before = l->d->count;

		if (at->kind != NODE_OBJECT) {
			config_wrong(l, at, "must hold objects with \"unit\" or \"engine\"", NULL);
			continue;
		}
		if (l->c->nmanaged == CONFIG_MANAGED_MAX) {
			config_wrong(l, at, "has more than 32 entries", NULL);
			return;
		}
		for (key = at->first; key; key = key->next)
			load_managed_key(l, key, &m);
		if (str_is(m.engine, "docker") && !m.root.n)
			m.root = STR("/var/lib/docker");
		if (l->d->count == before && managed_holds_together(l, at, &m))
			l->c->managed[l->c->nmanaged++] = m;
	}
}

/* https://NAME[:PORT][/PATH] as a token's "iss" says it: compared byte for byte, so nothing is made
 * of it but the place of the keys. */
static bool is_issuer(struct str s)
{
	const char *host = s.p + 8;

	if (!str_starts(s, "https://") || s.n > ISSUER_MAX || !is_plain(s) || s.n == 8 ||
	    *host == '/' || *host == ':')
		return false;
	return !memchr(s.p, '?', s.n) && !memchr(s.p, '#', s.n) && !memchr(s.p, '@', s.n) &&
	       !memchr(s.p, '"', s.n) && !memchr(s.p, '\\', s.n);
}

static struct str kind_of_issuer(struct str issuer)
{
	static const char enterprise[] = "/_services/token";
	const size_t n = sizeof(enterprise) - 1;

	if (str_is(issuer, "https://token.actions.githubusercontent.com") ||
	    str_starts(issuer, "https://token.actions.githubusercontent.com/") ||
	    (issuer.n > n && !memcmp(issuer.p + issuer.n - n, enterprise, n)))
		return STR("github");
	if (str_is(issuer, "https://gitlab.com"))
		return STR("gitlab");
	if (str_is(issuer, "https://agent.buildkite.com"))
		return STR("buildkite");
	return STR("generic");
}

static void load_algorithms(const struct loading *l, const struct node *n,
			    struct config_identity *to)
{
	static const char *const known[CONFIG_ALGORITHMS_MAX] = { "RS256", "PS256", "ES256",
								  "EdDSA" };
	const struct node *at;

	to->nalgorithms = 0;
	for (at = n->kind == NODE_ARRAY ? n->first : NULL; at; at = at->next) {
		if (!is_text(at) || !one_of(at->text, known, ARRAY_SIZE(known)) ||
		    to->nalgorithms == CONFIG_ALGORITHMS_MAX)
			break;
		to->algorithms[to->nalgorithms++] = arena_str(&l->c->arena, at->text);
	}
	if (at || !to->nalgorithms)
		config_wrong(l, n, "must list some of", "RS256, PS256, ES256, EdDSA");
}

/* What the issuer of a kind is known to sign with; an issuer of one's own may use any. */
static void usual_algorithms(struct config_identity *id)
{
	if (id->nalgorithms || str_is(id->kind, "generic"))
		return;
	id->algorithms[id->nalgorithms++] = STR("RS256");
}

static void load_identity_key(const struct loading *l, const struct node *n,
			      struct config_identity *to, struct str *ret_replay)
{
	if (str_is(n->key, "issuer")) {
		if (!is_text(n) || !is_issuer(n->text))
			config_wrong(l, n, "must be",
				     "the https address that tokens name as \"iss\", as "
				     "https://token.actions.githubusercontent.com");
		else
			to->issuer = arena_str(&l->c->arena, n->text);
	} else if (str_is(n->key, "audience")) {
		if (!is_text(n) || n->text.n > 256 || !is_plain(n->text))
			config_wrong(l, n, "must be",
				     "at most 256 printable characters, no blanks");
		else
			to->audience = arena_str(&l->c->arena, n->text);
	} else if (str_is(n->key, "kind")) {
		if (!is_text(n) || !one_of(n->text, kinds, ARRAY_SIZE(kinds)))
			config_wrong(l, n, "must be",
				     "\"github\", \"gitlab\", \"buildkite\" or \"generic\"");
		else
			to->kind = arena_str(&l->c->arena, n->text);
	} else if (str_is(n->key, "replay")) {
		if (!is_text(n) || (!str_is(n->text, "nonce") && !str_is(n->text, "jti")))
			config_wrong(l, n, "must be", "\"nonce\" or \"jti\"");
		else
			*ret_replay = arena_str(&l->c->arena, n->text);
	} else if (str_is(n->key, "algorithms")) {
		load_algorithms(l, n, to);
	} else {
		config_unknown(l, n, "unknown key", identity_keys, ARRAY_SIZE(identity_keys));
	}
}

/* The audience is asked for before it is known whose token comes: of one kind there is one. */
static bool same_asked(const struct config *c, const struct config_identity *id)
{
	for (unsigned i = 0; i < c->nidentity; i++)
		if (str_eq(c->identity[i].kind, id->kind) &&
		    (!str_eq(c->identity[i].audience, id->audience) ||
		     c->identity[i].by_jti != id->by_jti))
			return false;
	return true;
}

void config_load_identity(const struct loading *l, const struct node *n)
{
	const struct node *at, *key;

	l->c->nidentity = 0;
	if (n->kind != NODE_ARRAY) {
		config_wrong(l, n, "must be a list of objects with \"issuer\"", NULL);
		return;
	}
	for (at = n->first; at; at = at->next) {
		struct config_identity id = { .audience = STR("egret") };
		unsigned i, before = l->d->count;
		struct str replay = STR("");

		if (at->kind != NODE_OBJECT) {
			config_wrong(l, at, "must hold objects with \"issuer\"", NULL);
			continue;
		}
		if (l->c->nidentity == CONFIG_IDENTITY_MAX) {
			config_wrong(l, at, "has more than 8 entries", NULL);
			return;
		}
		for (key = at->first; key; key = key->next)
			load_identity_key(l, key, &id, &replay);
		for (i = 0; i < l->c->nidentity && id.issuer.n; i++)
			if (str_eq(l->c->identity[i].issuer, id.issuer))
				config_wrong(l, at, "names an issuer that an earlier entry names",
					     NULL);
		if (l->d->count != before)
			continue;
		if (!id.issuer.n) {
			config_wrong(l, at, "needs \"issuer\"", NULL);
			continue;
		}
		if (!id.kind.n)
			id.kind = kind_of_issuer(id.issuer);
		id.by_jti = replay.n ? str_is(replay, "jti") : str_is(id.kind, "gitlab");
		usual_algorithms(&id);
		if (!same_asked(l->c, &id)) {
			config_wrong(l, at,
				     "has another audience or replay than an earlier entry of its "
				     "kind: tokens are asked for by kind",
				     NULL);
			continue;
		}
		l->c->identity[l->c->nidentity++] = id;
	}
}
