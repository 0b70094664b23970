/* SPDX-License-Identifier: Apache-2.0 */
/* Questions as the broker sends them, for the tests of providers: "key=value" lines, of which those
 * that begin with '!' are secrets, "token=", "handle=" and "value=" what they say. */
#ifndef EGRET_TESTS_ASKED_H
#define EGRET_TESTS_ASKED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/proto.h"
#include "provider/question.h"
#include <cmocka.h>

#define ASKED_NOW 1700000000

static void asked(struct question *q, uint16_t type, const char *provider,
		  const char *const *fields)
{
	struct msg_out out;
	struct msg_in in;

	msg_begin(&out, type, 7);
	msg_put_str(&out, TAG_NAME, STR("name"));
	msg_put_str(&out, TAG_KIND, str_of(provider));
	msg_put_u64(&out, TAG_NOW, ASKED_NOW * 1000000ull);
	for (; *fields; fields++) {
		if (!strncmp(*fields, "token=", 6))
			msg_put_str(&out, TAG_TOKEN, str_of(*fields + 6));
		else if (!strncmp(*fields, "handle=", 7))
			msg_put_str(&out, TAG_HANDLE, str_of(*fields + 7));
		else if (!strncmp(*fields, "value=", 6))
			msg_put_str(&out, TAG_VALUE, str_of(*fields + 6));
		else if (!strncmp(*fields, "ttl=", 4))
			msg_put_u64(&out, TAG_TTL, strtoull(*fields + 4, NULL, 10));
		else
			msg_put_str(&out, **fields == '!' ? TAG_SECRET : TAG_PARAM,
				    str_of(*fields + (**fields == '!')));
	}
	out.bytes.p[2] = (char)out.fields;
	assert_int_equal(msg_parse(out.bytes.p, out.bytes.n, &in), 0);
	assert_int_equal(question_open(&in, q), 0);
	msg_out_done(&out);
}
#define ASKED(q, type, provider, ...) \
	asked(q, type, provider, (const char *const[]){ __VA_ARGS__, NULL })

#endif
