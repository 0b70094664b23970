/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Injection: which places there are, and those in a head; inject_query.c and inject_body.c have the
 * others. Called by the session's exchange once the upstream is verified and the record is written.
 * The request is the client's (hostile), the bindings are the operator's, the value is secret: it
 * is formed in locked memory and never in the arena.
 */
#include "proxy/inject.h"

#include <errno.h>
#include <openssl/evp.h>

#define BASIC_MAX 8192u

static struct str no_str(void)
{
	return (struct str){ NULL, 0 };
}

static struct str find_in(struct str s, struct str what)
{
	const char *p = what.n && s.n >= what.n ? memmem(s.p, s.n, what.p, what.n) : NULL;

	return p ? (struct str){ p, what.n } : no_str();
}

/* "Basic <base64>": the decoded text in locked memory. */
bool inject_basic(struct str v, struct secret *ret)
{
	struct secret s;
	size_t n, pad = 0;
	int r;

	if (v.n < 6 || !str_eq_nocase((struct str){ v.p, 6 }, STR("basic ")))
		return false;
	v.p += 6;
	v.n -= 6;
	while (v.n && *v.p == ' ') {
		v.p++;
		v.n--;
	}
	if (!v.n || v.n % 4 || v.n > BASIC_MAX)
		return false;
	while (pad < 2 && v.p[v.n - 1 - pad] == '=')
		pad++;
	n = v.n / 4 * 3;
	if (secret_new(n + 1, &s) < 0)
		return false;
	r = EVP_DecodeBlock(s.p, (const unsigned char *)v.p, (int)v.n);
	if (r < 0) {
		secret_done(&s);
		return false;
	}
	s.n = (size_t)r - pad;
	*ret = s;
	return true;
}

static bool holds(struct str value, struct str placeholder)
{
	struct secret plain;
	bool yes;

	if (!placeholder.n)
		return false;
	if (find_in(value, placeholder).n)
		return true;
	if (!inject_basic(value, &plain))
		return false;
	yes = find_in((struct str){ (char *)plain.p, plain.n }, placeholder).n != 0;
	secret_done(&plain);
	return yes;
}

static bool header_holds(const struct head *h, struct str name, struct str placeholder)
{
	for (size_t i = 0; i < h->n; i++)
		if (str_eq(h->fields[i].name, name) && holds(h->fields[i].value, placeholder))
			return true;
	return false;
}

bool inject_has_placeholder(const struct credential *c, struct str host, const struct carrier *k)
{
	struct str placeholder = credential_placeholder(c);
	struct credential_inject in;

	if (!placeholder.n)
		return false;
	for (size_t at = 0; credential_each_inject(c, host, &at, &in);) {
		switch (in.kind) {
		case INJECT_HEADER:
		case INJECT_BASIC:
		case INJECT_SWAP_HEADER:
			if (header_holds(k->head, in.name, placeholder))
				return true;
			break;
		case INJECT_QUERY:
		case INJECT_SWAP_QUERY:
			if (inject_in_query(k->target, in.name, placeholder))
				return true;
			break;
		case INJECT_SWAP_JSON:
		case INJECT_SWAP_FORM:
		case INJECT_CERTIFICATE:
		case INJECT_SIGV4: /* resign.c */
			break;
		}
	}
	return inject_in_body(c, host, k);
}

bool inject_wanted(const struct credential *c, struct str host, const struct carrier *k)
{
	struct credential_inject in;

	for (size_t at = 0; credential_each_inject(c, host, &at, &in);) {
		if (in.kind == INJECT_HEADER || in.kind == INJECT_BASIC ||
		    in.kind == INJECT_QUERY || in.kind == INJECT_CERTIFICATE)
			return true;
	}
	return inject_has_placeholder(c, host, k);
}

