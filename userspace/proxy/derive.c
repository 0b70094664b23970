/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which answers to a request that came with a credential hold another one, by protocol: one table.
 * Called by forward.c with an origin's answer, hostile. What the table names and what cannot be
 * read is refused in words, never passed.
 */
#include "proxy/derive.h"

#include "http/challenge.h"
#include "http/fields.h"
#include "http/form.h"
#include "http/json_walk.h"
#include "proxy/derive_table.h"
#include "proxy/derived.h"

#include <errno.h>
#include <openssl/evp.h>

#define EDITS_MAX 2048
#define LINKS_MAX 1024

/* Fields that hold a token whole. */
static bool is_token(struct str name)
{
	return str_is(name, "x-subject-token") || str_is(name, "x-auth-token") ||
	       str_is(name, "x-vault-token");
}

/* ---- marks ---- */

static int came_with(const struct session *s)
{
	return exchange_credential(&s->x);
}

/* In the arena; false: *why. host n = 0: the credential's. */
static bool mark(struct session *s, struct str host, struct str value, bool encoded,
		 struct str *ret, const char **why)
{
	struct derived_want w = {
		.credential = came_with(s), .host = host, .value = value, .encoded = encoded
	};
	int r = derived_put(creds_derived(s->px->creds), &w, ret);

	if (r < 0)
		*why = r == -E2BIG ? "it hands out a credential that is too long to be kept"
				   : "it hands out a credential, and no locked memory is left for "
				     "it";
	else
		*ret = arena_str(&s->arena, *ret);
	return r == 0;
}

/* ---- a head ---- */

static struct str joined(struct arena *a, struct str one, struct str two, struct str three)
{
	char *p = arena_new(a, one.n + two.n + three.n + 1);

	memcpy(p, one.p, one.n);
	memcpy(p + one.n, two.p, two.n);
	memcpy(p + one.n + two.n, three.p, three.n);
	return (struct str){ p, one.n + two.n + three.n };
}

/* v with a mark for what lies at [at, at + n). */
static bool put_mark(struct session *s, struct str *v, size_t at, size_t n, struct str host,
		     bool encoded, const char **why)
{
	struct str m;

	if (!mark(s, host, (struct str){ v->p + at, n }, encoded, &m, why))
		return false;
	*v = joined(&s->arena, (struct str){ v->p, at }, m,
		    (struct str){ v->p + at + n, v->n - at - n });
	return true;
}

/* name=value; attributes */
static bool cookie(struct session *s, struct field *f, const char **why)
{
	const char *semi = memchr(f->value.p, ';', f->value.n);
	size_t n = semi ? (size_t)(semi - f->value.p) : f->value.n;
	const char *equals = memchr(f->value.p, '=', n);
	size_t at = equals ? (size_t)(equals + 1 - f->value.p) : n;

	if (n - at < DERIVED_LEAST)
		return true;
	return put_mark(s, &f->value, at, n - at, s->x.rq.q.host, false, why);
}

/* Where in a URL its query begins and ends, and whose it is. */
static bool url_parts(struct session *s, struct str url, struct str *ret_host, size_t *ret_at,
		      size_t *ret_n, char host[HOST_MAX + 1])
{
	const char *mark = memchr(url.p, '?', url.n), *hash = memchr(url.p, '#', url.n);
	struct str name, path;
	size_t n;

	if (hash && (!mark || hash < mark))
		mark = NULL;
	*ret_at = mark ? (size_t)(mark + 1 - url.p) : url.n;
	*ret_n = (hash && mark ? (size_t)(hash - url.p) : url.n) - *ret_at;
	*ret_host = s->x.rq.q.host;
	if (!memmem(url.p, *ret_at, "//", 2))
		return true;
	if (!challenge_url(url, &name, &path) || host_canonical(name, host, &n) < 0)
		return false;
	*ret_host = (struct str){ host, n };
	return true;
}

static bool signed_query(struct str query)
{
	struct form_field f;

	for (size_t at = 0; query.n && form_each(query, &at, &f);)
		if (f.value.n >= DERIVED_LEAST && derived_key(f.name))
			return true;
	return false;
}

