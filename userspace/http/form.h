/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query of a target and an urlencoded form (WHATWG URL 5): name=value&name=value. Read in
 * place and written field by field, so that what is not meant stays as its writer wrote it. Pure.
 */
#ifndef EGRET_HTTP_FORM_H
#define EGRET_HTTP_FORM_H

#include "base/bytes.h"

struct form_field {
	struct str whole, name, value; /* as they are written; value.p = NULL: there is no '=' */
};

/* Walks the fields, empty ones too. Start with *at = 0. */
bool form_each(struct str text, size_t *at, struct form_field *ret);
/* Does the name, escapes read, say the same as plain? '+' is a blank. */
bool form_name_is(struct str name, struct str plain);
/* Percent-encoded, all but unreserved bytes; to holds 3 * s.n. How many were written. */
size_t form_encode(char *to, struct str s);

#endif
