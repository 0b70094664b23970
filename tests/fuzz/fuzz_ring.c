// SPDX-License-Identifier: Apache-2.0
/*
 * The audit process's reader against a proxy that is taken over: the input is the shared memory,
 * byte 0..7 the head, the rest records, and then again while it reads. Law: it ends, it never reads
 * outside, and what it hands out passes event_check and makes one strict line.
 */
#include "event/json.h"
#include "event/jsonread.h"
#include "event/ring_layout.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void line_of(const struct event *e)
{
	static struct json_line *l;
	struct event_place at = { .seq = 1, .node = STR("n") };
	struct buf b;

	if (!l)
		l = json_line_new();
	buf_init(&b, EVENT_LINE_MAX);
	if (event_check(e->bytes, e->n) || event_json(&b, e, &at) || json_line_read(l, buf_str(&b)))
		abort();
	buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ring_reader *r = NULL;
	struct ring_fds f;
	struct ring_map m;
	struct event e;
	unsigned reads = 0;
	uint64_t head;

	if (n < 8 || n > 8 + RING_SIZE_MIN || ring_create(RING_SIZE_MIN, &f))
		return 0;
	if (ring_map_open(f.data, PROT_READ | PROT_WRITE, f.ack, PROT_READ, &m) ||
	    ring_reader_open(dup(f.data), dup(f.ack), dup(f.wake), dup(f.space), &r))
		abort();
	memcpy(&head, p, 8);
	memcpy(m.bytes, p + 8, n - 8);
	atomic_store(&m.head->head, head);
	while (ring_read(r, &e) == 1) {
		line_of(&e);
		ring_acked(r, reads);
		if (++reads > RING_SIZE_MIN / 8)
			abort();
		/* The writer goes on behind the reader's back. */
		m.bytes[(head + reads * 97) % RING_SIZE_MIN] ^= (uint8_t)reads;
		if (reads % 5 == 0)
			atomic_fetch_add(&m.head->head, head & 0xfff8);
	}
	ring_map_close(&m);
	ring_reader_free(r);
	ring_fds_done(&f);
	return 0;
}
