// SPDX-License-Identifier: Apache-2.0
/*
 * What a record costs: ring_write alone (reader awake, acknowledging in the
 * same process), the record put together and written (bound: under 1 us),
 * records a second between two processes, and the round trip that a refusal
 * waits for: write, wake the audit process, append to a file, number back.
 * Prints one JSON object. Target: median below 200 us.
 */
#include "audit/audit.h"
#include "base/clock.h"
#include "base/proto.h"
#include "event/rows.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORDS 300000u
#define TRIPS 3000u

static void must(bool ok, const char *what)
{
	if (!ok)
		die("bench_ring: %s: %s", what, strerror(errno));
}

static void record(struct event *e)
{
	event_begin(e, EVENT_HTTP_REQUEST, VERDICT_ALLOW, REASON_RULE);
	event_text(e, FIELD_RULE, STR("publish"));
	event_text(e, FIELD_REQUEST, STR("01JD7Y3K5W8Q2M4N6P8R"));
	event_num(e, FIELD_PROCESS_PID, 812);
	event_text(e, FIELD_PROCESS_COMM, STR("gh"));
	event_text(e, FIELD_POLICY_NAME, STR("acme-web-release"));
	event_text(e, FIELD_DEST_HOST, STR("api.github.com"));
	event_num(e, FIELD_DEST_PORT, 443);
	event_text(e, FIELD_HTTP_METHOD, STR("POST"));
	event_text(e, FIELD_HTTP_URL, STR("https://api.github.com/repos/acme/web/releases"));
}

static struct ring_writer *writer(const struct ring_fds *f)
{
	struct ring_writer *w = NULL;

	must(!ring_writer_open(dup(f->data), dup(f->ack_ro), dup(f->wake), dup(f->space), &w),
	     "writer");
	return w;
}

static struct ring_reader *reader(const struct ring_fds *f)
{
	struct ring_reader *r = NULL;

	must(!ring_reader_open(dup(f->data), dup(f->ack), dup(f->wake), dup(f->space), &r),
	     "reader");
	return r;
}

/* made: the record is put together each time, as a decision does. */
static double one_process(bool made)
{
	struct ring_fds f;
	struct event e, out;
	uint64_t n, spent = 0;

	must(!ring_create(1 << 20, &f), "ring");
	struct ring_writer *w = writer(&f);
	struct ring_reader *r = reader(&f);

	record(&e);
	for (unsigned i = 0; i < RECORDS; i += 500) {
		uint64_t from = clock_now_us();

		for (unsigned j = 0; j < 500; j++) {
			if (made)
				record(&e);
			must(!ring_write(w, &e, &n), "write");
		}
		spent += clock_now_us() - from;
		for (unsigned j = 0; j < 500; j++) {
			must(ring_read(r, &out) == 1, "read");
			ring_acked(r, n);
		}
	}
	ring_writer_free(w);
	ring_reader_free(r);
	ring_fds_done(&f);
	return (double)spent * 1000 / RECORDS;
}

static void feed(const struct ring_fds *f)
{
	struct ring_writer *w = writer(f);
	struct pollfd p = { .fd = ring_space_fd(w), .events = POLLIN };
	struct event e;
	uint64_t n;

	record(&e);
	for (unsigned i = 0; i < RECORDS; i++)
		while (ring_write(w, &e, &n)) {
			poll(&p, 1, 1000);
			ring_space_clear(w);
		}
	_exit(0);
}

static double two_processes(void)
{
	struct ring_fds f;
	struct event out;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	uint64_t from, spent;
	unsigned got = 0;
	pid_t pid;

	must(!ring_create(1 << 20, &f), "ring");
	struct ring_reader *r = reader(&f);

	must(!epoll_ctl(ep, EPOLL_CTL_ADD, ring_wake_fd(r), &ev), "epoll");
	from = clock_now_us();
	pid = fork();
	must(pid >= 0, "fork");
	if (!pid)
		feed(&f);
	while (got < RECORDS) {
		int n = ring_read(r, &out);

		must(n >= 0, "read");
		if (n) {
			ring_acked(r, ++got);
			continue;
		}
		must(epoll_wait(ep, &ev, 1, 5000) == 1, "a wake-up was lost");
		ring_wake_clear(r);
	}
	spent = clock_now_us() - from;
	waitpid(pid, NULL, 0);
	ring_reader_free(r);
	ring_fds_done(&f);
	close(ep);
	return (double)RECORDS * 1e6 / (double)spent;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* A real audit process, a real file; one record under way, as a refusal is. */
static void round_trips(uint32_t *us)
{
	char path[] = "/tmp/egret-bench-XXXXXX";
	int log = mkostemp(path, O_APPEND | O_CLOEXEC), pair[2];
	struct ring_fds f;
	struct msg_out m;
	struct event e;
	pid_t pid;

	must(log >= 0 && !unlink(path), "file");
	must(!msg_pair(pair) && !ring_create(1 << 20, &f), "ring");
	pid = fork();
	must(pid >= 0, "fork");
	if (!pid) {
		close(pair[0]);
		_exit(audit_run(pair[1]));
	}
	msg_begin(&m, MSG_AUDIT_START, 0);
	msg_put_fd(&m, TAG_FD_LOG, log);
	msg_put_str(&m, TAG_NODE, STR("bench"));
	must(!msg_send(pair[0], &m), "start");
	msg_begin(&m, MSG_RING_OPEN, 0);
	msg_put_u64(&m, TAG_JOB, 1);
	msg_put_str(&m, TAG_JOB_NAME, STR("j-bench"));
	msg_put_u64(&m, TAG_ASSURANCE, 0);
	msg_put_fd(&m, TAG_FD_RING, f.data);
	msg_put_fd(&m, TAG_FD_RING_ACK, f.ack);
	msg_put_fd(&m, TAG_FD_RING_WAKE, f.wake);
	msg_put_fd(&m, TAG_FD_RING_SPACE, f.space);
	must(!msg_send(pair[0], &m), "open");

	struct ring_writer *w = writer(&f);
	struct pollfd p = { .fd = ring_space_fd(w), .events = POLLIN };

	record(&e);
	for (unsigned i = 0; i < TRIPS; i++) {
		uint64_t n, seq, from = clock_now_us();

		must(!ring_write(w, &e, &n), "write");
		while (ring_seq(w, n, &seq) == -EAGAIN) {
			must(poll(&p, 1, 5000) == 1, "no number came");
			ring_space_clear(w);
		}
		us[i] = (uint32_t)(clock_now_us() - from);
	}
	ring_writer_free(w);
	ring_fds_done(&f);
	close(pair[0]);
	close(pair[1]);
	waitpid(pid, NULL, 0);
	close(log);
}

int main(void)
{
	static uint32_t us[TRIPS];
	double ns = one_process(false), made = one_process(true), rate = two_processes();

	round_trips(us);
	qsort(us, TRIPS, sizeof(*us), by_size);
	printf("{\"bench\":\"ring\",\"write_ns\":%.0f,\"made_and_written_ns\":%.0f,"
	       "\"records_per_s\":%.0f,\"number_us_median\":%"
	       "u,"
	       "\"number_us_p99\":%u}\n",
	       ns, made, rate, us[TRIPS / 2], us[TRIPS * 99 / 100]);
	return 0;
}
