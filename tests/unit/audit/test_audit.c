// SPDX-License-Identifier: Apache-2.0
/* The audit process as a child: numbers, restarts, torn lines, a crash between append and
 * acknowledgement, a full disk, readers along. */
#include "child.h"

static void test_one_line(void **state)
{
	int log = log_make();
	struct auditor a = auditor_start(log, 0);
	struct ring_fds f;
	struct ring_writer *w;
	struct json_line *l = json_line_new();
	size_t n;
	char *p;

	assert_int_equal(ring_create(64 << 10, &f), 0);
	ring_tell(&a, &f, 5, "j-5", -1);
	w = proxy_of(&f);
	assert_int_equal(number(w, say(w, 1), 2000), 1);
	assert_int_equal(number(w, say(w, 2), 2000), 2);
	p = log_text(log, &n);
	*strchr(p, '\n') = 0;
	assert_int_equal(json_line_read(l, str_of(p)), 0);
	assert_true(str_is(json_text(l, "schema"), "egret.event/1"));
	assert_true(str_is(json_text(l, "node"), "ci-07"));
	assert_true(str_is(json_text(l, "job.id"), "j-5"));
	assert_true(str_is(json_text(l, "job.assurance"), "signed"));
	/* The schema's order, not the message's. */
	assert_non_null(strstr(
		p, "\"job\":{\"id\":\"j-5\",\"repo\":\"acme/web\",\"ref\":\"refs/heads/main\","
		   "\"assurance\":\"signed\",\"n\":1}"));
	free(p);
	json_line_free(l);
	ring_end(&a, 5);
	ring_writer_free(w);
	ring_fds_done(&f);
	assert_int_equal(auditor_end(&a, 0), 0);
	close(log);
}

static void test_many_rings(void **state)
{
	int log = log_make();
	struct auditor a = auditor_start(log, 0);
	struct ring_fds f[8];
	struct ring_writer *w[8];
	struct log_sum *s = mem_new(sizeof(*s));

	for (unsigned i = 0; i < 8; i++) {
		char name[8];

		snprintf(name, sizeof(name), "j-%u", i);
		assert_int_equal(ring_create(256 << 10, &f[i]), 0);
		ring_tell(&a, &f[i], i + 1, name, -1);
		w[i] = proxy_of(&f[i]);
	}
	for (uint64_t mark = 0; mark < 2000; mark++)
		say(w[mark % 8], mark);
	for (unsigned i = 0; i < 8; i++) {
		assert_true(number(w[i], 250, 5000) > 0);
		ring_end(&a, i + 1);
		ring_writer_free(w[i]);
		ring_fds_done(&f[i]);
	}
	assert_int_equal(auditor_end(&a, 0), 0);
	log_read(log, s);
	assert_int_equal(s->lines, 2000);
	for (uint64_t mark = 0; mark < 2000; mark++)
		assert_int_equal(s->marks[mark], 1);
	free(s);
	close(log);
}

static void test_killed_and_started_anew(void **state)
{
	int log = log_make();
	struct ring_fds f;
	struct ring_writer *w;
	struct log_sum *s = mem_new(sizeof(*s));
	uint64_t mark = 0, n = 0;

	assert_int_equal(ring_create(64 << 10, &f), 0);
	w = proxy_of(&f);
	/* Killed at any moment, records under way: each is in the log once, and its number is the
	 * one that the proxy is told. */
	for (unsigned round = 0; round < 25; round++) {
		struct auditor a = auditor_start(log, 0);

		ring_tell(&a, &f, 1, "j-1", -1);
		for (unsigned i = 0; i < 40; i++)
			n = say(w, mark++);
		if (round & 1)
			assert_true(number(w, n - round % 39, 5000) > 0);
		auditor_end(&a, SIGKILL);
	}
	{
		struct auditor a = auditor_start(log, 0);

		ring_tell(&a, &f, 1, "j-1", -1);
		assert_true(number(w, n, 5000) > 0);
		log_read(log, s);
		for (uint64_t i = 1; i <= n; i++) {
			uint64_t seq = 0;

			if (s->marks[i - 1] != 1)
				fail_msg("record %llu is in the log %llu times",
					 (unsigned long long)i,
					 (unsigned long long)s->marks[i - 1]);
			assert_int_equal(ring_seq(w, i, &seq), 0);
			assert_int_equal(seq, s->seqs[i - 1]);
		}
		assert_int_equal(auditor_end(&a, 0), 0);
	}
	ring_writer_free(w);
	ring_fds_done(&f);
	free(s);
	close(log);
}

