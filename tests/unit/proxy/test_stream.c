// SPDX-License-Identifier: Apache-2.0
/* Streams in clear and in TLS over real sockets: bytes, buffered bytes, orderly and broken ends,
 * stale ones, detaching, freeing inside callbacks, records that are gathered. */
#include "proxy/stream.h"

#include "proxy/flow.h"
#include "proxy/gather.h"
#include "unit/proxy/tls_pair.h"
#include <errno.h>
#include <limits.h>

static void tls_pair(struct stream **ret_client, struct stream **ret_server)
{
	pair(true, ret_client, ret_server);
}

static void clear_pair(struct stream **ret_client, struct stream **ret_server)
{
	pair(false, ret_client, ret_server);
}

struct reader {
	struct stream *s;
	char got[256];
	size_t n, step;
	ssize_t last;
	int calls;
};

static void on_read(void *owner)
{
	struct reader *r = owner;

	r->calls++;
	r->last = stream_read(r->s, r->got + r->n, r->step);
	if (r->last > 0)
		r->n += (size_t)r->last;
	else if (r->last != -EAGAIN)
		stream_want(r->s, NULL, NULL, NULL);
}

static void bytes(struct stream *a, struct stream *b)
{
	struct reader r = { .s = b, .step = 3 };

	assert_int_equal(stream_read(b, r.got, 8), -EAGAIN);
	stream_want(b, on_read, NULL, &r);
	assert_int_equal(stream_write(a, "0123456789abcdef", 16), 16);
	/* One record, one wake-up of the socket, and a reader that takes three bytes at a time. */
	turns(loop, 40);
	assert_int_equal(r.n, 16);
	assert_memory_equal(r.got, "0123456789abcdef", 16);
	r.calls = 0;
	turns(loop, 10);
	assert_int_equal(r.calls, 0);
	/* An orderly end. */
	assert_int_equal(stream_shutdown(a), 0);
	turns(loop, 10);
	assert_int_equal(r.last, 0);
	r.calls = 0;
	turns(loop, 10);
	assert_int_equal(r.calls, 0);
	/* The other way still works. */
	assert_int_equal(stream_write(b, "bye", 3), 3);
	turns(loop, 2);
	memset(r.got, 0, sizeof(r.got));
	assert_int_equal(stream_read(a, r.got, 8), 3);
	stream_free(a);
	stream_free(b);
}

static void in_clear(void **state)
{
	struct stream *a, *b;

	clear_pair(&a, &b);
	bytes(a, b);
}

static void in_tls(void **state)
{
	struct stream *a, *b;

	tls_pair(&a, &b);
	bytes(a, b);
}

static void broken_ends(void **state)
{
	struct stream *a, *b;
	struct reader r = { .step = 16 };
	int fd;

	/* TLS without close_notify is a truncation. */
	tls_pair(&a, &b);
	shutdown(stream_fd(a), SHUT_WR);
	r.s = b;
	stream_want(b, on_read, NULL, &r);
	turns(loop, 10);
	assert_int_equal(r.last, -ECONNRESET);
	stream_free(a);
	stream_free(b);

	/* A reset, in clear and in TLS. */
	clear_pair(&a, &b);
	stream_reset(a);
	stream_free(a);
	turns(loop, 2);
	assert_int_equal(stream_read(b, r.got, 8), -ECONNRESET);
	assert_true(stream_write(b, "x", 1) < 0);
	stream_free(b);
	tls_pair(&a, &b);
	stream_reset(a);
	stream_free(a);
	turns(loop, 2);
	assert_int_equal(stream_read(b, r.got, 8), -ECONNRESET);
	stream_free(b);

	/* Garbage inside TLS. */
	tls_pair(&a, &b);
	assert_int_equal(send(stream_fd(a), "garbage in place of a record", 28, 0), 28);
	turns(loop, 2);
	assert_int_equal(stream_read(b, r.got, 8), -EPROTO);
	stream_free(a);
	stream_free(b);

	clear_pair(&a, &b);
	fd = stream_fd(b);
	{
		int out = -1;

		assert_int_equal(stream_detach(b, &out), 0);
		assert_int_equal(out, fd);
		assert_int_equal(stream_write(a, "x", 1), 1);
		turns(loop, 2);
		assert_int_equal(recv(out, r.got, 8, MSG_DONTWAIT), 1);
		close(out);
	}
	stream_free(a);
	tls_pair(&a, &b);
	assert_int_equal(stream_detach(b, &fd), -EINVAL);
	stream_free(a);
	stream_free(b);
}