static void strip_name(struct head *h, struct str name, struct str placeholder, struct str held)
{
	size_t to = 0;

	for (size_t i = 0; i < h->n; i++) {
		const struct field *f = &h->fields[i];

		if (f->name.n == name.n && str_eq(f->name, name) && !holds(f->value, placeholder) &&
		    !str_eq(f->name, held))
			continue;
		if (to != i)
			h->fields[to] = *f;
		to++;
	}
	h->n = to;
}

void inject_strip(const struct credential *c, struct str host, struct carrier *k)
{
	struct str placeholder = credential_placeholder(c);
	struct credential_inject in;
	bool looked_for = false;

	if (credential_client_auth_pass(c))
		return;
	for (size_t at = 0; credential_each_inject(c, host, &at, &in);) {
		if (in.kind == INJECT_QUERY || in.kind == INJECT_SWAP_QUERY) {
			k->target = inject_query_strip(k->target, in.name, placeholder, k->arena);
			continue;
		}
		if (in.kind != INJECT_HEADER && in.kind != INJECT_BASIC &&
		    in.kind != INJECT_SWAP_HEADER)
			continue;
		strip_name(k->head, in.name, placeholder, k->held);
		looked_for = looked_for || str_is(in.name, "authorization");
	}
	/* Where no binding looks for the placeholder it is only a way to keep the client's own. */
	if (!looked_for)
		strip_name(k->head, STR("authorization"), no_str(), k->held);
}

/* Every `what` in s becomes `by`, in locked memory. */
int inject_swap(struct str s, struct str what, struct str by, struct secret *ret)
{
	size_t times = 0;
	struct str hit, rest = s;
	struct secret out;
	uint8_t *p;
	int r;

	while ((hit = find_in(rest, what)).n) {
		times++;
		rest.n = (size_t)(rest.p + rest.n - (hit.p + hit.n));
		rest.p = hit.p + hit.n;
	}
	r = secret_new(s.n + times * by.n - times * what.n + 1, &out);
	if (r < 0)
		return r;
	p = out.p;
	for (rest = s; (hit = find_in(rest, what)).n;) {
		memcpy(p, rest.p, (size_t)(hit.p - rest.p));
		p += hit.p - rest.p;
		memcpy(p, by.p, by.n);
		p += by.n;
		rest.n = (size_t)(rest.p + rest.n - (hit.p + hit.n));
		rest.p = hit.p + hit.n;
	}
	memcpy(p, rest.p, rest.n);
	p += rest.n;
	out.n = (size_t)(p - out.p);
	*ret = out;
	return 0;
}

int inject_basic_form(struct str plain, struct secret *ret)
{
	struct secret out;
	int r;

	r = secret_new(6 + (plain.n + 2) / 3 * 4 + 1, &out);
	if (r < 0)
		return r;
	memcpy(out.p, "Basic ", 6);
	r = EVP_EncodeBlock(out.p + 6, (const unsigned char *)plain.p, (int)plain.n);
	out.n = 6 + (size_t)r;
	*ret = out;
	return 0;
}

int inject_keep(struct inject *to, struct secret s, struct str *ret)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f) {
			secret_done(&s);
			return -EINVAL;
		}
	}
	if (to->n == INJECT_MAX) {
		secret_done(&s);
		return -ENOMEM;
	}
	to->values[to->n++] = s;
	*ret = (struct str){ (char *)s.p, s.n };
	return 0;
}

static int put_placeholder(struct str placeholder, struct str value, struct field *f,
			   struct inject *to)
{
	struct secret plain, swapped, out;
	int r;

	if (find_in(f->value, placeholder).n) {
		r = inject_swap(f->value, placeholder, value, &out);
		return r < 0 ? r : inject_keep(to, out, &f->value);
	}
	if (!inject_basic(f->value, &plain))
		return 0;
	r = inject_swap((struct str){ (char *)plain.p, plain.n }, placeholder, value, &swapped);
	secret_done(&plain);
	if (r < 0)
		return r;
	r = inject_basic_form((struct str){ (char *)swapped.p, swapped.n }, &out);
	secret_done(&swapped);
	return r < 0 ? r : inject_keep(to, out, &f->value);
}

