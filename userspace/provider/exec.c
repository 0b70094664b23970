/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider `exec`: a program of the administrator's prints the credential as JSON,
 *
 *   { "value": "...", "expires": "2026-11-22T23:00:00Z" }     or "expires_in": seconds
 *
 * It runs with an empty environment in the folder /, without a file it could write (jail.h), in a
 * process group that it cannot leave and that is killed when it ends. Hostile bytes: what it
 * prints.
 */
#include "base/jail.h"
#include "base/log.h"
#include "base/secret.h"
#include "provider/exec.h"
#include "provider/fiber.h"
#include "provider/http.h"
#include "provider/table.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGV_MAX 64
#define OUTPUT_MAX 65536
#define ERRORS_MAX 1024
#define TIMEOUT_MS 10000
#define VALUE_MAX 32768
#define EXPIRES_MAX (366ll * 86400)

struct run {
	struct question *q;
	struct fiber *fiber;
	pid_t pid;
	int pidfd;
	struct buf out, err;
	struct watch from_out, from_err, ended;
	struct timer late;
	bool is_late, too_large;
	int status;
};

/* Only root may have written it, or be able to put another in its place. */
static int check_program(struct question *q, const char *path)
{
	cleanup_free char *whole = realpath(path, NULL);
	struct stat st;

	if (!whole)
		return question_fail(q, -ENOENT, "%s: %s", path, strerror(errno));
	for (char *at = whole + 1;; *at++ = '/') {
		at = strchrnul(at, '/');
		if (!*at)
			break;
		*at = '\0';
		if (lstat(whole, &st) < 0 || st.st_uid != 0 || (st.st_mode & 022))
			return question_fail(q, -EPERM,
					     "the folder %s of the program is not root's alone to "
					     "write: chown root, chmod go-w",
					     whole);
	}
	if (lstat(whole, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022))
		return question_fail(q, -EPERM,
				     "%s is not a file of root's that only root may write: chown "
				     "root, chmod go-w",
				     whole);
	return 0;
}

static _Noreturn void become(char *const argv[], const int out[2], const int err[2])
{
	static char *const nothing[] = { NULL };
	const struct rlimit files = { 256, 256 };
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	umask(077);
	if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || chdir("/") < 0 ||
	    null < 0 || dup2(null, 0) < 0 || dup2(out[1], 1) < 0 || dup2(err[1], 2) < 0 ||
	    syscall(SYS_close_range, 3, ~0u, 0) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0 ||
	    jail_program() < 0)
		_exit(126);
	execve(argv[0], argv, nothing);
	_exit(127);
}

static void on_some(struct watch *w, uint32_t events)
{
	struct run *r = w->owner;
	bool errors = w == &r->from_err;
	struct buf *to = errors ? &r->err : &r->out;
	char block[4096];
	ssize_t n = read(w->fd, block, sizeof(block));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		watch_del(w);
		return;
	}
	/* Of its complaints the beginning is enough. */
	if (errors && (size_t)n > to->limit - to->n)
		n = (ssize_t)(to->limit - to->n);
	r->too_large |= buf_add(to, block, (size_t)n) < 0;
	wipe(block, (size_t)n);
	if (r->too_large)
		fiber_wake(r->fiber);
}

static void on_end(struct watch *w, uint32_t events)
{
	fiber_wake(((struct run *)w->owner)->fiber);
}

static void on_late(struct timer *t)
{
	struct run *r = t->owner;

	r->is_late = true;
	fiber_wake(r->fiber);
}

/* What lies in the pipe behind its end. */
static void drain(struct run *r)
{
	while (r->from_out.loop && !r->too_large) {
		char block[4096];
		ssize_t n = read(r->from_out.fd, block, sizeof(block));

		if (n <= 0)
			break;
		r->too_large = buf_add(&r->out, block, (size_t)n) < 0;
		wipe(block, (size_t)n);
	}
}

/* Every process of the group goes, the program's own children too. */
static void end_group(struct run *r)
{
	siginfo_t si = { 0 };

	kill(-r->pid, SIGKILL);
	while (waitid(P_PID, (id_t)r->pid, &si, WEXITED) < 0 && errno == EINTR)
		;
	r->status = si.si_code == CLD_EXITED ? si.si_status : 128 + si.si_status;
	watch_del(&r->from_out);
	watch_del(&r->from_err);
	watch_del(&r->ended);
	timer_del(&r->late);
}