/* Marks for what signs or opens a URL. */
static bool signed_url(struct session *s, struct str *url, const char **why)
{
	char room[HOST_MAX + 1];
	struct form_field f;
	struct str host, query;
	size_t from, n, at = 0;
	bool known = url_parts(s, *url, &host, &from, &n, room);

	query = (struct str){ url->p + from, n };
	if (!known && (signed_query(query) || memchr(url->p, '@', from))) {
		*why = "it leads to a signed address that is not https://HOST/...";
		return false;
	}
	if (memmem(url->p + from + n, url->n - from - n, "token=", 6)) {
		*why = "it leads to an address with a token behind its #";
		return false;
	}
	while (form_each(query, &at, &f)) {
		size_t before = url->n;

		if (f.value.n < DERIVED_LEAST || !derived_key(f.name))
			continue;
		if (!put_mark(s, url, (size_t)(f.value.p - url->p), f.value.n, host, true, why))
			return false;
		/* The query lies elsewhere now; walked on from behind the mark. */
		query = (struct str){ url->p + from, n + url->n - before };
		n = query.n;
		at += url->n - before;
	}
	return true;
}

static bool head_marks(struct session *s, struct head *h, const char **why)
{
	for (size_t i = 0; i < h->n; i++) {
		struct field *f = &h->fields[i];
		bool ok = true;

		if (str_is(f->name, "set-cookie"))
			ok = cookie(s, f, why);
		else if (str_is(f->name, "location") || str_is(f->name, "content-location"))
			ok = signed_url(s, &f->value, why);
		else if (is_token(f->name) && f->value.n >= DERIVED_LEAST)
			ok = put_mark(s, &f->value, 0, f->value.n, (struct str){ NULL, 0 }, false,
				      why);
		if (!ok)
			return false;
	}
	return true;
}

static void note_realms(struct session *s, const struct head *h)
{
	const struct field *f;

	for (size_t at = 0; (f = head_each(h, "www-authenticate", &at));)
		derived_note_realm(creds_derived(s->px->creds), s->x.rq.q.host, f->value);
}

static bool may_be_json(const struct head *h)
{
	const struct field *f = head_find(h, "content-type");

	return !f || str_starts(f->value, "application/json") ||
	       str_starts(f->value, "text/plain") || memmem(f->value.p, f->value.n, "+json", 5);
}

enum derive derive_head(struct session *s, struct head *h, const char **why)
{
	const struct protocol *p;
	struct str host;

	if (!creds_count(s->px->creds) || !s->tls || !s->x.rq.origin.name_n)
		return DERIVE_PASS;
	if (h->status == 401)
		note_realms(s, h);
	if (came_with(s) < 0)
		return DERIVE_PASS;
	if (!head_marks(s, h, why))
		return DERIVE_REFUSE;
	if (h->status / 100 != 2 || h->status == 204 || h->body == BODY_NONE ||
	    str_is(s->req.head.method, "HEAD"))
		return DERIVE_PASS;
	p = derive_protocol(s, &host);
	if (!p || (p->guess && !may_be_json(h)))
		return DERIVE_PASS;
	return DERIVE_WHOLE;
}

/* ---- a body ---- */

struct edit {
	size_t at, n;
	struct str by;
};

/* Where an action of a batch leads: a store for the bytes, the forge itself for their check. */
struct link {
	const char *action; /* where its name stands in the body */
	struct str host;
};

struct edits {
	struct session *s;
	const struct protocol *p;
	struct str body, host; /* where the marks are to be good */
	struct edit *list;
	size_t n;
	struct link *links;
	size_t nlinks;
	const char *why;
	bool first; /* the walk that only looks for hosts */
	char room[HOST_MAX + 1];
};

static int edit_add(struct edits *e, struct str at, struct str by)
{
	if (e->n == EDITS_MAX) {
		e->why = "it hands out too many credentials at once";
		return -E2BIG;
	}
	e->list[e->n++] = (struct edit){ .at = (size_t)(at.p - e->body.p), .n = at.n, .by = by };
	return 0;
}

/* What a JSON text says: where it lies when nothing in it is escaped, else a copy. */
static struct str read_text(struct edits *e, struct str text)
{
	char *to;

	if (!memchr(text.p, '\\', text.n))
		return text;
	to = arena_new(&e->s->arena, text.n + 1);
	return (struct str){ to, json_text_read(text, to) };
}

/* A mark in the place of `at`, which says `says`; what is one already stays as it is written. */
static int swap(struct edits *e, struct str at, struct str says)
{
	struct str m;

	if (!mark(e->s, e->host, says, false, &m, &e->why))
		return -EACCES;
	return str_eq(m, says) ? 0 : edit_add(e, at, m);
}

