// SPDX-License-Identifier: Apache-2.0
/* The ring between a proxy and the audit process: order, wrap-around, full, restarts of both ends,
 * sleeping and waking, a hostile writer. */
#include "event/ring_layout.h"
#include "event/rows.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define SIZE (64u << 10)

struct ends {
	struct ring_fds fds; /* egretd's copies */
	struct ring_writer *w;
	struct ring_reader *r;
};

static struct ring_writer *writer(const struct ring_fds *f)
{
	struct ring_writer *w = NULL;

	assert_int_equal(
		ring_writer_open(dup(f->data), dup(f->ack_ro), dup(f->wake), dup(f->space), &w), 0);
	return w;
}

static struct ring_reader *reader(const struct ring_fds *f)
{
	struct ring_reader *r = NULL;

	assert_int_equal(
		ring_reader_open(dup(f->data), dup(f->ack), dup(f->wake), dup(f->space), &r), 0);
	return r;
}

static int setup(void **state)
{
	struct ends *e = mem_new(sizeof(*e));

	assert_int_equal(ring_create(SIZE, &e->fds), 0);
	e->w = writer(&e->fds);
	e->r = reader(&e->fds);
	*state = e;
	return 0;
}

static int teardown(void **state)
{
	struct ends *e = *state;

	ring_writer_free(e->w);
	ring_reader_free(e->r);
	ring_fds_done(&e->fds);
	free(e);
	return 0;
}

static void make(struct event *e, uint64_t n, size_t text)
{
	static char filler[4096];

	memset(filler, 'x', sizeof(filler));
	event_begin(e, EVENT_DNS_QUERY, VERDICT_ALLOW, REASON_RULE);
	event_num(e, FIELD_LOST_COUNT, n);
	event_text(e, FIELD_HTTP_URL, (struct str){ filler, text });
}

static uint64_t number_of(const struct event *e)
{
	struct event_item item;
	size_t at = 0;

	while (event_walk(e, &at, &item))
		if (item.field == FIELD_LOST_COUNT)
			return load_le64(item.p);
	return UINT64_MAX;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void test_descriptors(void **state)
{
	struct ends *e = *state;
	struct ring_fds f;
	void *p;

	assert_int_equal(ring_create(SIZE - 8, &f), -EINVAL);
	assert_int_equal(ring_create(SIZE / 2, &f), -EINVAL);
	assert_int_equal(ring_create(128u << 20, &f), -EINVAL);
	assert_int_equal(ftruncate(e->fds.data, 0), -1);
	assert_int_equal(ftruncate(e->fds.ack, 1 << 20), -1);
	assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, e->fds.ack_ro, 0) ==
		    MAP_FAILED);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, e->fds.ack_ro, 0);
	assert_true(p != MAP_FAILED);
	/* What was mapped read-only stays so. */
	assert_int_equal(mprotect(p, 4096, PROT_READ | PROT_WRITE), -1);
	munmap(p, 4096);
}

static void test_unsealed_is_refused(void **state)
{
	struct ends *e = *state;
	struct ring_reader *r = NULL;
	int fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, RING_PAGE + SIZE), 0);
	assert_int_equal(
		ring_reader_open(fd, dup(e->fds.ack), dup(e->fds.wake), dup(e->fds.space), &r),
		-EBADMSG);
	assert_null(r);
}

static void test_wrap_around(void **state)
{
	struct ends *e = *state;
	struct event in, out;
	uint64_t n, seq;

	/* Odd lengths, so that records start and end at every 8-byte place and cross the end of the
	 * ring. */
	for (uint64_t i = 1; i <= 5000; i++) {
		make(&in, i, (i * 37) % 1500);
		assert_int_equal(ring_write(e->w, &in, &n), 0);
		assert_int_equal(n, i);
		assert_int_equal(ring_seq(e->w, n, &seq), -EAGAIN);
		assert_int_equal(ring_read(e->r, &out), 1);
		assert_int_equal(out.n, in.n);
		assert_memory_equal(out.bytes, in.bytes, in.n);
		ring_acked(e->r, 1000000 + i);
		assert_int_equal(ring_seq(e->w, n, &seq), 0);
		assert_int_equal(seq, 1000000 + i);
	}
	assert_int_equal(ring_read(e->r, &out), 0);
	assert_int_equal(ring_count(e->r), 5000);
	assert_int_equal(ring_seq(e->w, 5001, &seq), -ESTALE);
	assert_int_equal(ring_seq(e->w, 5000 - RING_SEQS, &seq), -ESTALE);
	assert_int_equal(ring_seq(e->w, 5000 - RING_SEQS + 2, &seq), 0);
}

