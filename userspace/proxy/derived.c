/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of derived credentials. Filled by derive.c from answers, asked by bind.c and forward.c
 * for requests. Marks are 160 bits of getrandom(2): a job cannot guess one that another part of it
 * was given, and one that it invents is only text.
 */
#include "proxy/derived.h"

#include "base/clock.h"
#include "http/challenge.h"
#include "http/form.h"
#include "proxy/creds.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/random.h>

#define DERIVED_MAX 1024
#define VALUE_MAX 16384u
#define GOOD_MS (3600u * 1000)
#define REALMS 32

#define MARK "egret_d_"
#define MARK_N (sizeof(MARK) - 1 + 32)

struct one {
	char mark[MARK_N];
	struct secret value;
	char host[HOST_MAX + 1];
	size_t host_n;
	int credential;
	bool encoded;
	uint64_t until;
};

struct realm {
	char host[HOST_MAX + 1], registry[HOST_MAX + 1];
	struct challenge c; /* realm is the path */
};

struct derived {
	struct one **list; /* NULL where one is gone */
	size_t n;
	unsigned version;
	struct realm realms[REALMS];
	unsigned nrealms;
};

struct derived *derived_new(void)
{
	return mem_new(sizeof(struct derived));
}

static void one_free(struct one *o)
{
	secret_done(&o->value);
	free(o);
}

struct derived *derived_free(struct derived *d)
{
	if (!d)
		return NULL;
	for (size_t i = 0; i < d->n; i++)
		one_free(d->list[i]);
	free(d->list);
	free(d);
	return NULL;
}

unsigned derived_version(const struct derived *d)
{
	return d->version;
}

static void drop(struct derived *d, size_t at)
{
	one_free(d->list[at]);
	memmove(d->list + at, d->list + at + 1, (--d->n - at) * sizeof(*d->list));
	d->version++;
}

/* What is over, and if that is not enough what was used longest ago. */
static void make_room(struct derived *d, bool one_at_least)
{
	uint64_t now = clock_now();
	size_t oldest = 0, before = d->n;

	for (size_t i = d->n; i-- > 0;)
		if (d->list[i]->until <= now)
			drop(d, i);
	if (!d->n || (d->n < DERIVED_MAX && !(one_at_least && d->n == before)))
		return;
	for (size_t i = 1; i < d->n; i++)
		if (d->list[i]->until < d->list[oldest]->until)
			oldest = i;
	drop(d, oldest);
}

static void mark_make(char to[MARK_N])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint8_t bytes[32];

	for (size_t got = 0; got < sizeof(bytes);) {
		ssize_t r = getrandom(bytes + got, sizeof(bytes) - got, 0);

		if (r < 0 && errno != EINTR)
			die("getrandom: %m");
		got += r > 0 ? (size_t)r : 0;
	}
	memcpy(to, MARK, sizeof(MARK) - 1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		to[sizeof(MARK) - 1 + i] = letters[bytes[i] & 31];
}

static struct str host_of(const struct one *o)
{
	return (struct str){ o->host, o->host_n };
}

static struct str value_of(const struct one *o)
{
	return (struct str){ (char *)o->value.p, o->value.n };
}

int derived_put(struct derived *d, const struct derived_want *w, struct str *ret)
{
	struct one *o;

	if (w->value.n > VALUE_MAX || w->host.n > HOST_MAX)
		return -E2BIG;
	/* A mark of ours that came back stands for what it stood for. */
	if (memmem(w->value.p, w->value.n, MARK, sizeof(MARK) - 1)) {
		*ret = w->value;
		return 0;
	}
	for (size_t i = 0; i < d->n; i++) {
		o = d->list[i];
		if (o->credential != w->credential || o->encoded != w->encoded ||
		    !str_eq(host_of(o), w->host) || !secret_eq(value_of(o), w->value))
			continue;
		o->until = clock_now() + GOOD_MS;
		*ret = (struct str){ o->mark, MARK_N };
		return 0;
	}
	if (!d->list)
		d->list = mem_new(DERIVED_MAX * sizeof(struct one *));
	make_room(d, false);
	o = mem_new(sizeof(*o));
	while (secret_dup(w->value.p, w->value.n, &o->value) < 0) {
		if (!d->n) {
			free(o);
			return -ENOMEM;
		}
		make_room(d, true);
	}
	o->credential = w->credential;
	o->encoded = w->encoded;
	if (w->host.n)
		memcpy(o->host, w->host.p, w->host.n);
	o->host_n = w->host.n;
	o->until = clock_now() + GOOD_MS;
	mark_make(o->mark);
	d->list[d->n++] = o;
	d->version++;
	*ret = (struct str){ o->mark, MARK_N };
	return 0;
}

