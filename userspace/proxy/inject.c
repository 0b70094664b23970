/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Header, Basic and placeholder injection. Called by the session's exchange once the upstream is
 * verified and the record is written. The head is the client's (hostile), the bindings are the
 * operator's, the value is secret: it is formed in locked memory and never in the arena.
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
static bool basic_decode(struct str v, struct secret *ret)
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
	if (!basic_decode(value, &plain))
		return false;
	yes = find_in((struct str){ (char *)plain.p, plain.n }, placeholder).n != 0;
	secret_done(&plain);
	return yes;
}

bool inject_has_placeholder(const struct credential *c, struct str host, const struct head *h)
{
	struct str placeholder = credential_placeholder(c);
	struct credential_inject in;

	for (size_t at = 0; credential_each_inject(c, host, &at, &in);) {
		for (size_t i = 0; i < h->n; i++) {
			if (str_eq(h->fields[i].name, in.name) &&
			    holds(h->fields[i].value, placeholder))
				return true;
		}
	}
	return false;
}

bool inject_wanted(const struct credential *c, struct str host, const struct head *h)
{
	struct credential_inject in;

	for (size_t at = 0; credential_each_inject(c, host, &at, &in);) {
		if (in.kind == INJECT_HEADER || in.kind == INJECT_BASIC)
			return true;
	}
	return inject_has_placeholder(c, host, h);
}

static void strip_name(struct head *h, struct str name, struct str placeholder)
{
	size_t to = 0;

	for (size_t i = 0; i < h->n; i++) {
		if (!str_eq(h->fields[i].name, name) || holds(h->fields[i].value, placeholder))
			h->fields[to++] = h->fields[i];
	}
	h->n = to;
}

void inject_strip(const struct credential *c, struct str host, struct head *h)
{
	struct str placeholder = credential_placeholder(c);
	struct credential_inject in;

	bool looked_for = false;

	if (credential_client_auth_pass(c))
		return;
	for (size_t at = 0; credential_each_inject(c, host, &at, &in);) {
		strip_name(h, in.name, placeholder);
		looked_for = looked_for || str_is(in.name, "authorization");
	}
	/* Where no binding looks for the placeholder it is only a way to keep the client's own. */
	if (!looked_for)
		head_drop(h, "authorization");
}

/* Every `what` in s becomes `by`, in locked memory. */
static int swap(struct str s, struct str what, struct str by, struct secret *ret)
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

static int basic_encode(struct str plain, struct secret *ret)
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

static int formed(struct inject *to, struct secret s, struct str *ret)
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
		r = swap(f->value, placeholder, value, &out);
		return r < 0 ? r : formed(to, out, &f->value);
	}
	if (!basic_decode(f->value, &plain))
		return 0;
	r = swap((struct str){ (char *)plain.p, plain.n }, placeholder, value, &swapped);
	secret_done(&plain);
	if (r < 0)
		return r;
	r = basic_encode((struct str){ (char *)swapped.p, swapped.n }, &out);
	secret_done(&swapped);
	return r < 0 ? r : formed(to, out, &f->value);
}

int inject_put(const struct credential *c, struct str host, struct str value, struct head *h,
	       struct arena *a, struct inject *to)
{
	struct str placeholder = credential_placeholder(c), v;
	struct credential_inject in;
	struct secret s, out;
	int r;

	for (size_t at = 0; credential_each_inject(c, host, &at, &in);) {
		switch (in.kind) {
		case INJECT_HEADER:
			r = swap(in.format, STR("{token}"), value, &out);
			break;
		case INJECT_BASIC:
			r = swap(in.format, STR("{token}"), value, &s);
			if (r < 0)
				return r;
			r = basic_encode((struct str){ (char *)s.p, s.n }, &out);
			secret_done(&s);
			break;
		case INJECT_SWAP_HEADER:
			for (size_t i = 0; i < h->n; i++) {
				if (!str_eq(h->fields[i].name, in.name) ||
				    !holds(h->fields[i].value, placeholder))
					continue;
				r = put_placeholder(placeholder, value, &h->fields[i], to);
				if (r < 0)
					return r;
			}
			continue;
		default:
			return -EINVAL;
		}
		if (r < 0)
			return r;
		r = formed(to, out, &v);
		if (r < 0)
			return r;
		head_drop_str(h, in.name);
		head_add(h, a, in.name, v);
	}
	return 0;
}

void inject_done(struct inject *i)
{
	while (i->n)
		secret_done(&i->values[--i->n]);
}
