/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as places: a tree of byte ranges over a text that stays as it is. Made for splicing, so it
 * takes every number and every string that an engine's writer and the runtime's reader take
 * (policy/ scan.h refuses what people should not write). The bytes are an engine's, an image's and
 * a job's mixed: only egret-runc's jailed child calls this. Fuzzed by tests/fuzz/fuzz_oci.c.
 */
#ifndef EGRET_OCI_JSON_H
#define EGRET_OCI_JSON_H

#include "base/bytes.h"
#include <sys/types.h>

#define JSON_DEPTH_MAX 64
#define JSON_NODES_MAX 262144

enum json_kind { JSON_NULL, JSON_WORD, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	uint32_t at, end;	  /* of the value, quotes and brackets included */
	uint32_t key_at, key_end; /* of a member's key, quotes included */
	uint32_t first, next;	  /* indices; 0: none */
	uint32_t count;
	uint8_t kind;
};

struct json_text {
	struct str text;
	struct json *nodes; /* nodes[1] is the value; [0] is never used */
	uint32_t n, room;
	uint32_t fault_at;
	const char *fault;
};

/* One value and blanks around it. 0, or -EINVAL with fault. Free with json_done in each case. */
int json_read(struct str text, struct json_text *ret) MUST_CHECK;
void json_done(struct json_text *t);

/* A string's or a key's meaning. Bytes written, or -E2BIG, or -EINVAL for \u0000 (names and paths
 * end there). */
ssize_t json_decode(struct str quoted, char *to, size_t size) MUST_CHECK;

/* Readers differ about keys that come twice, in another case or with letters that fold to ASCII: an
 * object with two that could be meant is refused. 0 with the node (0: absent), or -EINVAL with
 * fault. A key of null is a node of its own. */
int json_member(struct json_text *t, uint32_t object, const char *key, uint32_t *ret) MUST_CHECK;

#endif
