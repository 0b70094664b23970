// SPDX-License-Identifier: Apache-2.0
/* Records and lines. Law: a record that passes event_check makes one line that our strict reader
 * takes; a line that is read, or not, shows only printable bytes. */
#include "cli/render.h"
#include "event/json.h"
#include "event/ring.h"
#include "event/rows.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void show(struct str line)
{
	struct buf b;

	buf_init(&b, 1u << 20);
	if (!render_compact(line, false, &b)) {
		if (!b.n || b.p[b.n - 1] != '\n')
			abort();
		for (size_t i = 0; i + 1 < b.n; i++)
			if (b.p[i] < 0x20 || b.p[i] > 0x7e)
				abort();
	}
	buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct json_line *l;
	struct event_place at = {
		.seq = 7, .node = STR("ci-07"), .job = STR("\"id\":\"j-1\""), .n = 3
	};
	struct event e = { .n = n };
	struct buf b;

	if (!l)
		l = json_line_new();
	show((struct str){ (const char *)p, n });
	if (n > EVENT_SIZE_MAX || event_check(p, n))
		return 0;
	memcpy(e.bytes, p, n);
	buf_init(&b, EVENT_LINE_MAX);
	if (event_json(&b, &e, &at) || json_line_read(l, buf_str(&b)) ||
	    memchr(b.p, '\n', b.n) != b.p + b.n - 1)
		abort();
	show((struct str){ b.p, b.n - 1 });
	buf_done(&b);
	return 0;
}
