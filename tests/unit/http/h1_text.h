/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader of HTTP/1 makes of bytes, as one line of text: for test_h1 and test_rfc9112. */
#ifndef EGRET_TEST_H1_TEXT_H
#define EGRET_TEST_H1_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "http/h1.h"
#include "unit/print.h"

static const struct h1_limits limits = {
	.header_bytes = 4096, .header_count = 10, .target_bytes = 256, .chunk_extension_bytes = 16
};

/* Reads one message after the other; writes what it saw: "GET /a{3 name=value}body." or "!fault".
 */
static void read_all(bool request, bool head_request, const char *p, size_t n, size_t step,
		     char *out)
{
	struct arena a;
	struct h1 h;
	size_t at = 0, have = 0, used;
	char *buffer = malloc(n + 1), *o = out;
	bool eof = false;

	h1_init(&h, request, &limits);
	h1_expect(&h, head_request);
	arena_init(&a, 1 << 24);
	*o = 0;
	for (;;) {
		/* A fresh exact copy, so that a read behind the end is seen by the sanitizer. */
		char *exact = malloc(have - at ? have - at : 1);
		enum h1_event ev;

		memcpy(exact, p + at, have - at);
		ev = h1_next(&h, &a, exact, have - at, eof, &used);
		assert_true(used <= have - at);
		switch (ev) {
		case H1_MORE:
			at += used;
			free(exact);
			if (have == n) {
				if (eof)
					goto out;
				eof = true;
			}
			have = have + step > n ? n : have + step;
			continue;
		case H1_HEAD:
			o += request ? print(o, "%.*s %.*s{", STR_ARG(h.head.method),
					     STR_ARG(h.head.form == FORM_AUTHORITY
							     ? h.head.authority
							     : h.head.path))
				     : print(o, "%u{", h.head.status);
			for (size_t i = 0; i < h.head.n; i++)
				o += print(o, "%s%.*s=%.*s", i ? "," : "",
					   STR_ARG(h.head.fields[i].name),
					   STR_ARG(h.head.fields[i].value));
			o += print(o, "}");
			break;
		case H1_BODY:
			o += print(o, "%.*s", STR_ARG(h.body));
			break;
		case H1_TRAILERS:
			o += print(o, "[");
			for (size_t i = 0; i < h.ntrailers; i++)
				o += print(o, "%s%.*s=%.*s", i ? "," : "",
					   STR_ARG(h.trailers[i].name),
					   STR_ARG(h.trailers[i].value));
			o += print(o, "]");
			break;
		case H1_END:
			o += print(o, ".");
			break;
		case H1_FAULT:
			assert_non_null(h.why);
			o += print(o, "!%s", h.why);
			free(exact);
			goto out;
		}
		at += used;
		free(exact);
	}
out:
	arena_done(&a);
	free(buffer);
}

struct row {
	const char *bytes,
		*want; /* want: exact, or "!..." a prefix of the fault after what was read */
};

__attribute__((unused)) static void check(bool request, bool head_request, const struct row *rows,
					  size_t n)
{
	static char whole[65536], bytewise[65536];

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(rows[i].bytes);

		read_all(request, head_request, rows[i].bytes, len, len ? len : 1, whole);
		read_all(request, head_request, rows[i].bytes, len, 1, bytewise);
		if (strcmp(whole, bytewise) != 0 || strcmp(whole, rows[i].want) != 0)
			print_error("row %zu\n  bytes    %s\n  want     %s\n  whole    %s\n  "
				    "bytewise %s\n",
				    i, rows[i].bytes, rows[i].want, whole, bytewise);
		assert_string_equal(whole, bytewise);
		assert_string_equal(whole, rows[i].want);
	}
}

#endif