void derived_move(struct derived *d, struct derived *from, const int *to)
{
	size_t stays = 0;

	if (from->n && !d->list)
		d->list = mem_new(DERIVED_MAX * sizeof(struct one *));
	for (size_t i = 0; i < from->n; i++) {
		struct one *o = from->list[i];

		if (to[o->credential] < 0 || d->n == DERIVED_MAX) {
			from->list[stays++] = o;
			continue;
		}
		o->credential = to[o->credential];
		d->list[d->n++] = o;
	}
	from->n = stays;
	d->version += from->version + 1;
	memcpy(d->realms, from->realms, sizeof(d->realms));
	d->nrealms = from->nrealms;
}

/* ---- in a request ---- */

static bool good_for(const struct credentials *creds, const struct one *o, struct str host)
{
	struct credential c;

	if (o->until <= clock_now())
		return false;
	if (o->host_n)
		return str_eq(host_of(o), host);
	c = creds_at(creds, o->credential);
	return credential_host(&c, host);
}

/* The first mark in s that is good for the host. */
static struct one *find(const struct credentials *creds, struct str host, struct str s)
{
	const struct derived *d = creds_derived(creds);
	const char *p;

	while (s.n >= MARK_N && (p = memmem(s.p, s.n, MARK, sizeof(MARK) - 1))) {
		s.n -= (size_t)(p - s.p);
		s.p = p;
		for (size_t i = 0; s.n >= MARK_N && i < d->n; i++)
			if (memcmp(p, d->list[i]->mark, MARK_N) == 0 &&
			    good_for(creds, d->list[i], host))
				return d->list[i];
		s.p++;
		s.n--;
	}
	return NULL;
}

static struct one *find_in_field(const struct credentials *creds, struct str host, struct str v)
{
	struct one *o = find(creds, host, v);
	struct secret plain;

	if (o || !inject_basic(v, &plain))
		return o;
	o = find(creds, host, (struct str){ (char *)plain.p, plain.n });
	secret_done(&plain);
	return o;
}

static struct str query_of(struct str target)
{
	const char *mark = memchr(target.p, '?', target.n);

	return mark ? (struct str){ mark + 1, (size_t)(target.p + target.n - mark - 1) }
		    : (struct str){ "", 0 };
}

static bool holds_word(struct str s, const char *word)
{
	return memmem(s.p, s.n, word, strlen(word));
}

/* Where clients send what they were given. Elsewhere a mark stays what it is: a job must not
 * publish a secret by quoting it. */
static bool carries(struct str name)
{
	return str_is(name, "authorization") || str_is(name, "cookie") ||
	       holds_word(name, "token") || holds_word(name, "auth") || holds_word(name, "session");
}