struct leaver {
	struct stream *s;
	int told;
};

static void on_gone(void *owner)
{
	struct leaver *l = owner;

	l->told++;
	l->s = stream_free(l->s);
}

/* Of a peer that nobody listens to for now: that it has gone, not that it has no more to say. */
static void leaves(void **state)
{
	enum { ORDER, CUT, RESET, SPEAKS };
	static const bool want[2][4] = { { false, false, true, false },
					 { false, true, true, false } };
	struct stream *a, *b;

	for (int tls = 0; tls < 2; tls++) {
		for (int how = 0; how < 4; how++) {
			struct leaver l = { 0 };
			struct reader r = { .step = 16 };

			(tls ? tls_pair : clear_pair)(&a, &b);
			r.s = b;
			stream_want(b, on_read, NULL, &r);
			turns(loop, 3);
			l.s = b;
			stream_want_gone(b, on_gone, &l);
			if (how == ORDER)
				assert_int_equal(stream_shutdown(a), 0);
			else if (how == CUT)
				shutdown(stream_fd(a), SHUT_WR);
			else if (how == RESET)
				stream_reset(a);
			else
				assert_int_equal(stream_write(a, "x", 1), 1);
			if (how == RESET)
				a = stream_free(a);
			turns(loop, 5);
			if (l.told != want[tls][how])
				print_error("TLS %d, %d: told %d times\n", tls, how, l.told);
			assert_int_equal(l.told, want[tls][how]);
			/* What is there is still to be read, and an end is answered. */
			if (how == ORDER || how == SPEAKS)
				assert_int_equal(stream_read(b, r.got, 8), how == SPEAKS);
			if (how == ORDER)
				assert_int_equal(stream_write(b, "y", 1), 1);
			stream_free(a);
			stream_free(l.s);
		}
	}
}

static void stale(void **state)
{
	struct stream *a, *b;

	for (int tls = 0; tls < 2; tls++) {
		(tls ? tls_pair : clear_pair)(&a, &b);
		turns(loop, 5);
		assert_false(stream_is_stale(a)); /* the server's session tickets are no data */
		assert_false(stream_is_stale(b));
		assert_int_equal(stream_write(b, "x", 1), 1);
		turns(loop, 2);
		assert_true(stream_is_stale(a));
		stream_free(a);
		stream_free(b);
		(tls ? tls_pair : clear_pair)(&a, &b);
		stream_free(b);
		turns(loop, 2);
		assert_true(stream_is_stale(a));
		stream_free(a);
	}
}

static int freed;

/* However a connection ends, but not of a fault, its session is still good. */
static void session_stays(void **state)
{
	struct stream *a, *b;
	char c;

	for (int fault = 0; fault < 2; fault++) {
		SSL_CTX_flush_sessions(server_ctx, LONG_MAX);
		tls_pair(&a, &b);
		assert_int_equal(SSL_CTX_sess_number(server_ctx), 1);
		if (fault)
			assert_int_equal(send(stream_fd(a), "no record of TLS", 16, 0), 16);
		turns(loop, 2);
		assert_int_equal(stream_read(b, &c, 1), fault ? -EPROTO : -EAGAIN);
		stream_reset(a);
		stream_free(a);
		stream_free(b);
		assert_int_equal(SSL_CTX_sess_number(server_ctx), !fault);
	}
}

