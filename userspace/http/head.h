/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One neutral HTTP message head, request or response, whatever wire it came by. h1 fills it today
 * and h2 will later, so what HTTP/2 calls pseudo fields (method, scheme, authority, path, status)
 * stands beside the list, never in it. Every string lives in the request's arena, or is borrowed by
 * who put it there. Field values are hostile bytes until a room has checked them; names are
 * lower-case tokens.
 */
#ifndef EGRET_HTTP_HEAD_H
#define EGRET_HTTP_HEAD_H

#include "base/bytes.h"

struct field {
	struct str name;    /* lower case */
	struct str value;   /* no blanks around it, no control bytes but HT */
	struct str written; /* the name as the peer wrote it (h1), or n = 0 */
};

enum head_form { FORM_ORIGIN, FORM_ABSOLUTE, FORM_AUTHORITY, FORM_ASTERISK };

/* How the end of the body is known. */
enum head_body { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_EOF };

struct head {
	bool is_request;
	uint8_t minor; /* HTTP/1.minor */
	/* request */
	struct str method;
	struct str scheme;    /* of an absolute-form target, else n = 0 */
	struct str authority; /* of an absolute- or authority-form target, else n = 0 */
	struct str path;      /* path and query as sent; "*" in asterisk-form */
	enum head_form form;
	/* response */
	unsigned status;
	struct str reason;
	/* both */
	struct field *fields;
	size_t n, room;
	enum head_body body;
	uint64_t length; /* of BODY_LENGTH */
	bool keep_alive; /* the peer will take, or send, another message */
};

/* The first field of this (lower-case) name, or NULL. */
const struct field *head_find(const struct head *h, const char *name);
size_t head_count(const struct head *h, const char *name);
/* Walks the fields of one name: start with *at = 0. */
const struct field *head_each(const struct head *h, const char *name, size_t *at);
void head_drop(struct head *h, const char *name);
void head_drop_str(struct head *h, struct str name);
/* The list grows in the arena; name must be lower case. Both strings are borrowed. */
void head_add(struct head *h, struct arena *a, struct str name, struct str value);
/* Is this token an element of the comma lists of that name? Without regard to case; parameters
 * (";q=1") are not looked at. */
bool head_has_token(const struct head *h, const char *name, const char *token);
/* Walks the elements of one comma list, trimmed, empty ones left out: start with *at = 0. */
bool list_each (struct str list, size_t * at, struct str * ret);

#endif
