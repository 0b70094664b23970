/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overrides. Called by exchange.c for each request; the fields and the query are a job's. The most
 * that the origin could do is every method beside every path, so all pairs are judged. What a body
 * says (a form's _method) is not read: docs/threat-model.md.
 */
#include "proxy/override.h"

#include "http/fields.h"

#define EACH_MAX 3 /* methods, and paths, that fields may name */

struct other {
	const char *by; /* the field or parameter */
	struct str method;
	struct target target;
};

static const char *const method_fields[] = {
	"x-http-method-override",
	"x-http-method",
	"x-method-override",
};
static const char *const target_fields[] = {
	"x-original-url",
	"x-rewrite-url",
};

static const char *which(struct str name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (field_is_alike(name, list[i]))
			return list[i];
	}
	return NULL;
}

static bool too_many(struct request_fault *f)
{
	request_fault(f, 400, REASON_OVERRIDE,
		      "too many fields ask for another method or path: send the request itself");
	return false;
}

/* Methods are compared in upper case: origins that take an override fold it. */
static bool add_method(struct other *to, size_t *n, const char *by, struct str value, char *room,
		       struct str is, struct request_fault *f)
{
	if (str_eq_nocase(value, is))
		return true;
	if (*n == EACH_MAX)
		return too_many(f);
	if (value.n > 32)
		value.n = 32; /* no method; a rule for any takes it */
	for (size_t i = 0; i < value.n; i++)
		room[i] = value.p[i] >= 'a' && value.p[i] <= 'z' ? (char)(value.p[i] & ~0x20)
								 : value.p[i];
	to[(*n)++] = (struct other){ .by = by, .method = { room, value.n } };
	return true;
}

static int hex_at(struct str s, size_t i)
{
	char c = i < s.n ? s.p[i] : 0;

	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The escapes of a query's name or value read; query_check saw that each is whole. */
static struct str unescaped(struct str s, char *to, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n && n < size; n++) {
		if (s.p[i] == '%') {
			to[n] = (char)(hex_at(s, i + 1) << 4 | hex_at(s, i + 2));
			i += 3;
		} else {
			to[n] = s.p[i++];
		}
	}
	return (struct str){ to, n };
}

/* ?_method=DELETE: frameworks listen to it on POST. */
static bool query_methods(struct str q, struct other *to, size_t *n, char room[][32], struct str is,
			  struct request_fault *f)
{
	char name[8], value[32];

	for (size_t at = 0; at < q.n;) {
		struct str one = { q.p + at, 0 }, v = { 0 };
		const char *eq;

		while (at + one.n < q.n && q.p[at + one.n] != '&' && q.p[at + one.n] != ';')
			one.n++;
		at += one.n + 1;
		eq = memchr(one.p, '=', one.n);
		if (!eq)
			continue;
		v = (struct str){ eq + 1, (size_t)(one.p + one.n - eq - 1) };
		one.n = (size_t)(eq - one.p);
		if (!str_is(unescaped(one, name, sizeof(name)), "_method"))
			continue;
		v = unescaped(v, value, sizeof(value));
		if (!add_method(to, n, "_method", v, room[*n], is, f))
			return false;
	}
	return true;
}

static bool add_target(struct other *to, size_t *n, const char *by, struct str value,
		       const struct request *r, struct buf *room, struct request_fault *f)
{
	const char *why = "it is ambiguous";
	struct target t;

	if (*n == EACH_MAX)
		return too_many(f);
	if (target_canonical(value, room, &t, &why) < 0) {
		request_fault(f, 400, REASON_OVERRIDE, "%s cannot be judged: %s", by, why);
		return false;
	}
	if (str_eq(t.whole, r->target.whole))
		return true;
	to[(*n)++] = (struct other){ .by = by, .target = t };
	return true;
}

/* The request as the origin could take it. */
static bool judge(const struct proxy *px, struct request *r, const struct other *m,
		  const struct other *t, struct request_fault *f)
{
	struct request_query q = r->q;
	const struct policy *policy;
	struct verdict v;

	if (m)
		q.method = m->method;
	if (t) {
		q.path = t->target.path;
		if (t->target.query.p)
			q.query = t->target.query;
	}
	decide_request(px, &q, &v, &policy);
	if (v.refs && v.verdict == VERDICT_ALLOW) {
		/* Whether its refs may be pushed is found out for requests that say what they are.
		 */
		v.verdict = proxy_audits(px) ? VERDICT_WOULD_DENY : VERDICT_DENY;
		v.rule = (struct str){ NULL, 0 };
	}
	if (v.verdict == VERDICT_ALLOW)
		return true;
	if (v.verdict == VERDICT_WOULD_DENY) {
		if (r->verdict.verdict == VERDICT_ALLOW) {
			v.credential = r->verdict.credential;
			r->verdict = v;
			r->policy = policy;
		}
		return true;
	}
	request_fault(
		f, 403, REASON_OVERRIDE,
		"%s asks the origin for %.*s %.*s, which %s%.*s: leave the field out, or send "
		"that request itself",
		m ? m->by : t->by, STR_ARG(q.method), (int)(q.path.n < 64 ? q.path.n : 64),
		q.path.p, v.rule.n ? "is denied by rule " : "no rule allows", STR_ARG(v.rule));
	r->verdict = v;
	r->policy = policy;
	return false;
}

bool request_decide(const struct proxy *px, struct request *r, const struct head *h,
		    struct request_fault *f)
{
	struct other methods[EACH_MAX], targets[EACH_MAX];
	char upper[EACH_MAX + 1][32];
	size_t nm = 0, nt = 0;
	struct buf room;
	bool ok = true;

	decide_request(px, &r->q, &r->verdict, &r->policy);
	if (r->verdict.verdict != VERDICT_ALLOW && r->verdict.verdict != VERDICT_WOULD_DENY) {
		f->status = 403;
		f->reason = r->verdict.reason;
		f->sentence[0] = 0;
		return false;
	}
	buf_init(&room, 4 * px->limits.header_bytes);
	for (size_t i = 0; i < h->n && ok; i++) {
		struct str name = h->fields[i].name, value = h->fields[i].value;
		const char *by;

		if (name.n < 2 || name.p[0] != 'x')
			continue;
		by = which(name, method_fields, ARRAY_SIZE(method_fields));
		if (by)
			ok = add_method(methods, &nm, by, value, upper[nm], r->q.method, f);
		by = ok ? which(name, target_fields, ARRAY_SIZE(target_fields)) : NULL;
		if (by) {
			/* Reserved at once, so that no target moves. */
			if (!room.size && buf_reserve(&room, 3 * px->limits.header_bytes) < 0)
				die("no room for a target");
			ok = add_target(targets, &nt, by, value, r, &room, f);
		}
	}
	if (ok && str_is(r->q.method, "POST"))
		ok = query_methods(r->q.query, methods, &nm, upper, r->q.method, f);
	for (size_t m = 0; m <= nm && ok; m++) {
		for (size_t t = 0; t <= nt && ok; t++) {
			if (m + t)
				ok = judge(px, r, m ? &methods[m - 1] : NULL,
					   t ? &targets[t - 1] : NULL, f);
		}
	}
	buf_done(&room);
	return ok;
}