static int run_program(struct run *r, char *const argv[], uint64_t ms)
{
	cleanup_close int out0 = -1, out1 = -1, err0 = -1, err1 = -1, pidfd = -1;
	struct loop *l = r->q->loop;
	int out[2], err[2], e = 0;

	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	out0 = out[0];
	out1 = out[1];
	if (pipe2(err, O_CLOEXEC) < 0)
		return -errno;
	err0 = err[0];
	err1 = err[1];
	if (fcntl(out0, F_SETFL, O_NONBLOCK) < 0 || fcntl(err0, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r->fiber = fiber_self();
	r->pid = fork();
	if (r->pid < 0)
		return -errno;
	if (r->pid == 0)
		become(argv, out, err);
	setpgid(r->pid, r->pid); /* whoever is first */
	pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	e = pidfd < 0 ? -errno : watch_add(l, &r->ended, pidfd, EPOLLIN, on_end, r);
	if (e == 0)
		e = watch_add(l, &r->from_out, out0, EPOLLIN, on_some, r);
	if (e == 0)
		e = watch_add(l, &r->from_err, err0, EPOLLIN, on_some, r);
	if (e == 0) {
		timer_set(l, &r->late, ms, on_late, r);
		fiber_wait();
		drain(r);
	}
	end_group(r);
	return e;
}

/* Refused when a key is unknown: a misspelt "expires" must not become none. */
int exec_answer(struct question *q, struct str printed, struct answer *ret)
{
	const struct node *root = node_json(q, printed), *n;
	int64_t seconds = 0, at = 0;
	bool has_at, has_seconds;
	struct str text;

	if (!root || root->kind != NODE_OBJECT)
		return question_fail(q, -EBADMSG, "the program did not print one JSON object");
	for (n = root->first; n; n = n->next)
		if (!str_is(n->key, "value") && !str_is(n->key, "expires") &&
		    !str_is(n->key, "expires_in"))
			return question_fail(q, -EBADMSG,
					     "the program printed the key \"%.*s\": value, expires "
					     "and expires_in are known",
					     n->key.n > 64 ? 64 : (int)n->key.n, n->key.p);
	if (!node_text(root, "value", VALUE_MAX, &ret->value) || !ret->value.n)
		return question_fail(q, -EBADMSG,
				     "the program printed no value: a text of one line, at most 32 "
				     "KiB");
	has_at = node_get(root, "expires") != NULL;
	has_seconds = node_get(root, "expires_in") != NULL;
	if (has_at && (!node_text(root, "expires", 64, &text) || time_rfc3339(text, &at) < 0))
		return question_fail(q, -EBADMSG,
				     "expires is not a time like \"2026-11-22T23:00:00Z\"");
	if (has_seconds &&
	    (!node_whole(root, "expires_in", &seconds) || seconds < 1 || seconds > EXPIRES_MAX))
		return question_fail(q, -EBADMSG, "expires_in is not a number of seconds");
	if (has_at && has_seconds)
		return question_fail(q, -EBADMSG, "the program printed expires and expires_in");
	if (!has_at && !has_seconds && !q->ttl_ms)
		return question_fail(
			q, -EBADMSG,
			"the program did not say when the value expires: print expires "
			"or expires_in, or give the credential a ttl");
	if (has_at && at <= q->now)
		return question_fail(
			q, -EBADMSG,
			"the value has expired already (expires); is this host's clock "
			"right?");
	if (has_seconds)
		at = q->now + seconds;
	ret->expires_ms = at * 1000;
	if (q->ttl_ms && (!at || q->now * 1000 + (int64_t)q->ttl_ms < ret->expires_ms))
		ret->expires_ms = q->now * 1000 + (int64_t)q->ttl_ms;
	return 0;
}

static void say_errors(struct question *q, const char *program, struct str text)
{
	const char *end = text.n ? memchr(text.p, '\n', text.n) : NULL;

	if (text.n)
		log_warn("credential %.*s: %s: %.*s", STR_ARG(q->name), program,
			 end ? (int)(end - text.p) : (int)text.n, text.p);
}

static int provide(struct question *q, struct answer *ret)
{
	struct run run = { .q = q };
	char *argv[ARGV_MAX + 1] = { NULL };
	uint64_t ms = TIMEOUT_MS;
	struct str one;
	size_t at = 0;
	unsigned n = 0;
	int r;

	while (n < ARGV_MAX && question_each_param(q, PARAM_ARGV, &at, &one))
		argv[n++] = (char *)one.p;
	if (!n || argv[0][0] != '/')
		return question_fail(q, -EINVAL, "no program is named");
	one = question_param(q, PARAM_TIMEOUT);
	if (one.n && str_u64(one, &ms) < 0)
		return question_fail(q, -EINVAL, "the timeout is no number");
	r = check_program(q, argv[0]);
	if (r < 0)
		return r;
	buf_init(&run.out, OUTPUT_MAX);
	buf_init(&run.err, ERRORS_MAX);
	r = run_program(&run, argv, ms);
	if (r < 0)
		question_fail(q, r, "%s could not be started: %s", argv[0], strerror(-r));
	else if (run.is_late)
		r = question_fail(q, -EAGAIN, "%s did not end within %llu ms", argv[0],
				  (unsigned long long)ms);
	else if (run.too_large)
		r = question_fail(q, -EFBIG, "%s printed more than 64 KiB", argv[0]);
	else if (run.status == 126 || run.status == 127)
		r = question_fail(q, -ENOEXEC, "%s could not be executed (status %d)", argv[0],
				  run.status);
	else if (run.status)
		r = question_fail(q, -EAGAIN,
				  "%s ended with status %d; what it said is in egretd's log",
				  argv[0], run.status);
	else
		r = exec_answer(q, arena_str(&q->arena, buf_str(&run.out)), ret);
	if (r < 0)
		say_errors(q, argv[0], buf_str(&run.err));
	buf_done(&run.out);
	buf_done(&run.err);
	return r;
}

const struct provider_ops provider_exec = { "exec", provide, NULL, NULL, NULL };