static void test_full_then_space(void **state)
{
	struct ends *e = *state;
	struct event in, out;
	uint64_t n = 0, last, seq;
	int r;

	make(&in, 0, 1000);
	while (!(r = ring_write(e->w, &in, &n)))
		;
	assert_int_equal(r, -EAGAIN);
	assert_in_range(n, SIZE / 1100, SIZE / 1000);
	last = n;
	assert_int_equal(ring_write(e->w, &in, &n), -EAGAIN);
	assert_int_equal(n, last); /* outputs untouched */
	assert_false(readable(ring_space_fd(e->w)));
	assert_int_equal(ring_read(e->r, &out), 1);
	/* Read is not given back: only the acknowledgement is. */
	assert_int_equal(ring_write(e->w, &in, &n), -EAGAIN);
	ring_acked(e->r, 1);
	assert_true(readable(ring_space_fd(e->w)));
	ring_space_clear(e->w);
	assert_false(readable(ring_space_fd(e->w)));
	assert_int_equal(ring_write(e->w, &in, &n), 0);
	assert_int_equal(ring_seq(e->w, n, &seq), -EAGAIN);
	assert_int_equal(ring_read(e->r, &out), 1);
	ring_acked(e->r, 2);
	assert_true(readable(ring_space_fd(e->w)));
	ring_space_clear(e->w);
	/* Nobody waits: no signal. */
	assert_int_equal(ring_read(e->r, &out), 1);
	ring_acked(e->r, 3);
	assert_false(readable(ring_space_fd(e->w)));
}

