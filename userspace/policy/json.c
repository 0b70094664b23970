/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that knows cJSON: turns a scanned text into nodes with places. The text has passed
 * scan_text, so the order of cJSON's items is the order of the scanner's notes; should the two ever
 * disagree, the file is refused. Called by the loaders.
 */
#include "policy/scan.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

struct builder {
	struct arena *a;
	const struct scan *scan;
	size_t at; /* next place */
	const struct diag_file *file;
	struct diag *d;
};

static bool duplicate(struct builder *b, const struct node *object, const struct node *n)
{
	for (const struct node *o = object->first; o; o = o->next) {
		if (!str_eq(o->key, n->key))
			continue;
		diag_add(b->d, b->file, n->key_at, n->key, "this key stands here twice");
		return true;
	}
	return false;
}

static int64_t whole(double v)
{
	const double most = (double)(1ll << 53);

	return v >= most ? 1ll << 53 : v <= -most ? -(1ll << 53) : (int64_t)v;
}

static struct node *build(struct builder *b, const cJSON *item, bool member)
{
	struct node *n, **tail;
	const cJSON *child;

	if (b->at >= b->scan->n || (b->scan->places[b->at].key != UINT32_MAX) != member) {
		diag_add(b->d, b->file, 0, (struct str){ 0 }, "not JSON");
		return NULL;
	}
	n = arena_new(b->a, sizeof(*n));
	n->at = b->scan->places[b->at].value;
	n->key_at = member ? b->scan->places[b->at].key : n->at;
	b->at++;
	if (member)
		n->key = arena_str(b->a, str_of(item->string));
	if (cJSON_IsString(item)) {
		n->kind = NODE_STRING;
		n->text = arena_str(b->a, str_of(item->valuestring));
	} else if (cJSON_IsNumber(item)) {
		n->kind = NODE_NUMBER;
		n->number = whole(item->valuedouble);
	} else if (cJSON_IsBool(item)) {
		n->kind = NODE_BOOL;
		n->number = cJSON_IsTrue(item);
	} else if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
		bool object = cJSON_IsObject(item);

		n->kind = object ? NODE_OBJECT : NODE_ARRAY;
		tail = &n->first;
		cJSON_ArrayForEach(child, item)
		{
			struct node *c = build(b, child, object);

			if (!c || (object && duplicate(b, n, c)))
				return NULL;
			*tail = c;
			tail = &c->next;
			n->count++;
		}
	} else {
		n->kind = NODE_NULL;
	}
	return n;
}

static struct node *load(struct arena *a, const struct diag_file *f, bool loose, struct diag *d)
{
	char *copy = mem_dup(f->text);
	struct node *root = NULL;
	struct scan scan;
	cJSON *tree;

	if (scan_text(copy, f->text.n, loose, &scan) < 0) {
		diag_add(d, f, scan.fault_at, (struct str){ 0 }, "%s", scan.fault);
		goto out;
	}
	tree = cJSON_ParseWithLength(copy, f->text.n);
	if (tree) {
		struct builder b = { .a = a, .scan = &scan, .file = f, .d = d };

		root = build(&b, tree, false);
		if (root && b.at != scan.n) {
			diag_add(d, f, 0, (struct str){ 0 }, "not JSON");
			root = NULL;
		}
		cJSON_Delete(tree);
	} else {
		diag_add(d, f, 0, (struct str){ 0 }, "not JSON");
	}
out:
	scan_done(&scan);
	free(copy);
	return root;
}

struct node *json_load(struct arena *a, const struct diag_file *f, struct diag *d)
{
	return load(a, f, false, d);
}

struct node *json_load_loose(struct arena *a, const struct diag_file *f, struct diag *d)
{
	return load(a, f, true, d);
}

struct node *node_get(const struct node *object, const char *key)
{
	if (object->kind != NODE_OBJECT)
		return NULL;
	for (struct node *n = object->first; n; n = n->next)
		if (str_is(n->key, key))
			return n;
	return NULL;
}
