/* SPDX-License-Identifier: Apache-2.0 */
/* See http.h. */
#include "provider/http.h"

#include "provider/fiber.h"
#include <errno.h>
#include <stdio.h>

struct waiting {
	struct question *q;
	struct fiber *fiber;
	struct http_answer answer;
	bool over;
	int err;
	char why[256];
};

static int trust(struct question *q, const struct http_ask *ask)
{
	struct str own = question_secret(q, PARAM_CA_FILE);
	const struct fetch_trust t = { own.n ? own : q->roots, ask->cert, ask->key };
	char why[256];
	int r = fetch_trust(q->fetch, &t, why, sizeof(why));

	if (r < 0)
		question_fail(q, r, "%s%s", own.n ? "ca_file: " : "", why);
	return r;
}

static void on_answer(void *owner, const struct fetch_answer *a)
{
	struct waiting *w = owner;

	w->err = a->err;
	w->over = true;
	w->answer.status = a->status;
	if (a->err)
		snprintf(w->why, sizeof(w->why), "%s", a->why);
	w->answer.head = arena_str(&w->q->arena, a->head);
	w->answer.body = arena_str(&w->q->arena, a->body);
	if (w->fiber)
		fiber_wake(w->fiber);
}

const struct node *node_json(struct question *q, struct str text)
{
	struct diag_file f = { STR("answer"), text };
	const struct node *root;
	struct diag d;

	if (!text.n || (text.p[0] != '{' && text.p[0] != '['))
		return NULL;
	diag_init(&d);
	root = json_load_loose(&q->arena, &f, &d);
	diag_done(&d);
	return root;
}

int http_ask(struct question *q, const struct http_ask *ask, struct http_answer *ret)
{
	struct fetch_ask to = { .method = ask->method, .url = ask->url.p, .body = ask->body };
	struct waiting w = { .q = q };
	int r;

	memcpy(to.headers, ask->headers, sizeof(to.headers));
	r = trust(q, ask);
	if (r < 0)
		return r;
	r = fetch_start(q->fetch, &to, on_answer, &w);
	if (r < 0)
		return question_fail(q, r, "%s cannot be asked at %s",
				     r == -EINVAL ? "what is no https address" : "the nameserver",
				     ask->at);
	w.fiber = fiber_self();
	fiber_wait();
	if (w.err)
		return question_fail(q, -EAGAIN, "%s at %s", w.why, ask->at);
	w.answer.json = node_json(q, w.answer.body);
	*ret = w.answer;
	return 0;
}

int http_refused(struct question *q, const struct http_ask *ask, const struct http_answer *a,
		 struct str words)
{
	bool again = a->status == 408 || a->status == 429 || a->status >= 500;
	int err = again ? -EAGAIN : -EACCES;

	if (a->status >= 300 && a->status < 400)
		return question_fail(q, err, "%ld at %s, a redirect: these are not followed",
				     a->status, ask->at);
	return question_fail(q, err, "%ld at %s%s%.*s", a->status, ask->at, words.n ? ": " : "",
			     words.n > 300 ? 300 : (int)words.n, words.p);
}

bool http_header(const struct http_answer *a, const char *name, struct str *ret)
{
	bool found = false;
	size_t at = 0;

	while (fetch_each_field(a->head, name, &at, ret))
		found = true;
	return found;
}

bool node_text(const struct node *object, const char *key, size_t max, struct str *ret)
{
	const struct node *v = object && object->kind == NODE_OBJECT ? node_get(object, key) : NULL;

	if (!v || v->kind != NODE_STRING || v->text.n > max)
		return false;
	for (size_t i = 0; i < v->text.n; i++)
		if ((unsigned char)v->text.p[i] < ' ' || v->text.p[i] == 0x7f)
			return false;
	*ret = v->text;
	return true;
}

bool node_whole(const struct node *object, const char *key, int64_t *ret)
{
	const struct node *v = object && object->kind == NODE_OBJECT ? node_get(object, key) : NULL;

	if (!v || v->kind != NODE_NUMBER)
		return false;
	*ret = v->number;
	return true;
}

const struct node *node_object(const struct node *object, const char *key)
{
	const struct node *v = object && object->kind == NODE_OBJECT ? node_get(object, key) : NULL;

	return v && v->kind == NODE_OBJECT ? v : NULL;
}

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

struct str url_escaped(struct question *q, struct str text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *to = arena_new(&q->arena, text.n * 3 + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (is_unreserved((char)c)) {
			to[n++] = (char)c;
		} else {
			to[n++] = '%';
			to[n++] = hex[c >> 4];
			to[n++] = hex[c & 15];
		}
	}
	return (struct str){ to, n };
}

struct str json_quoted(struct question *q, struct str text)
{
	static const char hex[] = "0123456789abcdef";
	char *to = arena_new(&q->arena, text.n * 6 + 3);
	size_t n = 0;

	to[n++] = '"';
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c == '"' || c == '\\') {
			to[n++] = '\\';
			to[n++] = (char)c;
		} else if (c < 0x20) {
			memcpy(to + n, "\\u00", 4);
			to[n + 4] = hex[c >> 4];
			to[n + 5] = hex[c & 15];
			n += 6;
		} else {
			to[n++] = (char)c;
		}
	}
	to[n++] = '"';
	return (struct str){ to, n };
}

/* What pairs become, joined. */
static struct str body_of(struct question *q, const struct pair *pairs, bool json)
{
	struct str key, value, done = { "", 0 };

	for (; pairs->key; pairs++) {
		if (!pairs->value.n)
			continue;
		key = str_of(pairs->key);
		key = json ? json_quoted(q, key) : url_escaped(q, key);
		value = json ? json_quoted(q, pairs->value) : url_escaped(q, pairs->value);
		done = question_printf(q, "%.*s%s%.*s%c%.*s", STR_ARG(done),
				       !done.n ? ""
				       : json  ? ","
					       : "&",
				       STR_ARG(key), json ? ':' : '=', STR_ARG(value));
	}
	return json ? question_printf(q, "{%.*s}", STR_ARG(done)) : done;
}

struct str form_body(struct question *q, const struct pair *pairs)
{
	return body_of(q, pairs, false);
}

struct str json_body(struct question *q, const struct pair *pairs)
{
	return body_of(q, pairs, true);
}

static struct str base64_of(struct question *q, struct str in, const char *letters, bool padded)
{
	char *to = arena_new(&q->arena, (in.n + 2) / 3 * 4 + 1);
	const unsigned char *p = (const unsigned char *)in.p;
	size_t n = 0;

	for (size_t i = 0; i < in.n; i += 3) {
		size_t have = in.n - i < 3 ? in.n - i : 3;
		uint32_t v = (uint32_t)p[i] << 16 | (have > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (have > 2 ? p[i + 2] : 0);

		for (size_t k = 0; k <= have; k++)
			to[n++] = letters[v >> (18 - 6 * k) & 63];
		for (size_t k = have; k < 3 && padded; k++)
			to[n++] = '=';
	}
	return (struct str){ to, n };
}

struct str base64(struct question *q, struct str bytes)
{
	return base64_of(q, bytes,
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

struct str base64url(struct question *q, struct str bytes)
{
	return base64_of(q, bytes,
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}