static void free_self(void *owner)
{
	stream_free(owner);
	freed++;
}

static void freed_inside(void **state)
{
	struct stream *a, *b;

	freed = 0;
	tls_pair(&a, &b);
	stream_want(b, free_self, free_self, b);
	assert_int_equal(stream_write(a, "x", 1), 1);
	turns(loop, 5);
	assert_int_equal(freed, 1);
	stream_free(a);
}

struct writer {
	struct stream *s;
	size_t left;
};

static void on_write(void *owner)
{
	static const char chunk[40000];
	struct writer *w = owner;
	ssize_t n = stream_write(w->s, chunk, w->left < sizeof(chunk) ? w->left : sizeof(chunk));

	if (n > 0)
		w->left -= (size_t)n;
	if (!w->left)
		stream_want(w->s, NULL, NULL, NULL);
}

static void bulk(void **state)
{
	static char sink[30000];
	struct stream *a, *b;
	struct writer w;
	size_t got = 0;
	ssize_t n;

	for (int tls = 0; tls < 2; tls++) {
		(tls ? tls_pair : clear_pair)(&a, &b);
		w = (struct writer){ a, 8u << 20 };
		got = 0;
		stream_want(a, NULL, on_write, &w);
		for (int i = 0; i < 20000 && got < 8u << 20; i++) {
			turns(loop, 1);
			while ((n = stream_read(b, sink, sizeof(sink))) > 0)
				got += (size_t)n;
			assert_int_equal(n, -EAGAIN);
		}
		assert_int_equal(got, 8u << 20);
		stream_free(a);
		stream_free(b);
	}
}

/* A pair whose sockets hold little. */
static void narrow_pair(struct stream **ret_a, struct stream **ret_b, int few)
{
	tls_pair(ret_a, ret_b);
	setsockopt(stream_fd(*ret_a), SOL_SOCKET, SO_SNDBUF, &few, sizeof(few));
	setsockopt(stream_fd(*ret_b), SOL_SOCKET, SO_RCVBUF, &few, sizeof(few));
}

/* Bytes of which each place says where it is. */
static void number(char *p, size_t n, size_t from)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)((from + i) % 251);
}

#define RECORD 16384

/* Writes records until the stream takes no more, or n bytes are written. */
static size_t fill(struct stream *s, size_t from, size_t n)
{
	static char record[RECORD];
	size_t put = 0;

	while (put < n) {
		ssize_t r;

		number(record, RECORD, from + put);
		r = stream_write(s, record, n - put < RECORD ? n - put : RECORD);
		if (r < 0) {
			assert_int_equal(r, -EAGAIN);
			break;
		}
		put += (size_t)r;
	}
	return put;
}

/* Reads what is there; each byte is the one that belongs there. */
static size_t drain(struct stream *s, size_t from, ssize_t *ret_last)
{
	static char got[20000], want[20000];
	size_t n = 0;

	while ((*ret_last = stream_read(s, got, sizeof(got))) > 0) {
		number(want, (size_t)*ret_last, from + n);
		assert_memory_equal(got, want, (size_t)*ret_last);
		n += (size_t)*ret_last;
	}
	return n;
}