/* As a crash leaves it: the log has the batch, the ring does not know. */
static void test_appended_but_not_acknowledged(void **state)
{
	int log = log_make();
	struct ring_fds f, again;
	struct ring_writer *w;
	struct log_sum *s = mem_new(sizeof(*s));
	struct auditor a;

	assert_int_equal(ring_create(64 << 10, &f), 0);
	assert_int_equal(ring_create(64 << 10, &again), 0);
	a = auditor_start(log, 0);
	ring_tell(&a, &f, 1, "j-1", -1);
	w = proxy_of(&f);
	for (uint64_t mark = 0; mark < 20; mark++)
		say(w, mark);
	assert_int_equal(number(w, 20, 2000), 20);
	auditor_end(&a, SIGKILL);
	ring_writer_free(w);
	/* The same records in a ring that nobody acknowledged, and three more. */
	w = proxy_of(&again);
	for (uint64_t mark = 0; mark < 23; mark++)
		say(w, mark);
	a = auditor_start(log, 0);
	ring_tell(&a, &again, 1, "j-1", -1);
	assert_int_equal(number(w, 23, 2000), 23);
	assert_int_equal(number(w, 7, 2000), 7);
	assert_int_equal(auditor_end(&a, 0), 0);
	log_read(log, s);
	assert_int_equal(s->lines, 23);
	for (uint64_t mark = 0; mark < 23; mark++)
		assert_int_equal(s->marks[mark], 1);
	ring_writer_free(w);
	ring_fds_done(&f);
	ring_fds_done(&again);
	free(s);
	close(log);
}

static void test_torn_at_every_offset(void **state)
{
	int log = log_make();
	struct ring_fds f;
	struct ring_writer *w;
	struct log_sum *s = mem_new(sizeof(*s));
	struct auditor a = auditor_start(log, 0);
	size_t n, last;
	char *whole;

	assert_int_equal(ring_create(64 << 10, &f), 0);
	ring_tell(&a, &f, 1, "j-1", -1);
	w = proxy_of(&f);
	for (uint64_t mark = 0; mark < 3; mark++)
		say(w, mark);
	assert_int_equal(number(w, 3, 2000), 3);
	assert_int_equal(auditor_end(&a, 0), 0);
	whole = log_text(log, &n);
	last = (size_t)((char *)memrchr(whole, '\n', n - 1) - whole) + 1;
	for (size_t cut = last; cut < n; cut++) {
		/* Nothing of the third line is a clean end; all but its newline is a whole line. */
		unsigned hurt = cut > last && cut < n - 1;
		int torn = log_make();
		struct ring_fds g;
		struct ring_writer *v;

		assert_int_equal(write(torn, whole, cut), cut);
		assert_int_equal(ring_create(64 << 10, &g), 0);
		v = proxy_of(&g);
		for (uint64_t mark = 0; mark < 3; mark++)
			say(v, mark);
		a = auditor_start(torn, 0);
		ring_tell(&a, &g, 1, "j-1", -1);
		/* The third was torn: it comes again, behind the report. */
		assert_int_equal(number(v, 3, 2000), hurt ? 4 : 3);
		assert_int_equal(auditor_end(&a, 0), 0);
		log_read(torn, s);
		assert_int_equal(s->torn, hurt);
		assert_int_equal(s->alerts, hurt);
		assert_int_equal(s->lines, 3 + hurt);
		assert_int_equal(s->marks[2], 1);
		ring_writer_free(v);
		ring_fds_done(&g);
		close(torn);
	}
	free(whole);
	free(s);
	ring_writer_free(w);
	ring_fds_done(&f);
	close(log);
}

