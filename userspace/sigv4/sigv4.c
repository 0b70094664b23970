/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical request, the string to sign, the key and the signature. Called by the proxy with
 * a job's bytes (hostile, checked by http/ for their form) and by providers with their own.
 * HMAC and SHA-256 are OpenSSL's.
 */
#include "sigv4/sigv4.h"

#include "base/secret.h"

#include "sigv4/hash.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

/* Where canonical text goes: into a hash, or for tests into a buffer. */
struct sink {
	struct hash *hash;
	struct buf *text;
	int err;
};

static void put(struct sink *to, const char *p, size_t n)
{
	if (to->err || !n)
		return;
	if (to->hash)
		hash_add(to->hash, p, n);
	else
		to->err = buf_add(to->text, p, n);
}

static void put_str(struct sink *to, struct str s)
{
	put(to, s.p, s.n);
}

/* ---- encoding ---- */

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

/* Text in AWS's one encoding, a byte at a time. `decode`: what came encoded is decoded first. */
struct encoder {
	struct str from;
	size_t at;
	bool decode, plus; /* plus: a '+' is a blank, as in queries */
	char out[2];
	int left;
};

static int encoder_next(struct encoder *e)
{
	static const char digit[] = "0123456789ABCDEF";
	unsigned char c;

	if (e->left)
		return e->out[2 - e->left--];
	if (e->at == e->from.n)
		return -1;
	c = (unsigned char)e->from.p[e->at++];
	if (e->plus && c == '+')
		c = ' ';
	if (e->decode && c == '%' && e->from.n - e->at >= 2 && hex_of(e->from.p[e->at]) >= 0 &&
	    hex_of(e->from.p[e->at + 1]) >= 0) {
		c = (unsigned char)(hex_of(e->from.p[e->at]) << 4 | hex_of(e->from.p[e->at + 1]));
		e->at += 2;
	}
	if (unreserved(c))
		return c;
	e->out[0] = digit[c >> 4];
	e->out[1] = digit[c & 15];
	e->left = 2;
	return '%';
}

static void put_encoded(struct sink *to, struct encoder e)
{
	char some[256];
	size_t n = 0;
	int c;

	while ((c = encoder_next(&e)) >= 0) {
		some[n++] = (char)c;
		if (n == sizeof(some)) {
			put(to, some, n);
			n = 0;
		}
	}
	put(to, some, n);
}

static int compare_encoded(struct encoder a, struct encoder b)
{
	int x, y;

	do {
		x = encoder_next(&a);
		y = encoder_next(&b);
	} while (x == y && x >= 0);
	return x - y;
}

/* ---- the path ---- */

/* Each segment encoded; the slashes stay. */
static void put_path(struct sink *to, struct str path, bool decode)
{
	size_t start = 0;

	for (size_t i = 0; i <= path.n; i++) {
		if (i < path.n && path.p[i] != '/')
			continue;
		put_encoded(to, (struct encoder){ .from = { path.p + start, i - start },
						  .decode = decode });
		if (i < path.n)
			put(to, "/", 1);
		start = i + 1;
	}
}

/* All others: dot segments fall out, a run of slashes is one; then what was sent is encoded, also
 * where it was encoded already. */
static int put_path_normal(struct sink *to, struct str path)
{
	struct buf b;
	int r = 0;

	buf_init(&b, path.n + 1);
	for (size_t i = 0, e; r == 0 && i < path.n; i = e + 1) {
		struct str s;

		for (e = i; e < path.n && path.p[e] != '/';)
			e++;
		s = (struct str){ path.p + i, e - i };
		if (str_is(s, "..")) {
			while (b.n && b.p[--b.n] != '/')
				;
		} else if (s.n && !str_is(s, ".")) {
			r = buf_add(&b, "/", 1);
			if (r == 0)
				r = buf_add_str(&b, s);
		}
	}
	if (r == 0 && (!b.n || path.p[path.n - 1] == '/'))
		r = buf_add(&b, "/", 1);
	if (r == 0)
		put_path(to, buf_str(&b), false);
	buf_done(&b);
	return r;
}

/* ---- the query ---- */

struct part {
	struct str key, value;
};

static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int c = compare_encoded((struct encoder){ .from = x->key, .decode = true, .plus = true },
				(struct encoder){ .from = y->key, .decode = true, .plus = true });

	if (c)
		return c;
	return compare_encoded((struct encoder){ .from = x->value, .decode = true, .plus = true },
			       (struct encoder){ .from = y->value, .decode = true, .plus = true });
}