static void gathered(void **state)
{
	struct stream *a, *b, *c, *d;
	char one;
	size_t got = 0;
	ssize_t last;

	tls_pair(&a, &b);
	tls_pair(&c, &d);
	while (drain(b, 0, &last) || drain(a, 0, &last) || drain(c, 0, &last))
		;
	stream_gather(a);
	assert_int_equal(fill(a, 0, 5 * RECORD), 5 * RECORD);
	/* Nothing has left; what another stream writes does, and that one cannot gather, too. */
	assert_int_equal(recv(stream_fd(b), &one, 1, MSG_PEEK), -1);
	assert_int_equal(errno, EAGAIN);
	stream_gather(d);
	assert_int_equal(stream_write(d, "x", 1), 1);
	assert_int_equal(recv(stream_fd(c), &one, 1, MSG_PEEK), 1);
	assert_int_equal(stream_send(d), 0);
	assert_int_equal(stream_flush(a), 0); /* not what is being gathered */
	assert_int_equal(recv(stream_fd(b), &one, 1, MSG_PEEK), -1);
	assert_int_equal(stream_send(a), 0);
	for (int i = 0; i < 1000 && got < 5 * RECORD; i++)
		got += drain(b, got, &last);
	assert_int_equal(got, 5 * RECORD);
	/* More than the buffer holds, in one go, and bytes one by one. */
	got = 0;
	stream_gather(a);
	for (size_t at = 0; at < 40; at++)
		assert_int_equal(fill(a, at, 1), 1);
	assert_int_equal(fill(a, 40, 12 * RECORD), 12 * RECORD);
	assert_int_equal(stream_send(a), 0);
	for (int i = 0; i < 1000 && got < 40 + 12 * RECORD; i++)
		got += drain(b, got, &last);
	assert_int_equal(got, 40 + 12 * RECORD);
	assert_int_equal(gather_kept(), 0);
	/* A peer that is gone. */
	stream_reset(b);
	stream_free(b);
	stream_gather(a);
	(void)stream_write(a, "x", 1);
	assert_true(stream_send(a) < -1);
	assert_true(stream_write(a, "x", 1) < 0);
	/* Freed while it gathers: nobody else gets its bytes. */
	stream_gather(c);
	assert_int_equal(fill(c, 0, RECORD), RECORD);
	stream_free(c);
	stream_free(d);
	stream_free(a);
	tls_pair(&a, &b);
	stream_gather(a);
	assert_int_equal(fill(a, 0, 10), 10);
	assert_int_equal(stream_send(a), 0);
	turns(loop, 2);
	assert_int_equal(drain(b, 0, &last), 10);
	stream_free(a);
	stream_free(b);
}

/* A reader that does not read: what is kept is bounded, comes first, and an end waits for it. */
static void gathered_and_stuck(void **state)
{
	enum { MANY = 64, TOTAL = 20 * RECORD };
	struct stream *a[MANY], *b[MANY];
	size_t put = 0, got = 0;
	ssize_t last = -EAGAIN;
	int r = -EAGAIN, turns_n = 0;

	narrow_pair(&a[0], &b[0], 16384);
	stream_gather(a[0]);
	put = fill(a[0], 0, TOTAL);
	assert_true(put > 100000 && put < TOTAL);
	assert_int_equal(stream_send(a[0]), -EAGAIN);
	assert_true(gather_kept() > 0 && gather_kept() < 128 << 10);
	assert_int_equal(stream_flush(a[0]), -EAGAIN);
	/* Gathers nothing while it has something kept. */
	stream_gather(a[0]);
	assert_int_equal(fill(a[0], put, RECORD), 0);
	assert_int_equal(stream_send(a[0]), -EAGAIN);
	while (r == -EAGAIN && turns_n++ < 10000) {
		got += drain(b[0], got, &last);
		turns(loop, 1);
		r = stream_flush(a[0]);
	}
	assert_int_equal(r, 0);
	assert_int_equal(gather_kept(), 0);
	/* And all but nothing is lost on the way to an orderly end. */
	stream_gather(a[0]);
	put += fill(a[0], put, TOTAL - put);
	(void)!stream_send(a[0]);
	for (turns_n = 0; last != 0 && turns_n < 10000; turns_n++) {
		if (put < TOTAL)
			put += fill(a[0], put, TOTAL - put);
		else if (r != 1 && stream_shutdown(a[0]) == 0)
			r = 1;
		got += drain(b[0], got, &last);
		turns(loop, 1);
	}
	assert_int_equal(got, TOTAL);
	stream_free(a[0]);
	stream_free(b[0]);
	for (int i = 0; i < MANY; i++) {
		narrow_pair(&a[i], &b[i], 1);
		stream_gather(a[i]);
		fill(a[i], 0, TOTAL);
		(void)!stream_send(a[i]);
		assert_true(gather_kept() < (4u << 20) + (128 << 10));
	}
	assert_true(gather_kept() > 4u << 20);
	for (int i = 0; i < MANY; i++) {
		stream_free(a[i]);
		stream_free(b[i]);
	}
	assert_int_equal(gather_kept(), 0);
}