/* What a format says, as it stands in a header. */
static int form(const struct credential_inject *in, struct str value, struct inject *to,
		struct str *ret)
{
	struct secret s, out;
	int r = inject_swap(in->format, STR("{token}"), value, &s);

	if (r < 0 || in->kind == INJECT_HEADER)
		return r < 0 ? r : inject_keep(to, s, ret);
	r = inject_basic_form((struct str){ (char *)s.p, s.n }, &out);
	secret_done(&s);
	return r < 0 ? r : inject_keep(to, out, ret);
}

/* at: of the binding, behind it. */
static int set_header(const struct credential_inject *in, size_t at, struct str value,
		      struct carrier *k, struct inject *to)
{
	bool keeps = to->formed && at <= INJECT_MAX;
	struct secret *kept = keeps ? &to->formed->values[at - 1] : NULL;
	struct str v;
	int r;

	if (kept && kept->p) {
		v = (struct str){ (char *)kept->p, kept->n };
	} else {
		r = form(in, value, to, &v);
		if (r < 0)
			return r;
		if (kept)
			*kept = to->values[--to->n];
	}
	head_drop_str(k->head, in->name);
	head_add(k->head, k->arena, in->name, v);
	return 0;
}

static int set_query(const struct credential_inject *in, struct str value, struct carrier *k,
		     struct inject *to)
{
	struct secret s, out;
	int r = inject_swap(in->format, STR("{token}"), value, &s);

	if (r < 0)
		return r;
	r = inject_query_set(k->target, in->name, (struct str){ (char *)s.p, s.n }, &out);
	secret_done(&s);
	return r < 0 ? r : inject_keep(to, out, &k->target);
}

static int swap_query(const struct credential_inject *in, struct str placeholder, struct str value,
		      struct carrier *k, struct inject *to)
{
	struct secret out;
	int r;

	if (!inject_in_query(k->target, in->name, placeholder))
		return 0;
	r = inject_query_swap(k->target, in->name, placeholder, value, &out);
	return r < 0 ? r : inject_keep(to, out, &k->target);
}

static int swap_header(const struct credential_inject *in, struct str placeholder, struct str value,
		       struct head *h, struct inject *to)
{
	int r = 0;

	for (size_t i = 0; i < h->n && r == 0; i++)
		if (str_eq(h->fields[i].name, in->name) && holds(h->fields[i].value, placeholder))
			r = put_placeholder(placeholder, value, &h->fields[i], to);
	return r;
}

int inject_put(const struct credential *c, struct str host, struct str value, struct carrier *k,
	       struct inject *to)
{
	struct str placeholder = credential_placeholder(c);
	struct credential_inject in;
	int r = 0;

	for (size_t at = 0; r == 0 && credential_each_inject(c, host, &at, &in);) {
		switch (in.kind) {
		case INJECT_HEADER:
		case INJECT_BASIC:
			if (!str_eq(in.name, k->held))
				r = set_header(&in, at, value, k, to);
			break;
		case INJECT_QUERY:
			if (!str_eq(in.name, k->held))
				r = set_query(&in, value, k, to);
			break;
		case INJECT_SWAP_HEADER:
			r = swap_header(&in, placeholder, value, k->head, to);
			break;
		case INJECT_SWAP_QUERY:
			r = swap_query(&in, placeholder, value, k, to);
			break;
		case INJECT_SWAP_JSON:
		case INJECT_SWAP_FORM:
		case INJECT_CERTIFICATE:
		case INJECT_SIGV4: /* resign.c */
			break;
		}
	}
	return r < 0 || !k->body.n ? r : inject_body_swap(c, host, value, k, to);
}

void inject_done(struct inject *i)
{
	while (i->n)
		secret_done(&i->values[--i->n]);
}

void formed_done(struct formed *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->values); i++)
		secret_done(&f->values[i]);
}
