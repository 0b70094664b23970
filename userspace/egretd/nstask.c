/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See nstask.h. The child is a plain fork born in a cgroup by clone3, without an exit signal:
 * egretd's loop hears nothing of it, it is waited for here.
 */
#include "egretd/nstask.h"
#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 5000

/* One datagram; the descriptors come beside it, in order. */
struct answer {
	int err; /* 0, or a positive errno */
	char why[160];
	uint8_t data[NSTASK_DATA];
	uint8_t has[NSTASK_FDS];
};

int nstask_fail(struct nstask *t, int err, const char *what)
{
	snprintf(t->why, sizeof(t->why), "%s (%s)", what, strerror(-err));
	return err;
}

static void task_init(struct nstask *t)
{
	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < NSTASK_FDS; i++)
		t->fds[i] = -1;
}

static void answer_send(int sock, int err, const struct nstask *t)
{
	char room[CMSG_SPACE(sizeof(int) * NSTASK_FDS)] = { 0 };
	struct answer a = { .err = -err };
	struct iovec iov = { &a, sizeof(a) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int list[NSTASK_FDS];
	size_t n = 0;

	memcpy(a.why, t->why, sizeof(a.why));
	memcpy(a.data, t->data, sizeof(a.data));
	for (size_t i = 0; i < NSTASK_FDS && !err; i++) {
		a.has[i] = t->fds[i] >= 0;
		if (t->fds[i] >= 0)
			list[n++] = t->fds[i];
	}
	if (n) {
		struct cmsghdr *h;

		m.msg_control = room;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(h), list, sizeof(int) * n);
	}
	if (sendmsg(sock, &m, MSG_NOSIGNAL) < 0)
		_exit(1);
}

static _Noreturn void child_main(int sock, int netns, nstask_fn fn, void *arg)
{
	struct nstask t;
	int r = 0;

	task_init(&t);
	if (netns >= 0 && setns(netns, CLONE_NEWNET) < 0)
		r = nstask_fail(&t, -errno, "the job's network namespace cannot be entered");
	if (!r)
		r = fn(&t, arg);
	answer_send(sock, r, &t);
	_exit(0);
}

static int answer_recv(int sock, struct answer *a, int fds[NSTASK_FDS])
{
	char room[CMSG_SPACE(sizeof(int) * NSTASK_FDS)];
	struct iovec iov = { a, sizeof(*a) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct cmsghdr *h;
	size_t n = 0, at = 0;
	int got[NSTASK_FDS], r;

	do
		r = poll(&p, 1, WAIT_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r ? -errno : -ETIMEDOUT;
	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*a))
		return -ECONNRESET;
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(got, CMSG_DATA(h), n * sizeof(int));
	}
	for (size_t i = 0; i < NSTASK_FDS; i++)
		fds[i] = a->has[i] && at < n ? got[at++] : -1;
	/* The host's own descriptor limit cuts the list short: half an answer is none. */
	if (m.msg_flags & MSG_CTRUNC) {
		for (size_t i = 0; i < n; i++)
			close(got[i]);
		return -EMFILE;
	}
	return 0;
}

int nstask_run(int cgroup, int netns, nstask_fn fn, void *arg, struct nstask *ret, char *why,
	       size_t size)
{
	struct clone_args args = { .flags = cgroup >= 0 ? CLONE_INTO_CGROUP : 0,
				   .cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0 };
	struct answer a = { 0 };
	int pair[2], fds[NSTASK_FDS], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		r = -errno;
		snprintf(why, size, "no socket for a helper (%s)", strerror(-r));
		return r;
	}
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		child_main(pair[1], netns, fn, arg);
	r = pid < 0 ? -errno : 0;
	close(pair[1]);
	if (!r)
		r = answer_recv(pair[0], &a, fds);
	close(pair[0]);
	if (pid > 0) {
		if (r)
			kill(pid, SIGKILL);
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	}
	if (r) {
		snprintf(why, size,
			 "the helper that works in a network namespace could not be started or "
			 "died (%s)",
			 strerror(-r));
		return r;
	}
	if (a.err) {
		snprintf(why, size, "%.*s", (int)sizeof(a.why), a.why);
		return -a.err;
	}
	task_init(ret);
	memcpy(ret->data, a.data, sizeof(a.data));
	memcpy(ret->fds, fds, sizeof(fds));
	return 0;
}