static bool on_head(struct flow *f, void *owner)
{
	return true;
}

/* A message is over when its last byte has left, not when it was gathered. */
static void flow_and_stuck(void **state)
{
	static const struct h1_limits limits = { 65536, 100, 8192, 256 };
	enum { TOTAL = 2 << 20 };
	static char part[60000];
	struct stream *source, *from, *to, *reader;
	struct arena arena;
	struct flow f;
	struct h1 h1;
	size_t sent = 0, got = 0;
	enum flow_state st = FLOW_READ;
	ssize_t r, last;
	bool kept = false;

	clear_pair(&source, &from);
	narrow_pair(&to, &reader, 32768);
	flow_init(&f, 65536, 65536);
	arena_init(&arena, 1 << 20);
	h1_init(&h1, true, &limits);
	f.parser = &h1;
	f.arena = &arena;
	f.from = from;
	f.to = to;
	f.kind = BODY_LENGTH;
	f.on_head = on_head;
	r = snprintf(part, sizeof(part), "PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
		     TOTAL);
	assert_int_equal(stream_write(source, part, (size_t)r), r);
	for (int i = 0; i < 100000 && st != FLOW_DONE; i++) {
		do {
			size_t n = TOTAL - sent < sizeof(part) ? TOTAL - sent : sizeof(part);

			number(part, n, sent);
			r = n ? stream_write(source, part, n) : 0;
			sent += r > 0 ? (size_t)r : 0;
		} while (r > 0);
		if (st == FLOW_WRITE)
			turns(loop, 1);
		st = flow_pump(&f, true);
		assert_true(st == FLOW_READ || st == FLOW_WRITE || st == FLOW_DONE);
		if (gather_kept()) {
			assert_int_equal(st, FLOW_WRITE);
			kept = true;
		}
		/* Not before it is stuck, and then a little. */
		if (st == FLOW_WRITE && (r = stream_read(reader, part, sizeof(part))) > 0) {
			static char want[sizeof(part)];

			number(want, (size_t)r, got);
			assert_memory_equal(part, want, (size_t)r);
			got += (size_t)r;
		}
	}
	assert_int_equal(st, FLOW_DONE);
	assert_true(kept);
	assert_int_equal(gather_kept(), 0);
	for (int i = 0; i < 10000 && got < TOTAL; i++) {
		got += drain(reader, got, &last);
		turns(loop, 1);
	}
	assert_int_equal(got, TOTAL);
	flow_done(&f);
	arena_done(&arena);
	stream_free(source);
	stream_free(from);
	stream_free(to);
	stream_free(reader);
}

static int setup(void **state)
{
	pair_setup();
	SSL_CTX_set_options(server_ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(server_ctx, 1);
	return 0;
}

static int teardown(void **state)
{
	pair_teardown();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(in_clear),
					    cmocka_unit_test(in_tls),
					    cmocka_unit_test(broken_ends),
					    cmocka_unit_test(stale),
					    cmocka_unit_test(leaves),
					    cmocka_unit_test(freed_inside),
					    cmocka_unit_test(bulk),
					    cmocka_unit_test(gathered),
					    cmocka_unit_test(gathered_and_stuck),
					    cmocka_unit_test(flow_and_stuck),
					    cmocka_unit_test(session_stays) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
