/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A placeholder in a body: a string of a JSON text that a pointer names, a field of an urlencoded
 * form. Called by inject.c and body.c once the body was read whole. Hostile bytes; only the
 * placeholder's own are replaced, every other one is sent as it came.
 */
#include "proxy/inject.h"

#include "http/form.h"
#include "http/json_walk.h"

#include <errno.h>

#define EDITS_MAX 64 /* placeholders in one body */

struct edits {
	const struct credential *c;
	struct str host, placeholder;
	const char *start;
	size_t at[EDITS_MAX]; /* where the placeholder stands */
	size_t n;
	const char *doubt;
	uint64_t seen; /* bindings whose pointer has led to a string */
};

static bool media_type(const struct head *h, struct str *ret)
{
	const struct field *f = head_find(h, "content-type");
	const char *end;

	if (!f || head_count(h, "content-type") > 1)
		return false;
	end = memchr(f->value.p, ';', f->value.n);
	*ret = (struct str){ f->value.p, end ? (size_t)(end - f->value.p) : f->value.n };
	while (ret->n && (ret->p[ret->n - 1] == ' ' || ret->p[ret->n - 1] == '\t'))
		ret->n--;
	return true;
}

enum carrier_body carrier_body(const struct head *h)
{
	struct str type;

	if (h->body == BODY_NONE || (h->body == BODY_LENGTH && !h->length) || !media_type(h, &type))
		return CARRIER_NONE;
	if (str_eq_nocase(type, STR("application/json")) ||
	    (type.n > 17 && str_eq_nocase((struct str){ type.p, 12 }, STR("application/")) &&
	     str_eq_nocase((struct str){ type.p + type.n - 5, 5 }, STR("+json"))))
		return CARRIER_JSON;
	if (str_eq_nocase(type, STR("application/x-www-form-urlencoded")))
		return CARRIER_FORM;
	return CARRIER_NONE;
}

static enum inject_kind kind_of(enum carrier_body b)
{
	return b == CARRIER_JSON ? INJECT_SWAP_JSON : INJECT_SWAP_FORM;
}

bool inject_reads_body(const struct credential *c, struct str host, enum carrier_body kind)
{
	struct credential_inject in;

	for (size_t at = 0; kind && credential_each_inject(c, host, &at, &in);)
		if (in.kind == kind_of(kind))
			return true;
	return false;
}

static void add(struct edits *e, const char *p)
{
	if (e->n == EDITS_MAX)
		e->doubt = "the placeholder stands in it more than 64 times";
	else
		e->at[e->n++] = (size_t)(p - e->start);
}

static int on_string(void *owner, const struct json_step *path, size_t depth, struct str text)
{
	struct edits *e = owner;
	struct credential_inject in;
	bool meant = false;
	unsigned i = 0;

	for (size_t at = 0; credential_each_inject(e->c, e->host, &at, &in); i++) {
		if (in.kind != INJECT_SWAP_JSON || !json_points(in.name, path, depth))
			continue;
		/* Two members of one name: readers differ in which they take. */
		if (e->seen & 1ull << i)
			e->doubt = "a key on the way to its place stands there twice";
		e->seen |= 1ull << i;
		meant = true;
	}
	for (size_t at = 0; meant; at += e->placeholder.n) {
		at = json_text_find(text, at, e->placeholder);
		if (at >= text.n)
			break;
		add(e, text.p + at);
	}
	return 0;
}

static void in_form(struct edits *e, struct str body)
{
	struct credential_inject in;
	struct form_field f;
	const char *hit;

	for (size_t at = 0; form_each(body, &at, &f);) {
		bool meant = false;

		for (size_t i = 0; f.value.n && credential_each_inject(e->c, e->host, &i, &in);)
			meant |= in.kind == INJECT_SWAP_FORM && form_name_is(f.name, in.name);
		while (meant && f.value.n &&
		       (hit = memmem(f.value.p, f.value.n, e->placeholder.p, e->placeholder.n))) {
			add(e, hit);
			f.value.n -= (size_t)(hit + e->placeholder.n - f.value.p);
			f.value.p = hit + e->placeholder.n;
		}
	}
}

static void find(const struct credential *c, struct str host, const struct carrier *k,
		 struct edits *e)
{
	*e = (struct edits){
		.c = c, .host = host, .placeholder = credential_placeholder(c), .start = k->body.p
	};
	if (!k->body.n || !e->placeholder.n || !inject_reads_body(c, host, k->kind) ||
	    !memmem(k->body.p, k->body.n, e->placeholder.p, e->placeholder.n))
		return;
	if (k->kind == CARRIER_FORM)
		in_form(e, k->body);
	else if (json_strings(k->body, on_string, e) < 0)
		e->doubt = "it is not JSON, or more than 64 levels deep";
}

const char *inject_body_doubt(const struct credential *c, struct str host, const struct carrier *k)
{
	struct edits e;

	if (!k->body.n)
		return NULL;
	find(c, host, k, &e);
	return e.doubt;
}

bool inject_in_body(const struct credential *c, struct str host, const struct carrier *k)
{
	struct edits e;

	if (!k->body.n)
		return false;
	find(c, host, k, &e);
	return e.n != 0;
}

/* As it stands inside of a string's quotes; values hold no control bytes (creds.c). */
static size_t json_escape(char *to, struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			to[n++] = '\\';
		to[n++] = s.p[i];
	}
	return n;
}

int inject_body_swap(const struct credential *c, struct str host, struct str value,
		     struct carrier *k, struct inject *to)
{
	struct secret code;
	struct edits e;
	struct str by;
	size_t at = 0;
	int r;

	find(c, host, k, &e);
	if (!e.n)
		return 0;
	if (e.doubt)
		return -EINVAL;
	r = secret_new(3 * value.n + 1, &code);
	if (r < 0)
		return r;
	code.n = k->kind == CARRIER_FORM ? form_encode((char *)code.p, value)
					 : json_escape((char *)code.p, value);
	r = inject_keep(to, code, &by);
	if (r < 0)
		return r;
	k->parts = arena_new(k->arena, (2 * e.n + 1) * sizeof(*k->parts));
	k->nparts = 0;
	for (size_t i = 0; i < e.n; i++) {
		k->parts[k->nparts++] = (struct str){ k->body.p + at, e.at[i] - at };
		k->parts[k->nparts++] = by;
		at = e.at[i] + e.placeholder.n;
	}
	k->parts[k->nparts++] = (struct str){ k->body.p + at, k->body.n - at };
	k->length = k->body.n - e.n * e.placeholder.n + e.n * by.n;
	return 0;
}