static int put_query(struct sink *to, struct str query)
{
	struct part parts[SIGV4_QUERY_MAX];
	size_t n = 0;

	for (size_t i = 0, e; i < query.n; i = e + 1) {
		const char *eq;
		struct str s;

		for (e = i; e < query.n && query.p[e] != '&';)
			e++;
		s = (struct str){ query.p + i, e - i };
		if (!s.n)
			continue;
		if (n == SIGV4_QUERY_MAX)
			return -E2BIG;
		eq = memchr(s.p, '=', s.n);
		parts[n].key = (struct str){ s.p, eq ? (size_t)(eq - s.p) : s.n };
		parts[n].value = eq ? (struct str){ eq + 1, (size_t)(s.p + s.n - eq - 1) }
				    : (struct str){ "", 0 };
		n++;
	}
	/* cppcheck-suppress uninitvar */
	qsort(parts, n, sizeof(parts[0]), compare_parts);
	for (size_t i = 0; i < n; i++) {
		if (i)
			put(to, "&", 1);
		put_encoded(to,
			    (struct encoder){ .from = parts[i].key, .decode = true, .plus = true });
		put(to, "=", 1);
		put_encoded(to, (struct encoder){
					.from = parts[i].value, .decode = true, .plus = true });
	}
	return 0;
}

/* ---- the fields ---- */

/* Without the blanks around it, and each run inside as one. */
static void put_value(struct sink *to, struct str v)
{
	bool inside = false;
	size_t i = 0;

	while (i < v.n) {
		size_t start;

		while (i < v.n && (v.p[i] == ' ' || v.p[i] == '\t'))
			i++;
		start = i;
		while (i < v.n && v.p[i] != ' ' && v.p[i] != '\t')
			i++;
		if (i == start)
			break;
		if (inside)
			put(to, " ", 1);
		put(to, v.p + start, i - start);
		inside = true;
	}
}

static int compare_names(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* By name; those of one name stay in their order. */
static int sorted(const struct sigv4_request *r, const struct field *ret[SIGV4_FIELDS_MAX])
{
	if (r->n > SIGV4_FIELDS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < r->n; i++) {
		size_t at = i;

		while (at && compare_names(ret[at - 1]->name, r->fields[i].name) > 0) {
			ret[at] = ret[at - 1];
			at--;
		}
		ret[at] = &r->fields[i];
	}
	return 0;
}

static void put_names(struct sink *to, const struct field *const *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i && str_eq(f[i]->name, f[i - 1]->name))
			continue;
		if (i)
			put(to, ";", 1);
		put_str(to, f[i]->name);
	}
}

static int canonical(const struct sigv4_request *r, struct sink *to)
{
	const struct field *f[SIGV4_FIELDS_MAX];
	int e = sorted(r, f);

	if (e < 0)
		return e;
	put_str(to, r->method);
	put(to, "\n", 1);
	if (r->s3)
		put_path(to, r->path, true);
	else
		e = put_path_normal(to, r->path);
	if (e < 0)
		return e;
	put(to, "\n", 1);
	e = put_query(to, r->query);
	if (e < 0)
		return e;
	put(to, "\n", 1);
	for (size_t i = 0; i < r->n; i++) {
		bool same = i && str_eq(f[i]->name, f[i - 1]->name);

		if (!same) {
			if (i)
				put(to, "\n", 1);
			put_str(to, f[i]->name);
		}
		put(to, same ? "," : ":", 1);
		put_value(to, f[i]->value);
	}
	put(to, "\n\n", r->n ? 2 : 1);
	put_names(to, f, r->n);
	put(to, "\n", 1);
	put_str(to, r->payload);
	return to->err;
}

int sigv4_canonical(const struct sigv4_request *r, struct buf *to)
{
	struct sink sink = { .text = to };

	return canonical(r, &sink);
}

/* ---- keys and signatures ---- */

static bool scope_part(struct str s)
{
	if (!s.n || s.n > 48)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!unreserved((unsigned char)s.p[i]))
			return false;
	return true;
}

int sigv4_scope_parse(struct str text, struct sigv4_scope *ret)
{
	struct str part[3];
	size_t start = 0, n = 0;

	if (text.n > SIGV4_SCOPE_MAX)
		return -EINVAL;
	for (size_t i = 0; i <= text.n; i++) {
		if (i < text.n && text.p[i] != '/')
			continue;
		if (n == 3)
			return -EINVAL;
		part[n++] = (struct str){ text.p + start, i - start };
		start = i + 1;
	}
	if (n != 3 || part[0].n != 8 || !scope_part(part[1]) || !scope_part(part[2]))
		return -EINVAL;
	for (size_t i = 0; i < 8; i++)
		if (part[0].p[i] < '0' || part[0].p[i] > '9')
			return -EINVAL;
	*ret = (struct sigv4_scope){ part[0], part[1], part[2] };
	return 0;
}

