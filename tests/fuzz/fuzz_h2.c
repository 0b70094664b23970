/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 as the peer sends it. The first byte says which side we are and how the rest is cut; the
 * client's preface and SETTINGS are put before. What comes is taken and answered, with a body and
 * trailers, or a lane is given up in the middle: nothing is read past its end, no bound is passed,
 * every lane is told of its end, and all memory comes back.
 */
#include "http/h2.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static const struct h2_limits limits = { .header_bytes = 4096,
					 .header_count = 20,
					 .buffer_bytes = 4096,
					 .window = 65535,
					 .lanes = 8,
					 .idle_frames = 200 };

struct asked {
	struct h2_lane *lane;
	struct asked *next;
	struct h1 m;
	unsigned heads, events;
	bool answered;
};

static struct asked *all;
static bool server, gives_up;

static void done(struct asked *a)
{
	struct asked **at = &all;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	h2_lane_close(a->lane);
	free(a);
}

static void on_gone(void *owner)
{
	done(owner);
}

static void answer(struct asked *a)
{
	struct field f = { STR("x-sum"), STR("1"), { NULL, 0 } };
	struct head h = { .status = 200, .fields = &f, .n = 1, .room = 1 };

	a->answered = true;
	if (h2_lane_answer(a->lane, &h, a->m.head.n & 1) == 0 && !(a->m.head.n & 1)) {
		check(h2_lane_write(a->lane, STR("hello")) == 0);
		check(h2_lane_end(a->lane, &f, 1) == 0);
	}
}

static void on_read(void *owner)
{
	struct asked *a = owner;

	for (;;) {
		switch (h2_lane_next(a->lane, &a->m)) {
		case H1_MORE:
			if (h2_lane_state(a->lane) == -ECONNRESET)
				done(a);
			return;
		case H1_HEAD:
			check(++a->heads < 1000);
			for (size_t i = 0; i < a->m.head.n; i++) {
				const struct field *f = &a->m.head.fields[i];

				check(f->name.n && f->name.p[0] != ':');
				check(!memchr(f->value.p ? f->value.p : "", '\n', f->value.n));
				check(!memchr(f->value.p ? f->value.p : "", 0, f->value.n));
			}
			check(server ? a->m.head.is_request : a->m.head.status >= 100);
			break;
		case H1_BODY:
			check(a->m.body.n && a->m.body.n <= limits.window);
			break;
		case H1_TRAILERS:
			break;
		case H1_END:
		case H1_FAULT:
			if (server && !a->answered)
				answer(a);
			done(a);
			return;
		}
		if (gives_up && ++a->events == 3) {
			done(a);
			return;
		}
	}
}

static void take(struct h2_lane *l)
{
	struct asked *a = calloc(1, sizeof(*a));

	check(a);
	a->lane = l;
	a->next = all;
	all = a;
	h2_lane_want(l, on_read, NULL, server ? on_gone : NULL, a);
}

static void on_opened(void *owner, struct h2_lane *l)
{
	take(l);
}

static void on_kick(void *owner)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct h2_calls calls = { on_opened, NULL, on_kick };
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	static const char settings[] = "\0\0\0\4\0\0\0\0\0";
	struct head get = { .is_request = true, .method = STR("GET") };
	struct buf out;
	struct h2 *h;
	size_t step;
	int r;

	if (!n)
		return 0;
	server = p[0] & 1;
	gives_up = p[0] & 2;
	step = p[0] >> 2 ? p[0] >> 2 : n;
	p++;
	n--;
	h = h2_new(server, &limits, &calls, NULL);
	buf_init(&out, 1 << 20);
	if (server) {
		r = h2_feed(h, preface, sizeof(preface) - 1);
	} else {
		r = h2_feed(h, settings, sizeof(settings) - 1);
		for (int i = 0; i < 3; i++) {
			struct h2_lane *l = h2_open(h);

			check(h2_lane_request(l, &get, STR("https"), STR("a.test"), STR("/"), true,
					      false) == 0);
			take(l);
		}
	}
	while (r == 0 && n) {
		size_t k = n < step ? n : step;

		while (h2_pull(h, &out))
			out.n = 0;
		out.n = 0;
		r = h2_feed(h, p, k);
		p += k;
		n -= k;
		h2_run(h);
		check(h2_lanes(h) <= 2 * limits.lanes);
	}
	while (h2_pull(h, &out))
		out.n = 0;
	(void)h2_over(h);
	h2_lose(h);
	h2_free(h);
	while (all)
		done(all);
	buf_done(&out);
	return 0;
}