static int swap_text(struct edits *e, struct str text)
{
	struct str says;
	int r;

	if (text.n < DERIVED_LEAST)
		return 0;
	says = read_text(e, text);
	r = swap(e, text, says);
	if (says.p != text.p)
		wipe((char *)says.p, says.n);
	return r;
}

static int on_token(void *owner, const struct json_step *path, size_t depth, struct str text)
{
	struct edits *e = owner;
	struct str key;

	if (!depth || !path[depth - 1].key.p)
		return 0;
	key = read_text(e, path[depth - 1].key);
	return derive_listed(e->p->keys, key) ? swap_text(e, text) : 0;
}

/* authorizationData[].authorizationToken: base64 of user:password, for Basic. */
static int on_ecr(void *owner, const struct json_step *path, size_t depth, struct str text)
{
	struct edits *e = owner;
	struct str plain, m, all, name, url_path;
	unsigned char *decoded, *coded;
	const char *colon;
	size_t pad = 0;
	int n;

	if (!depth || !path[depth - 1].key.p)
		return 0;
	if (e->first) {
		struct credential c = creds_at(e->s->px->creds, came_with(e->s));
		size_t host_n;

		if (!json_text_is(path[depth - 1].key, STR("proxyEndpoint")))
			return 0;
		if (!challenge_url(read_text(e, text), &name, &url_path) ||
		    host_canonical(name, e->room, &host_n) < 0 ||
		    !credential_host(&c, (struct str){ e->room, host_n })) {
			e->why = "it hands out a password for a registry that is not among the "
				 "credential's hosts";
			return -EACCES;
		}
		return 0;
	}
	if (!json_text_is(path[depth - 1].key, STR("authorizationToken")))
		return 0;
	plain = read_text(e, text);
	decoded = arena_new(&e->s->arena, plain.n + 4);
	n = plain.n % 4 ? -1 : EVP_DecodeBlock(decoded, (const uint8_t *)plain.p, (int)plain.n);
	while (pad < 2 && plain.n > pad && plain.p[plain.n - 1 - pad] == '=')
		pad++;
	colon = n > 0 ? memchr(decoded, ':', (size_t)n - pad) : NULL;
	if (!colon) {
		e->why = "it hands out a password in a form that is not known";
		return -EACCES;
	}
	colon++;
	plain = (struct str){ (char *)decoded, (size_t)n - pad };
	if (!mark(e->s, e->host, (struct str){ colon, (size_t)(plain.p + plain.n - colon) }, false,
		  &m, &e->why))
		return -EACCES;
	all = joined(&e->s->arena, (struct str){ plain.p, (size_t)(colon - plain.p) }, m,
		     (struct str){ "", 0 });
	wipe(decoded, (size_t)n);
	coded = arena_new(&e->s->arena, (all.n + 2) / 3 * 4 + 1);
	n = EVP_EncodeBlock(coded, (const uint8_t *)all.p, (int)all.n);
	return edit_add(e, text, (struct str){ (char *)coded, (size_t)n });
}

static bool secret_header(struct str name)
{
	static const char *const words[] = { "authorization", "token", "cookie", "signature",
					     "key" };
	char lower[64];

	if (name.n > sizeof(lower))
		return true;
	for (size_t i = 0; i < name.n; i++)
		lower[i] =
			name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] | 0x20) : name.p[i];
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (memmem(lower, name.n, words[i], strlen(words[i])))
			return true;
	return false;
}

/* Of no URL (RFC 3986), and in JSON they would have to be escaped. */
static bool unwritable(struct str url)
{
	for (size_t i = 0; i < url.n; i++)
		if ((unsigned char)url.p[i] <= ' ' || url.p[i] == '"' || url.p[i] == '\\')
			return true;
	return false;
}

static struct link *link_of(const struct edits *e, const char *action)
{
	for (size_t i = 0; i < e->nlinks; i++)
		if (e->links[i].action == action)
			return &e->links[i];
	return NULL;
}

static int link_add(struct edits *e, const char *action, struct str host)
{
	struct link *l = link_of(e, action);

	if (l && !str_eq(l->host, host)) {
		e->why = "an action of its batch leads to more than one host";
		return -EACCES;
	}
	if (l)
		return 0;
	if (e->nlinks == LINKS_MAX) {
		e->why = "it hands out too many credentials at once";
		return -E2BIG;
	}
	e->links[e->nlinks++] = (struct link){ action, arena_str(&e->s->arena, host) };
	return 0;
}

