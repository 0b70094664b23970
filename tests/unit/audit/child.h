/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of the audit process: one of it as a child (audit_run on a socket pair), a proxy's
 * end of rings, the log read back. */
#ifndef TEST_AUDIT_CHILD_H
#define TEST_AUDIT_CHILD_H

#include "audit/audit.h"
#include "base/clock.h"
#include "event/jsonread.h"
#include "event/rows.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

struct auditor {
	pid_t pid;
	int sock;
};

static inline struct auditor auditor_start(int log, uint64_t fsize)
{
	struct auditor a;
	struct msg_out m;
	int pair[2];

	assert_int_equal(msg_pair(pair), 0);
	fflush(NULL);
	a.pid = fork();
	assert_true(a.pid >= 0);
	if (!a.pid) {
		struct rlimit limit = { fsize, RLIM_INFINITY };

		close(pair[0]);
		if (!freopen("/dev/null", "w", stderr))
			_exit(9);
		signal(SIGXFSZ, SIG_IGN);
		signal(SIGPIPE, SIG_IGN);
		if (fsize && setrlimit(RLIMIT_FSIZE, &limit))
			_exit(9);
		_exit(audit_run(pair[1]));
	}
	close(pair[1]);
	a.sock = pair[0];
	msg_begin(&m, MSG_AUDIT_START, 0);
	msg_put_fd(&m, TAG_FD_LOG, log);
	msg_put_str(&m, TAG_NODE, STR("ci-07"));
	assert_int_equal(msg_send(a.sock, &m), 0);
	return a;
}

static inline int auditor_end(struct auditor *a, int sig)
{
	int status = -1;

	if (sig) {
		kill(a->pid, sig);
	} else {
		struct msg_out m;

		msg_begin(&m, MSG_STOP, 0);
		assert_int_equal(msg_send(a->sock, &m), 0);
	}
	assert_int_equal(waitpid(a->pid, &status, 0), a->pid);
	close(a->sock);
	return status;
}

/* The next frame, at most 5 s. */
static inline void answer_of(struct auditor *a, struct msg_in *in)
{
	struct pollfd p = { .fd = a->sock, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(msg_recv(a->sock, in), 0);
}

static inline void expect(struct auditor *a, uint16_t type, uint32_t id)
{
	struct msg_in in;

	answer_of(a, &in);
	if (in.type != type || in.id != id)
		fail_msg("got type %u id %u, not type %u id %u", in.type, in.id, type, id);
	msg_in_done(&in);
}

static inline void ring_tell(struct auditor *a, const struct ring_fds *f, uint64_t job,
			     const char *name, int follow)
{
	struct msg_out m;

	msg_begin(&m, MSG_RING_OPEN, (uint32_t)job);
	msg_put_u64(&m, TAG_JOB, job);
	msg_put_str(&m, TAG_JOB_NAME, str_of(name));
	msg_put_fd(&m, TAG_FD_RING, f->data);
	msg_put_fd(&m, TAG_FD_RING_ACK, f->ack);
	msg_put_fd(&m, TAG_FD_RING_WAKE, f->wake);
	msg_put_fd(&m, TAG_FD_RING_SPACE, f->space);
	msg_put_u64(&m, TAG_ASSURANCE, 2);
	msg_put_u64(&m, TAG_PROXY_CGROUP, 1000 + job);
	msg_put_u64(&m, TAG_TIME, 300);
	msg_put_str(&m, TAG_FACT, STR("ref=refs/heads/main"));
	msg_put_str(&m, TAG_FACT, STR("repo=acme/web"));
	if (follow >= 0)
		msg_put_fd(&m, TAG_FD_FOLLOW, follow);
	assert_int_equal(msg_send(a->sock, &m), 0);
	expect(a, MSG_OK, (uint32_t)job);
}

static inline void ring_end(struct auditor *a, uint64_t job)
{
	struct msg_out m;

	msg_begin(&m, MSG_RING_CLOSE, 77);
	msg_put_u64(&m, TAG_JOB, job);
	assert_int_equal(msg_send(a->sock, &m), 0);
	expect(a, MSG_OK, 77);
}

static inline struct ring_writer *proxy_of(const struct ring_fds *f)
{
	struct ring_writer *w = NULL;

	assert_int_equal(
		ring_writer_open(dup(f->data), dup(f->ack_ro), dup(f->wake), dup(f->space), &w), 0);
	return w;
}

static inline void request(struct event *e, uint64_t mark)
{
	char url[64];

	snprintf(url, sizeof(url), "https://api.github.com/n/%llu", (unsigned long long)mark);
	event_begin(e, EVENT_HTTP_REQUEST, VERDICT_ALLOW, REASON_RULE);
	event_text(e, FIELD_HTTP_METHOD, STR("GET"));
	event_text(e, FIELD_HTTP_URL, str_of(url));
}

static inline uint64_t say(struct ring_writer *w, uint64_t mark)
{
	struct event e;
	uint64_t n = 0;

	request(&e, mark);
	assert_int_equal(ring_write(w, &e, &n), 0);
	return n;
}

/* The stream's number of record n; 0 when it does not come within wait_ms. */
static inline uint64_t number(struct ring_writer *w, uint64_t n, int wait_ms)
{
	struct pollfd p = { .fd = ring_space_fd(w), .events = POLLIN };
	uint64_t seq = 0, until = clock_now() + (uint64_t)wait_ms;

	while (ring_seq(w, n, &seq) == -EAGAIN && clock_now() < until) {
		poll(&p, 1, 50);
		ring_space_clear(w);
	}
	return seq;
}

static inline int log_make(void)
{
	char path[] = "/tmp/egret-audit-XXXXXX";
	int fd = mkostemp(path, O_APPEND | O_CLOEXEC);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static inline char *log_text(int fd, size_t *ret_n)
{
	struct stat st;
	char *p;

	assert_int_equal(fstat(fd, &st), 0);
	p = mem_new((size_t)st.st_size + 1);
	assert_int_equal(pread(fd, p, (size_t)st.st_size, 0), st.st_size);
	*ret_n = (size_t)st.st_size;
	return p;
}

struct log_sum {
	unsigned lines, torn, alerts;
	uint64_t last;	      /* number */
	uint64_t marks[4096]; /* how often each request's mark is there */
	uint64_t seqs[4096];  /* its number */
};

/* Reads the whole log; numbers must be 1, 2, 3... without gap or repetition. */
static inline void log_read(int fd, struct log_sum *s)
{
	struct json_line *l = json_line_new();
	size_t n, at = 0;
	char *p = log_text(fd, &n);

	memset(s, 0, sizeof(*s));
	while (at < n) {
		char *end = memchr(p + at, '\n', n - at);
		uint64_t seq = 0, mark;
		struct str url;
		size_t len = end ? (size_t)(end - p) - at : n - at;

		if (!end || json_line_read(l, (struct str){ p + at, len })) {
			s->torn += len > 0;
			at += len + 1;
			continue;
		}
		s->lines++;
		assert_true(json_num(l, "seq", &seq));
		if (seq != s->last + 1)
			fail_msg("number %llu after %llu", (unsigned long long)seq,
				 (unsigned long long)s->last);
		s->last = seq;
		s->alerts += str_is(json_text(l, "kind"), "alert");
		url = json_text(l, "http.url");
		if (url.n > 25 && !str_u64((struct str){ url.p + 25, url.n - 25 }, &mark) &&
		    mark < ARRAY_SIZE(s->marks)) {
			s->marks[mark]++;
			s->seqs[mark] = seq;
		}
		at += len + 1;
	}
	free(p);
	json_line_free(l);
}

#endif