static void test_garbage_log_is_refused(void **state)
{
	int log = log_make();
	struct auditor a;
	int status;

	assert_int_equal(write(log, "not an event\n", 13), 13);
	a = auditor_start(log, 0);
	assert_int_equal(waitpid(a.pid, &status, 0), a.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	close(a.sock);
	close(log);
}

/* A file at its limit: short writes, then errors. Nothing is acknowledged, the ring fills, and all
 * comes out once there is room. */
static void test_full_disk(void **state)
{
	int log = log_make();
	struct auditor a = auditor_start(log, 4000);
	struct ring_fds f;
	struct ring_writer *w;
	struct log_sum *s = mem_new(sizeof(*s));
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	struct event e;
	uint64_t n = 0, mark = 0, seq;

	assert_int_equal(ring_create(64 << 10, &f), 0);
	ring_tell(&a, &f, 1, "j-1", -1);
	w = proxy_of(&f);
	for (;;) {
		request(&e, mark);
		if (ring_write(w, &e, &n))
			break;
		mark++;
		if (mark % 50 == 0)
			usleep(2000);
		assert_true(mark < 4000);
	}
	assert_true(mark > 300);
	assert_int_equal(number(w, n, 300), 0);
	assert_int_equal(ring_seq(w, 5, &seq), 0); /* what is whole in the log is acknowledged */
	assert_int_equal(prlimit(a.pid, RLIMIT_FSIZE, &limit, NULL), 0);
	assert_true(number(w, n, 5000) > 0);
	assert_int_equal(auditor_end(&a, 0), 0);
	log_read(log, s);
	assert_int_equal(s->torn, 0);
	assert_int_equal(s->alerts, 1);
	for (uint64_t i = 0; i < mark; i++)
		assert_int_equal(s->marks[i], 1);
	ring_writer_free(w);
	ring_fds_done(&f);
	free(s);
	close(log);
}

static void test_dev_full(void **state)
{
	int log = open("/dev/full", O_RDWR | O_APPEND | O_CLOEXEC);
	struct auditor a = auditor_start(log, 0);
	struct ring_fds f;
	struct ring_writer *w;

	assert_int_equal(ring_create(64 << 10, &f), 0);
	ring_tell(&a, &f, 1, "j-1", -1);
	w = proxy_of(&f);
	assert_int_equal(number(w, say(w, 1), 1500), 0);
	auditor_end(&a, SIGKILL);
	ring_writer_free(w);
	ring_fds_done(&f);
	close(log);
}

static void test_hostile_ring_stops_alone(void **state)
{
	int log = log_make();
	struct auditor a = auditor_start(log, 0);
	struct ring_fds bad, good, liar, forger;
	struct ring_writer *w, *v, *u, *x;
	struct log_sum *s = mem_new(sizeof(*s));
	struct event e;
	uint64_t n, huge = 1u << 30;

	assert_int_equal(ring_create(64 << 10, &bad), 0);
	assert_int_equal(ring_create(64 << 10, &good), 0);
	assert_int_equal(ring_create(64 << 10, &liar), 0);
	ring_tell(&a, &bad, 1, "j-bad", -1);
	ring_tell(&a, &good, 2, "j-good", -1);
	assert_int_equal(ring_create(64 << 10, &forger), 0);
	ring_tell(&a, &liar, 3, "j-liar", -1);
	ring_tell(&a, &forger, 4, "j-forger", -1);
	w = proxy_of(&bad);
	v = proxy_of(&good);
	u = proxy_of(&liar);
	assert_int_equal(pwrite(bad.data, &huge, 8, 8), 8);
	eventfd_t one = 1;
	assert_int_equal(write(bad.wake, &one, 8), 8);
	/* In egretd's voice. */
	event_begin(&e, EVENT_JOB_END, VERDICT_NONE, REASON_NONE);
	assert_int_equal(ring_write(u, &e, &n), 0);
	assert_true(number(v, say(v, 1), 2000) > 0);
	assert_int_equal(number(u, n, 200), 0);
	/* In the broker's. */
	x = proxy_of(&forger);
	event_begin(&e, EVENT_CREDENTIAL_LEASE, VERDICT_NONE, REASON_NONE);
	assert_int_equal(ring_write(x, &e, &n), 0);
	assert_int_equal(number(x, n, 200), 0);
	ring_end(&a, 1);
	ring_end(&a, 2);
	ring_end(&a, 3);
	ring_end(&a, 4);
	assert_int_equal(auditor_end(&a, 0), 0);
	log_read(log, s);
	assert_int_equal(s->alerts, 3);
	assert_int_equal(s->lines, 4);
	ring_writer_free(x);
	ring_fds_done(&forger);
	ring_writer_free(w);
	ring_writer_free(v);
	ring_writer_free(u);
	ring_fds_done(&bad);
	ring_fds_done(&good);
	ring_fds_done(&liar);
	free(s);
	close(log);
}

static void test_events_of_egretd(void **state)
{
	int log = log_make();
	struct auditor a = auditor_start(log, 0);
	struct ring_fds f;
	struct ring_writer *w;
	struct msg_out m;
	struct msg_in in;
	struct event e;
	uint64_t seq = 0, lost = 1;
	size_t n;
	char *p;

	assert_int_equal(ring_create(64 << 10, &f), 0);
	ring_tell(&a, &f, 9, "j-9", -1);
	w = proxy_of(&f);
	say(w, 1);
	/* The order of egretd: job.end, then the ring closes. */
	event_begin(&e, EVENT_JOB_END, VERDICT_NONE, REASON_NONE);
	event_num(&e, FIELD_EXIT_STATUS, 0);
	msg_begin(&m, MSG_EVENT, 0);
	msg_put_u64(&m, TAG_JOB, 9);
	msg_put(&m, TAG_RECORD, e.bytes, e.n);
	assert_int_equal(msg_send(a.sock, &m), 0);
	ring_end(&a, 9);
	msg_begin(&m, MSG_AUDIT_STATE, 3);
	assert_int_equal(msg_send(a.sock, &m), 0);
	answer_of(&a, &in);
	assert_int_equal(in.type, MSG_OK);
	assert_int_equal(msg_get_u64(&in, TAG_SEQ, &seq), 0);
	assert_int_equal(msg_get_u64(&in, TAG_LOST, &lost), 0);
	msg_in_done(&in);
	assert_int_equal(seq, 2);
	assert_int_equal(lost, 0);
	p = log_text(log, &n);
	assert_non_null(strstr(p, "\"kind\":\"job.end\",\"job\":{\"id\":\"j-9\""));
	assert_non_null(strstr(p, "\"exit\":{\"status\":0}"));
	free(p);
	ring_writer_free(w);
	ring_fds_done(&f);
	assert_int_equal(auditor_end(&a, 0), 0);
	close(log);
}

static void test_followers(void **state)
{
	int log = log_make(), file = log_make(), slow[2], pair[2];
	struct auditor a = auditor_start(log, 0);
	struct ring_fds f, other;
	struct ring_writer *w, *v;
	struct log_sum *s = mem_new(sizeof(*s));
	static char got[4u << 20];
	size_t n = 0;
	ssize_t r;

	assert_int_equal(pipe2(slow, O_CLOEXEC), 0);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	assert_int_equal(ring_create(1 << 20, &f), 0);
	assert_int_equal(ring_create(64 << 10, &other), 0);
	ring_tell(&a, &f, 1, "j-1", file);
	ring_tell(&a, &f, 1, "j-1", slow[1]); /* asked again: one more reader */
	ring_tell(&a, &other, 2, "j-2", pair[1]);
	close(slow[1]);
	close(pair[1]);
	w = proxy_of(&f);
	v = proxy_of(&other);
	say(v, 4000);
	for (uint64_t mark = 0; mark < 4000; mark++) {
		uint64_t seq = say(w, mark);

		if (mark % 1000 == 999)
			assert_true(number(w, seq, 5000) > 0);
	}
	ring_end(&a, 1);
	ring_end(&a, 2);
	log_read(log, s);
	assert_int_equal(s->lines, 4001);
	{
		char *p = log_text(file, &n);

		/* The file got its job's lines, all of them, and no other's. */
		assert_null(strstr(p, "j-2"));
		assert_non_null(strstr(p, "/n/0\""));
		assert_non_null(strstr(p, "/n/3999\""));
		free(p);
	}
	/* The other job's reader: one line, then the end. */
	r = read(pair[0], got, sizeof(got) - 1);
	assert_true(r > 0);
	got[r] = 0;
	assert_ptr_equal(strchr(got, '\n'), got + r - 1);
	assert_non_null(strstr(got, "\"id\":\"j-2\""));
	assert_int_equal(read(pair[0], got, sizeof(got)), 0);
	/* The slow one: whole lines, bounded, and a last word that says so. */
	n = 0;
	while ((r = read(slow[0], got + n, sizeof(got) - 1 - n)) > 0)
		n += (size_t)r;
	got[n] = 0;
	assert_in_range(n, 512 << 10, (1 << 20) + (192 << 10) + 65536);
	assert_int_equal(got[n - 1], '\n');
	got[n - 1] = 0;
	assert_non_null(strstr(strrchr(got, '\n'), "\"kind\":\"lost\""));
	assert_non_null(strstr(strrchr(got, '\n'), "\"where\":\"follower\""));
	assert_int_equal(auditor_end(&a, 0), 0);
	close(slow[0]);
	close(pair[0]);
	close(file);
	close(log);
	ring_writer_free(w);
	ring_writer_free(v);
	ring_fds_done(&f);
	ring_fds_done(&other);
	free(s);
}

static void test_bad_frames(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		int log = log_make(), status;
		struct auditor a = auditor_start(log, 0);
		struct msg_out m;

		msg_begin(&m, i == 0 ? MSG_CA_GET : i == 1 ? MSG_EVENT : MSG_AUDIT_START, 1);
		if (i == 1)
			msg_put(&m, TAG_RECORD, "garbage", 7);
		assert_int_equal(msg_send(a.sock, &m), 0);
		assert_int_equal(waitpid(a.pid, &status, 0), a.pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
		close(a.sock);
		close(log);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_many_rings),
		cmocka_unit_test(test_killed_and_started_anew),
		cmocka_unit_test(test_appended_but_not_acknowledged),
		cmocka_unit_test(test_torn_at_every_offset),
		cmocka_unit_test(test_garbage_log_is_refused),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_dev_full),
		cmocka_unit_test(test_hostile_ring_stops_alone),
		cmocka_unit_test(test_events_of_egretd),
		cmocka_unit_test(test_followers),
		cmocka_unit_test(test_bad_frames),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