static int lfs_href(struct edits *e, const char *action, struct str text)
{
	char room[HOST_MAX + 1];
	struct str host, url = read_text(e, text), value = url;
	size_t at, n;

	if (unwritable(url) || !url_parts(e->s, url, &host, &at, &n, room)) {
		e->why = "a link of its batch is not https://HOST/...";
		return -EACCES;
	}
	if (e->first)
		return link_add(e, action, host);
	if (!signed_url(e->s, &value, &e->why))
		return -EACCES;
	return value.p == url.p ? 0 : edit_add(e, text, value);
}

/* objects[].actions.OPERATION.href, .header.NAME */
static int on_lfs(void *owner, const struct json_step *path, size_t depth, struct str text)
{
	struct edits *e = owner;
	const struct link *l;
	const char *action, *blank;

	if (depth < 5 || path[1].key.p || !path[2].key.p || !path[4].key.p ||
	    !json_text_is(path[2].key, STR("actions")))
		return 0;
	action = path[3].key.p ? path[3].key.p : path[2].key.p;
	if (depth == 5 && json_text_is(path[4].key, STR("href")))
		return lfs_href(e, action, text);
	if (e->first || depth != 6 || !path[5].key.p || !json_text_is(path[4].key, STR("header")) ||
	    !secret_header(read_text(e, path[5].key)))
		return 0;
	l = link_of(e, action);
	e->host = l ? l->host : (struct str){ NULL, 0 };
	/* "Basic x": the scheme stays. */
	blank = memchr(text.p, ' ', text.n);
	if (blank) {
		text.n -= (size_t)(blank + 1 - text.p);
		text.p = blank + 1;
	}
	return swap_text(e, text);
}

static bool walk(struct edits *e, json_string_fn fn, bool twice)
{
	e->first = twice;
	if (twice && json_strings(e->body, fn, e) < 0)
		return false;
	e->first = false;
	return json_strings(e->body, fn, e) == 0;
}

static bool form_tokens(struct edits *e)
{
	struct form_field f;
	char name[64];

	for (size_t at = 0; form_each(e->body, &at, &f);) {
		if (f.name.n > sizeof(name) || !derive_listed(e->p->keys, f.name))
			continue;
		if (f.value.n < DERIVED_LEAST)
			continue;
		if (memchr(f.value.p, '%', f.value.n) || swap(e, f.value, f.value) < 0)
			return false;
	}
	return true;
}

static bool is_form(const struct head *h)
{
	const struct field *f = head_find(h, "content-type");

	return f && str_starts(f->value, "application/x-www-form-urlencoded");
}

bool derive_body(struct session *s, const struct head *h, struct str body, struct str **ret,
		 size_t *ret_n, const char **why)
{
	struct edits e = { .s = s, .body = body };
	size_t at = 0, n = 0;
	struct credential c;
	bool ok = false;

	e.p = derive_protocol(s, &e.host);
	c = creds_at(s->px->creds, came_with(s));
	if (e.host.n && !credential_host(&c, e.host)) {
		*why = "it hands out a token for a registry that is not among the credential's "
		       "hosts";
		return false;
	}
	e.list = arena_new(&s->arena, EDITS_MAX * sizeof(*e.list));
	switch (e.p->form) {
	case ANSWER_TOKENS:
		ok = is_form(h) ? form_tokens(&e) : walk(&e, on_token, false);
		break;
	case ANSWER_LFS:
		e.links = arena_new(&s->arena, LINKS_MAX * sizeof(*e.links));
		ok = walk(&e, on_lfs, true);
		break;
	case ANSWER_ECR:
		ok = walk(&e, on_ecr, true);
		break;
	case ANSWER_STS:
		ok = !memmem(body.p, body.n, "SecretAccessKey", 15);
		e.why = "it hands out keys of AWS, for which nothing can stand; give the job a "
			"credential of provider aws";
		break;
	}
	if (!ok) {
		*why = e.why ? e.why : "it hands out credentials in a form that cannot be read";
		return false;
	}
	*ret = arena_new(&s->arena, (2 * e.n + 1) * sizeof(**ret));
	for (size_t i = 0; i < e.n; i++) {
		(*ret)[n++] = (struct str){ body.p + at, e.list[i].at - at };
		(*ret)[n++] = e.list[i].by;
		at = e.list[i].at + e.list[i].n;
	}
	(*ret)[n++] = (struct str){ body.p + at, body.n - at };
	*ret_n = n;
	return true;
}