static uint64_t wakes(struct ends *e)
{
	uint64_t n = 0;

	return read(e->fds.wake, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void test_wakes_once_a_sleep(void **state)
{
	struct ends *e = *state;
	struct event in, out;
	uint64_t n;

	wakes(e);
	make(&in, 1, 10);
	assert_int_equal(ring_write(e->w, &in, &n), 0);
	assert_int_equal(wakes(e), 0); /* the reader never slept */
	assert_int_equal(ring_read(e->r, &out), 1);
	ring_acked(e->r, 1);
	assert_int_equal(ring_read(e->r, &out), 0); /* now it does */
	for (int i = 0; i < 5; i++)
		assert_int_equal(ring_write(e->w, &in, &n), 0);
	assert_int_equal(wakes(e), 1);
	ring_wake_clear(e->r);
	assert_int_equal(ring_read(e->r, &out), 1);
	assert_int_equal(ring_write(e->w, &in, &n), 0);
	assert_int_equal(wakes(e), 0);
	/* Woken for nothing, asleep again: must be woken again. */
	for (int i = 0; i < 5; i++)
		assert_int_equal(ring_read(e->r, &out), 1);
	assert_int_equal(ring_read(e->r, &out), 0);
	assert_int_equal(ring_write(e->w, &in, &n), 0);
	assert_int_equal(wakes(e), 1);
	ring_wake_clear(e->r);
	assert_int_equal(ring_read(e->r, &out), 1);
	assert_int_equal(ring_read(e->r, &out), 0);
	ring_wake_clear(e->r);
	assert_int_equal(ring_read(e->r, &out), 0);
	assert_int_equal(ring_write(e->w, &in, &n), 0);
	assert_int_equal(wakes(e), 1);
}

/* Put without a wake-up, until half of the ring is full. */
static void test_half_full_wakes(void **state)
{
	struct ends *e = *state;
	struct event in, out;
	uint64_t n;
	size_t put = 0;

	make(&in, 1, 4000);
	wakes(e);
	assert_int_equal(ring_read(e->r, &out), 0);
	while (put + in.n + 16 < SIZE / 2) {
		assert_int_equal(ring_put(e->w, &in, &n), 0);
		put += in.n + 16;
		assert_int_equal(wakes(e), 0);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(ring_put(e->w, &in, &n), 0);
	assert_int_equal(wakes(e), 1);
}

static void test_writer_restarts(void **state)
{
	struct ends *e = *state;
	struct event in, out;
	uint64_t n, seq;

	for (uint64_t i = 1; i <= 10; i++) {
		make(&in, i, 100);
		assert_int_equal(ring_write(e->w, &in, &n), 0);
	}
	ring_writer_free(e->w);
	assert_true(wakes(e) > 0);
	e->w = writer(&e->fds);
	assert_int_equal(wakes(e), 1); /* in case the dead one did not */
	make(&in, 11, 100);
	assert_int_equal(ring_write(e->w, &in, &n), 0);
	assert_int_equal(n, 11);
	for (uint64_t i = 1; i <= 11; i++) {
		assert_int_equal(ring_read(e->r, &out), 1);
		assert_int_equal(number_of(&out), i);
		ring_acked(e->r, i * 2);
	}
	assert_int_equal(ring_seq(e->w, 11, &seq), 0);
	assert_int_equal(seq, 22);
}

static void test_reader_restarts(void **state)
{
	struct ends *e = *state;
	struct event in, out;
	uint64_t n;

	for (uint64_t i = 1; i <= 10; i++) {
		make(&in, i, 100);
		assert_int_equal(ring_write(e->w, &in, &n), 0);
	}
	for (int i = 0; i < 6; i++)
		assert_int_equal(ring_read(e->r, &out), 1);
	for (int i = 0; i < 4; i++)
		ring_acked(e->r, 1);
	ring_reader_free(e->r);
	e->r = reader(&e->fds);
	assert_int_equal(ring_count(e->r), 4);
	for (uint64_t i = 5; i <= 10; i++) {
		assert_int_equal(ring_read(e->r, &out), 1);
		assert_int_equal(number_of(&out), i);
	}
	assert_int_equal(ring_read(e->r, &out), 0);
}

/* Every way to lie in the shared memory: each must be -EBADMSG, and again at the next call. */
static void lie(const char *what, void (*forge)(struct ring_head *h, uint8_t *first),
		bool after_one)
{
	struct ring_fds f;
	struct ring_map m;
	struct ring_writer *w;
	struct ring_reader *r;
	struct event in, out;
	uint64_t n;
	int first, again;

	assert_int_equal(ring_create(SIZE, &f), 0);
	w = writer(&f);
	r = reader(&f);
	assert_int_equal(ring_map_open(f.data, PROT_READ | PROT_WRITE, f.ack, PROT_READ, &m), 0);
	make(&in, 1, 100);
	assert_int_equal(ring_write(w, &in, &n), 0);
	if (after_one) {
		assert_int_equal(ring_write(w, &in, &n), 0);
		assert_int_equal(ring_read(r, &out), 1);
		assert_int_equal(ring_read(r, &out), 1);
	}
	forge(m.head, m.bytes);
	first = ring_read(r, &out);
	again = ring_read(r, &out);
	if (first != -EBADMSG || again != -EBADMSG)
		fail_msg("%s: %d then %d", what, first, again);
	ring_map_close(&m);
	ring_writer_free(w);
	ring_reader_free(r);
	ring_fds_done(&f);
}

static void head_too_far(struct ring_head *h, uint8_t *first)
{
	atomic_store(&h->head, SIZE + 8);
}
static void head_huge(struct ring_head *h, uint8_t *first)
{
	atomic_store(&h->head, UINT64_MAX - 7);
}
static void head_back(struct ring_head *h, uint8_t *first)
{
	atomic_fetch_sub(&h->head, 8);
}
static void head_odd(struct ring_head *h, uint8_t *first)
{
	atomic_fetch_add(&h->head, 4);
}
static void head_short(struct ring_head *h, uint8_t *first)
{
	atomic_store(&h->head, 8);
}
static void length_zero(struct ring_head *h, uint8_t *first)
{
	first[0] = first[1] = 0;
}
static void length_long(struct ring_head *h, uint8_t *first)
{
	first[1] = 0xff;
}
static void length_high(struct ring_head *h, uint8_t *first)
{
	first[2] = 1;
}
static void pad_used(struct ring_head *h, uint8_t *first)
{
	first[5] = 1;
}
static void kind_bad(struct ring_head *h, uint8_t *first)
{
	first[8] = 0xee;
}
static void verdict_bad(struct ring_head *h, uint8_t *first)
{
	first[8 + 2] = 9;
}
static void reason_bad(struct ring_head *h, uint8_t *first)
{
	first[8 + 5] = 0x7f;
}
static void count_bad(struct ring_head *h, uint8_t *first)
{
	first[8 + 6]++;
}
static void field_bad(struct ring_head *h, uint8_t *first)
{
	first[8 + 16] = 0xff;
}
static void field_length(struct ring_head *h, uint8_t *first)
{
	first[8 + 18] = 7;
}
static void text_nul(struct ring_head *h, uint8_t *first)
{
	first[8 + 16 + 12 + 4 + 50] = 0;
}
static void text_bad(struct ring_head *h, uint8_t *first)
{
	first[8 + 16 + 12 + 4 + 50] = 0xc3;
}

static void test_hostile_writer(void **state)
{
	lie("head past the size", head_too_far, false);
	lie("head huge", head_huge, false);
	lie("head behind the reader", head_back, true);
	lie("head not a multiple of 8", head_odd, true);
	lie("head inside a record", head_short, false);
	lie("length zero", length_zero, false);
	lie("length past the head", length_long, false);
	lie("length past 16 bits", length_high, false);
	lie("padding used", pad_used, false);
	lie("kind", kind_bad, false);
	lie("verdict", verdict_bad, false);
	lie("reason", reason_bad, false);
	lie("count", count_bad, false);
	lie("field", field_bad, false);
	lie("field length", field_length, false);
	lie("NUL in text", text_nul, false);
	lie("bad UTF-8", text_bad, false);
}

static void test_random_bytes(void **state)
{
	unsigned seed = 7;

	for (int round = 0; round < 300; round++) {
		struct ring_fds f;
		struct ring_map m;
		struct ring_reader *r;
		struct event out;
		int reads = 0, got;

		assert_int_equal(ring_create(SIZE, &f), 0);
		r = reader(&f);
		assert_int_equal(
			ring_map_open(f.data, PROT_READ | PROT_WRITE, f.ack, PROT_READ, &m), 0);
		for (size_t i = 0; i < SIZE; i++)
			m.bytes[i] = (uint8_t)(rand_r(&seed) >> (round & 7));
		atomic_store(&m.head->head, (uint64_t)rand_r(&seed) % (SIZE / 8) * 8);
		while ((got = ring_read(r, &out)) == 1 && reads++ < 10000)
			ring_acked(r, 1);
		assert_in_range(reads, 0, 10000);
		ring_map_close(&m);
		ring_reader_free(r);
		ring_fds_done(&f);
	}
}

/* The other end may fill or drain `space` and change its flags: a signal still never blocks. */
static void test_space_cannot_block(void **state)
{
	struct ends *e = *state;

	assert_int_equal(fcntl(e->fds.space, F_SETFL, 0), 0);
	for (int i = 0; i < 10000; i++)
		ring_space_signal(e->fds.space);
	ring_space_drain(e->fds.space);
	ring_space_drain(e->fds.space);
}

static uint64_t records_wanted(void)
{
	const char *s = getenv("EGRET_TEST_RECORDS");
	uint64_t n;

	return s && !str_u64(str_of(s), &n) ? n : 1000000;
}

static void write_all(const struct ring_fds *f, uint64_t records)
{
	struct ring_writer *w = writer(f);
	struct pollfd p = { .fd = ring_space_fd(w), .events = POLLIN };
	struct event in;
	uint64_t n, seq;

	for (uint64_t i = 1; i <= records; i++) {
		int r;

		make(&in, i, (i * 13) % 200);
		while ((r = ring_write(w, &in, &n)) == -EAGAIN) {
			if (poll(&p, 1, 5000) != 1)
				_exit(3); /* a lost signal */
			ring_space_clear(w);
		}
		if (r || n != i)
			_exit(4);
		if (i % 997)
			continue;
		while ((r = ring_seq(w, n, &seq)) == -EAGAIN) {
			if (poll(&p, 1, 5000) != 1)
				_exit(5);
			ring_space_clear(w);
		}
		if (r || seq != i + 7)
			_exit(6);
	}
	_exit(0);
}

static void test_two_processes(void **state)
{
	struct ends *e = *state;
	uint64_t records = records_wanted(), i = 1;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC), status;
	struct event out;
	pid_t pid;

	e->w = ring_writer_free(e->w);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		write_all(&e->fds, records);
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, ring_wake_fd(e->r), &ev), 0);
	while (i <= records) {
		int r = ring_read(e->r, &out);

		if (r == 1) {
			if (number_of(&out) != i)
				fail_msg("record %llu came as %llu", (unsigned long long)i,
					 (unsigned long long)number_of(&out));
			ring_acked(e->r, i++ + 7);
			continue;
		}
		assert_int_equal(r, 0);
		r = epoll_wait(ep, &ev, 1, 5000);
		if (r != 1)
			fail_msg("a wake-up was lost at record %llu", (unsigned long long)i);
		ring_wake_clear(e->r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unsealed_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrap_around, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_then_space, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wakes_once_a_sleep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_half_full_wakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writer_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_restarts, setup, teardown),
		cmocka_unit_test(test_hostile_writer),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test_setup_teardown(test_space_cannot_block, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_processes, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