bool derived_key(struct str name)
{
	static const char *const keys[] = {
		"X-Amz-Signature",
		"X-Amz-Security-Token",
		"X-Goog-Signature",
		"Signature",
		"sig",
		"token",
		"access_token",
		"jwt",
		"hdnts",
		"hmac",
		"verify",
		"__token__",
		"signature",
		"AccessToken",
		"auth_token",
		"private_token",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (form_name_is(name, str_of(keys[i])))
			return true;
	return false;
}

/* The first field of the query with a mark in a place for one. */
static bool in_query(const struct credentials *creds, struct str host, struct str target,
		     struct form_field *ret, struct one **ret_one)
{
	struct str q = query_of(target);

	for (size_t at = 0; form_each(q, &at, ret);) {
		if (!ret->value.n || !derived_key(ret->name))
			continue;
		*ret_one = find(creds, host, ret->value);
		if (*ret_one)
			return true;
	}
	return false;
}

int derived_look(const struct credentials *creds, struct str host, struct carrier *k)
{
	const struct one *o = NULL, *at;
	struct one *asked;
	struct form_field q;
	size_t to = 0;

	if (!creds_derived(creds)->n)
		return -1;
	for (size_t i = 0; i < k->head->n; i++) {
		const struct field *f = &k->head->fields[i];

		at = carries(f->name) ? find_in_field(creds, host, f->value) : NULL;
		o = o ? o : at;
		if (at && str_is(f->name, "authorization"))
			k->held = STR("authorization");
	}
	/* Beside one that is held the client's own does not stay. */
	for (size_t i = 0; k->held.n && i < k->head->n; i++) {
		const struct field *f = &k->head->fields[i];

		if (!str_eq(f->name, k->held) || find_in_field(creds, host, f->value))
			k->head->fields[to++] = *f;
	}
	if (k->held.n)
		k->head->n = to;
	if (!o && in_query(creds, host, k->target, &q, &asked))
		o = asked;
	return o ? o->credential : -1;
}

static int swap_all(const struct credentials *creds, struct str host, struct str v, bool url,
		    struct secret *ret)
{
	struct secret out = { 0 }, more, code;
	struct one *o;
	int r = 0;

	while ((o = find(creds, host, v))) {
		struct str by = value_of(o);

		code = (struct secret){ 0 };
		if (url && !o->encoded) {
			r = inject_encode(by, &code);
			if (r < 0)
				break;
			by = (struct str){ (char *)code.p, code.n };
		}
		r = inject_swap(v, (struct str){ o->mark, MARK_N }, by, &more);
		secret_done(&code);
		if (r < 0)
			break;
		secret_done(&out);
		out = more;
		v = (struct str){ (char *)out.p, out.n };
		o->until = clock_now() + GOOD_MS;
	}
	if (o) {
		secret_done(&out);
		return r;
	}
	*ret = out;
	return out.p ? 1 : 0;
}

static int swap_field(const struct credentials *creds, struct str host, struct field *f,
		      struct inject *to)
{
	struct secret plain, out, basic;
	int r = swap_all(creds, host, f->value, false, &out);

	if (r == 1)
		return inject_keep(to, out, &f->value);
	if (r < 0 || !inject_basic(f->value, &plain))
		return r;
	r = swap_all(creds, host, (struct str){ (char *)plain.p, plain.n }, false, &out);
	secret_done(&plain);
	if (r != 1)
		return r;
	r = inject_basic_form((struct str){ (char *)out.p, out.n }, &basic);
	secret_done(&out);
	return r < 0 ? r : inject_keep(to, basic, &f->value);
}

static int swap_query(const struct credentials *creds, struct str host, const struct form_field *f,
		      struct carrier *k, struct inject *to)
{
	size_t before = (size_t)(f->value.p - k->target.p);
	size_t behind = k->target.n - before - f->value.n;
	struct secret value, out;
	int r = swap_all(creds, host, f->value, true, &value);

	if (r != 1)
		return r < 0 ? r : -EINVAL;
	r = secret_new(before + value.n + behind, &out);
	if (r == 0) {
		memcpy(out.p, k->target.p, before);
		memcpy(out.p + before, value.p, value.n);
		memcpy(out.p + before + value.n, f->value.p + f->value.n, behind);
		r = inject_keep(to, out, &k->target);
	}
	secret_done(&value);
	return r;
}

int derived_swap(const struct credentials *creds, struct str host, struct carrier *k,
		 struct inject *to)
{
	struct form_field f;
	struct one *o;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < k->head->n; i++)
		if (carries(k->head->fields[i].name))
			r = swap_field(creds, host, &k->head->fields[i], to);
	while (r >= 0 && in_query(creds, host, k->target, &f, &o))
		r = swap_query(creds, host, &f, k, to);
	return r;
}

bool derived_each(const struct credentials *creds, struct str host, size_t *at, struct str *ret)
{
	const struct derived *d = creds_derived(creds);

	while (*at < d->n) {
		const struct one *o = d->list[d->n - ++*at];

		if (!good_for(creds, o, host))
			continue;
		*ret = value_of(o);
		return true;
	}
	return false;
}

/* ---- realms ---- */

void derived_note_realm(struct derived *d, struct str registry, struct str www_authenticate)
{
	struct str host, path;
	struct realm *r, new = { .c.realm_n = 0 };
	size_t n;

	if (!challenge_bearer(www_authenticate, &new.c) ||
	    !challenge_url((struct str){ new.c.realm, new.c.realm_n }, &host, &path) ||
	    host_canonical(host, new.host, &n) < 0 || registry.n > HOST_MAX)
		return;
	memmove(new.c.realm, path.p, path.n);
	new.c.realm_n = path.n;
	memcpy(new.registry, registry.p, registry.n);
	for (unsigned i = 0; i < REALMS; i++) {
		r = &d->realms[i];
		if (!strcmp(r->host, new.host) && !strcmp(r->registry, new.registry) &&
		    r->c.realm_n == new.c.realm_n && r->c.service_n == new.c.service_n &&
		    !memcmp(r->c.realm, new.c.realm, new.c.realm_n) &&
		    !memcmp(r->c.service, new.c.service, new.c.service_n))
			return;
	}
	d->realms[d->nrealms++ % REALMS] = new;
}

bool derived_realm(const struct derived *d, struct str host, struct str path, struct str service,
		   struct str *ret_registry)
{
	bool found = false;

	*ret_registry = (struct str){ NULL, 0 };
	for (unsigned i = 0; i < d->nrealms && i < REALMS; i++) {
		const struct realm *r = &d->realms[i];
		struct str named = { r->c.service, r->c.service_n };

		if (!r->host[0] || !str_is(host, r->host) ||
		    !str_eq(path, (struct str){ r->c.realm, r->c.realm_n }))
			continue;
		if (!str_eq(named, service)) {
			found = true;
			continue;
		}
		if (ret_registry->n && !str_is(*ret_registry, r->registry)) {
			*ret_registry = (struct str){ NULL, 0 };
			return true;
		}
		*ret_registry = str_of(r->registry);
		found = true;
	}
	return found;
}
