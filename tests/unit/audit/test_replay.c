// SPDX-License-Identifier: Apache-2.0
/* A job's lines asked for again (MSG_EVENTS): its own, all of them, in order, nobody else's; a
 * reader that is slow, one that leaves. */
#include "child.h"
#include <sys/socket.h>

static void events_ask(struct auditor *a, uint64_t job, int fd)
{
	struct msg_out m;

	msg_begin(&m, MSG_EVENTS, 0);
	msg_put_u64(&m, TAG_JOB, job);
	msg_put_fd(&m, TAG_FD_FOLLOW, fd);
	assert_int_equal(msg_send(a->sock, &m), 0);
}

/* All of it, until the end; fails after 5 s of silence. */
static size_t read_to_end(int fd, char *to, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t n = 0;

	for (;;) {
		ssize_t r;

		assert_int_equal(poll(&p, 1, 5000), 1);
		r = read(fd, to + n, size - 1 - n);
		assert_true(r >= 0);
		if (!r)
			break;
		n += (size_t)r;
	}
	to[n] = 0;
	return n;
}

static unsigned lines_in(const char *p)
{
	unsigned n = 0;

	while ((p = strchr(p, '\n'))) {
		n++;
		p++;
	}
	return n;
}

static void test_one_job_of_two(void **state)
{
	int log = log_make(), pair[2];
	struct auditor a = auditor_start(log, 0);
	struct ring_fds f[2];
	struct ring_writer *w[2];
	const size_t size = 4u << 20;
	char *got = mem_new(size);
	const char *last = NULL;

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(ring_create(1 << 20, &f[i]), 0);
		ring_tell(&a, &f[i], i + 1, i ? "j-12" : "j-1", -1);
		w[i] = proxy_of(&f[i]);
	}
	for (uint64_t mark = 0; mark < 1600; mark++)
		say(w[mark % 2], mark);
	/* Nothing is waited for before the question: what is in the ring comes with the answer. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	events_ask(&a, 1, pair[1]);
	close(pair[1]);
	read_to_end(pair[0], got, size);
	assert_int_equal(lines_in(got), 800);
	assert_null(strstr(got, "\"j-12\""));
	for (const char *at = got; (at = strstr(at, "\"n\":")); at++) {
		if (last)
			assert_true(strtoul(at + 4, NULL, 10) > strtoul(last + 4, NULL, 10));
		last = at;
	}
	close(pair[0]);
	/* One that leaves at once, and one that is no socket: the process goes on. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	close(pair[0]);
	events_ask(&a, 2, pair[1]);
	close(pair[1]);
	events_ask(&a, 2, log);
	events_ask(&a, 77, log);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	events_ask(&a, 2, pair[1]);
	close(pair[1]);
	read_to_end(pair[0], got, size);
	assert_int_equal(lines_in(got), 800);
	close(pair[0]);
	for (unsigned i = 0; i < 2; i++) {
		ring_end(&a, i + 1);
		ring_writer_free(w[i]);
		ring_fds_done(&f[i]);
	}
	assert_int_equal(auditor_end(&a, 0), 0);
	free(got);
	close(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_one_job_of_two) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