void sigv4_time(uint64_t wall_us, char ret[SIGV4_TIME + 1])
{
	time_t now = (time_t)(wall_us / 1000000);
	struct tm tm = { 0 };

	gmtime_r(&now, &tm);
	snprintf(ret, SIGV4_TIME + 1, "%04d%02d%02dT%02d%02d%02dZ", (tm.tm_year + 1900) % 10000,
		 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

int sigv4_key(struct str secret_access_key, struct str scope, uint8_t ret[SIGV4_KEY])
{
	static const char last[] = "aws4_request";
	struct sigv4_scope s;
	uint8_t first[4 + 256], key[SIGV4_KEY];
	int r;

	if (sigv4_scope_parse(scope, &s) < 0 || !secret_access_key.n ||
	    secret_access_key.n > sizeof(first) - 4)
		return -EINVAL;
	memcpy(first, "AWS4", 4);
	memcpy(first + 4, secret_access_key.p, secret_access_key.n);
	r = hmac((struct str){ (char *)first, 4 + secret_access_key.n }, s.date, key);
	if (r == 0)
		r = hmac((struct str){ (char *)key, sizeof(key) }, s.region, key);
	if (r == 0)
		r = hmac((struct str){ (char *)key, sizeof(key) }, s.service, key);
	if (r == 0)
		r = hmac((struct str){ (char *)key, sizeof(key) },
			 (struct str){ last, sizeof(last) - 1 }, ret);
	wipe(first, sizeof(first));
	wipe(key, sizeof(key));
	return r;
}

int sigv4_sign(const struct sigv4_request *r, const uint8_t key[SIGV4_KEY], const char *time,
	       struct str scope, char ret[SIGV4_HEX + 1])
{
	char text[sizeof(ALGORITHM) + SIGV4_TIME + SIGV4_SCOPE_MAX + SIGV4_HEX + 32];
	char digest[SIGV4_HEX + 1];
	uint8_t signature[SIGV4_KEY];
	struct sigv4_scope parts;
	struct hash *hash;
	struct sink sink;
	int e;

	if (sigv4_scope_parse(scope, &parts) < 0)
		return -EINVAL;
	e = hash_new(&hash);
	if (e < 0)
		return e;
	sink = (struct sink){ .hash = hash };
	e = canonical(r, &sink);
	if (e < 0) {
		hash_free(hash);
		return e;
	}
	e = hash_end(hash, digest);
	if (e < 0)
		return e;
	snprintf(text, sizeof(text), ALGORITHM "\n%s\n%.*s/aws4_request\n%s", time, STR_ARG(scope),
		 digest);
	e = hmac((struct str){ (const char *)key, SIGV4_KEY }, str_of(text), signature);
	if (e == 0)
		hash_hex(signature, ret);
	return e;
}

int sigv4_authorization(const struct sigv4_request *r, struct str access_key, struct str scope,
			const char *signature, struct buf *to)
{
	const struct field *f[SIGV4_FIELDS_MAX];
	struct sink sink = { .text = to };
	size_t before = to->n;
	int e = sorted(r, f);

	if (e == 0)
		e = buf_addf(to, ALGORITHM " Credential=%.*s/%.*s/aws4_request, SignedHeaders=",
			     STR_ARG(access_key), STR_ARG(scope));
	if (e == 0) {
		put_names(&sink, f, r->n);
		e = sink.err;
	}
	if (e == 0)
		e = buf_addf(to, ", Signature=%s", signature);
	if (e < 0)
		to->n = before;
	return e;
}

/* ---- what a client said ---- */

static bool take(struct str *from, const char *name, struct str *ret)
{
	size_t n = strlen(name);
	const char *comma;

	while (from->n && (*from->p == ' ' || *from->p == ',')) {
		from->p++;
		from->n--;
	}
	if (!str_starts(*from, name))
		return false;
	from->p += n;
	from->n -= n;
	comma = memchr(from->p, ',', from->n);
	*ret = (struct str){ from->p, comma ? (size_t)(comma - from->p) : from->n };
	from->p += ret->n;
	from->n -= ret->n;
	return ret->n != 0;
}

int sigv4_read(struct str authorization, struct sigv4_said *ret)
{
	static const char end[] = "/aws4_request";
	struct str rest = authorization, whole, names;
	struct sigv4_said said;
	const char *slash;

	if (!str_starts(rest, ALGORITHM " "))
		return -EINVAL;
	rest.p += sizeof(ALGORITHM);
	rest.n -= sizeof(ALGORITHM);
	if (!take(&rest, "Credential=", &whole) || !take(&rest, "SignedHeaders=", &names) ||
	    !take(&rest, "Signature=", &said.signature) || rest.n)
		return -EINVAL;
	slash = memchr(whole.p, '/', whole.n);
	if (!slash || slash == whole.p || whole.n < sizeof(end) ||
	    memcmp(whole.p + whole.n - (sizeof(end) - 1), end, sizeof(end) - 1) != 0)
		return -EINVAL;
	said.access_key = (struct str){ whole.p, (size_t)(slash - whole.p) };
	if (said.access_key.n + 1 + sizeof(end) - 1 >= whole.n)
		return -EINVAL;
	said.scope = (struct str){ slash + 1, whole.n - said.access_key.n - 1 - (sizeof(end) - 1) };
	if (sigv4_scope_parse(said.scope, &said.parts) < 0 || said.signature.n != SIGV4_HEX)
		return -EINVAL;
	for (size_t i = 0; i < said.signature.n; i++)
		if (hex_of(said.signature.p[i]) < 0)
			return -EINVAL;
	*ret = said;
	return 0;
}
