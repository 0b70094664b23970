/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value as a key of the query. Called by inject.c with a canonical target; the target that holds
 * a value is formed in locked memory. Fields that are not meant stay byte for byte, in their order.
 */
#include "proxy/inject.h"

#include "http/form.h"

#include <errno.h>

static struct str query_of(struct str target, size_t *ret_path)
{
	const char *mark = memchr(target.p, '?', target.n);

	*ret_path = mark ? (size_t)(mark - target.p) : target.n;
	return mark ? (struct str){ mark + 1, target.n - *ret_path - 1 } : (struct str){ "", 0 };
}

static bool within(struct str s, struct str what)
{
	return what.n && s.n >= what.n && memmem(s.p, s.n, what.p, what.n);
}

bool inject_in_query(struct str target, struct str name, struct str placeholder)
{
	struct form_field f;
	size_t path, at = 0;
	struct str q = query_of(target, &path);

	while (form_each(q, &at, &f))
		if (f.value.p && within(f.value, placeholder) && form_name_is(f.name, name))
			return true;
	return false;
}

static char *put(char *to, struct str s)
{
	memcpy(to, s.p, s.n);
	return to + s.n;
}

/* The path and the fields that stay. to holds the target. */
static char *rest(char *to, struct str target, struct str name, struct str mark, bool *ret_any)
{
	struct form_field f;
	size_t path, at = 0;
	struct str q = query_of(target, &path);

	*ret_any = false;
	to = put(to, (struct str){ target.p, path });
	while (form_each(q, &at, &f)) {
		if (form_name_is(f.name, name) && !(f.value.p && within(f.value, mark)))
			continue;
		*to++ = *ret_any ? '&' : '?';
		to = put(to, f.whole);
		*ret_any = true;
	}
	return to;
}

struct str inject_query_strip(struct str target, struct str name, struct str mark, struct arena *a)
{
	struct form_field f;
	size_t path, at = 0;
	struct str q = query_of(target, &path);
	bool any;
	char *to;

	while (form_each(q, &at, &f)) {
		if (!form_name_is(f.name, name) || (f.value.p && within(f.value, mark)))
			continue;
		to = arena_new(a, target.n + 1);
		return (struct str){ to, (size_t)(rest(to, target, name, mark, &any) - to) };
	}
	return target;
}

int inject_encode(struct str s, struct secret *ret)
{
	struct secret out;
	int r = secret_new(3 * s.n + 1, &out);

	if (r < 0)
		return r;
	out.n = form_encode((char *)out.p, s);
	*ret = out;
	return 0;
}

int inject_query_set(struct str target, struct str name, struct str value, struct secret *ret)
{
	struct secret out;
	char *p;
	bool any;
	int r = secret_new(target.n + 3 * name.n + 3 * value.n + 3, &out);

	if (r < 0)
		return r;
	p = rest((char *)out.p, target, name, (struct str){ NULL, 0 }, &any);
	*p++ = any ? '&' : '?';
	p += form_encode(p, name);
	*p++ = '=';
	p += form_encode(p, value);
	out.n = (size_t)(p - (char *)out.p);
	*ret = out;
	return 0;
}

int inject_query_swap(struct str target, struct str name, struct str what, struct str by,
		      struct secret *ret)
{
	struct form_field f;
	size_t path, at = 0, times = 0;
	struct str q = query_of(target, &path);
	struct secret out, code;
	char *p;
	int r;

	while (form_each(q, &at, &f))
		if (f.value.p && form_name_is(f.name, name))
			times += f.value.n / what.n;
	r = inject_encode(by, &code);
	if (r < 0)
		return r;
	r = secret_new(target.n + times * code.n + 1, &out);
	if (r < 0) {
		secret_done(&code);
		return r;
	}
	p = put((char *)out.p, (struct str){ target.p, path });
	for (at = 0; form_each(q, &at, &f);) {
		struct secret one = { 0 };

		p = put(p, p == (char *)out.p + path ? STR("?") : STR("&"));
		if (!f.value.p || !within(f.value, what) || !form_name_is(f.name, name)) {
			p = put(p, f.whole);
			continue;
		}
		r = inject_swap(f.value, what, (struct str){ (char *)code.p, code.n }, &one);
		if (r < 0)
			break;
		p = put(p, (struct str){ f.name.p, f.name.n + 1 });
		p = put(p, (struct str){ (char *)one.p, one.n });
		secret_done(&one);
	}
	secret_done(&code);
	out.n = (size_t)(p - (char *)out.p);
	if (r < 0)
		secret_done(&out);
	else
		*ret = out;
	return r;
}
