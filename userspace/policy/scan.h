/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as people write it, made JSON as machines read it: scan_text checks the whole text by the
 * grammar, blanks comments and trailing commas in place, and notes where each value and each key
 * begins. json_load then has cJSON read what is left and gives a tree of nodes with those places.
 * What is refused here, because cJSON would let it pass: duplicate keys, trailing text, depth over
 * SCAN_DEPTH_MAX, numbers that are not whole or not exact, \u0000, lone surrogates, invalid UTF-8.
 */
#ifndef EGRET_POLICY_SCAN_H
#define EGRET_POLICY_SCAN_H

#include "policy/diag.h"

#define SCAN_DEPTH_MAX 32
#define SCAN_NODES_MAX 65536
#define SCAN_KEYS_MAX 1024 /* in one object */
#define SOURCE_SIZE_MAX (1u << 20)

struct scan_place {
	uint32_t key; /* offset of the key's quote; UINT32_MAX for a value without key */
	uint32_t value;
};

struct scan {
	struct scan_place *places; /* in document order, a container before what it holds */
	size_t n;
	size_t fault_at; /* on -EINVAL: where, and why in words */
	const char *fault;
};

/* 0; -EINVAL with fault and fault_at. text is changed in place. Free with scan_done in each case.
 * loose: numbers need not be whole nor exact. */
int scan_text(char *text, size_t n, bool loose, struct scan *ret) MUST_CHECK;
void scan_done(struct scan *s);

enum node_kind { NODE_NULL, NODE_BOOL, NODE_NUMBER, NODE_STRING, NODE_ARRAY, NODE_OBJECT };

struct node {
	enum node_kind kind;
	uint32_t at, key_at; /* byte offsets in the text */
	struct str key;	     /* of a member */
	struct str text;     /* NODE_STRING */
	int64_t number;	     /* NODE_NUMBER, NODE_BOOL */
	struct node *first, *next;
	unsigned count; /* children */
};

/* The tree in the arena; NULL and one error in d. f->text is left as it is (a copy is scanned). */
struct node *json_load(struct arena *a, const struct diag_file *f, struct diag *d);
/* The same for what engines and servers write: numbers may be fractions and of any size; number is
 * then cut to whole, and to 2^53 either way. */
struct node *json_load_loose(struct arena *a, const struct diag_file *f, struct diag *d);
struct node *node_get(const struct node *object,
		      const char *key); /* case-sensitive; NULL if absent */

#endif
