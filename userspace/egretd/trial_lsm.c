/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See trial.h: the LSM tier, one act for each kind of refusal. A kernel may load these programs,
 * attach them and never call them (booted with a list in lsm= that has no bpf): then every act goes
 * through, and the sentence says what to change. Reads the kernel's answers only.
 */
#include "egretd/trial.h"
#include "egretd/nstask.h"
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum act { FAMILY, PASSED, DIAL, SEND, KERNEL_CALL, SIGNAL, UNIX_STREAM, UNIX_DATAGRAM, ACTS };

static const char *const acts[ACTS] = {
	[FAMILY] = "socket() of a family that jobs may not have",
	[PASSED] = "receiving a socket from outside",
	[DIAL] = "connect() of a socket from outside",
	[SEND] = "sendto() on a socket from outside",
	[KERNEL_CALL] = "bpf()",
	[SIGNAL] = "a signal to a process of egret's",
	[UNIX_STREAM] = "connect() to a UNIX socket of others",
	[UNIX_DATAGRAM] = "sendto() to a UNIX socket of others",
};

/* What the tasks that act are given. */
struct scene {
	enum act first, last;
	int udp; /* outside, in the trial's namespace; speaks to itself */
	struct sockaddr_in self;
	int pair[2]; /* what is sent into the one is received from the other */
	pid_t victim;
	int unix_fds[2]; /* stream, datagram: abstract, outside */
	struct sockaddr_un unix_at[2];
	socklen_t unix_len[2];
};

/* ---- the scene ---- */

enum made { UDP, STREAM, DATAGRAM };

/* All in the trial's namespace: abstract names are a network namespace's. */
static int sockets_make(struct nstask *t, void *arg)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_un any = { .sun_family = AF_UNIX };

	(void)arg;
	t->fds[UDP] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	t->fds[STREAM] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t->fds[DATAGRAM] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (t->fds[UDP] < 0 || t->fds[STREAM] < 0 || t->fds[DATAGRAM] < 0 ||
	    bind(t->fds[UDP], (const void *)&at, sizeof(at)) < 0 ||
	    bind(t->fds[STREAM], (const void *)&any, sizeof(any.sun_family)) < 0 ||
	    bind(t->fds[DATAGRAM], (const void *)&any, sizeof(any.sun_family)) < 0 ||
	    listen(t->fds[STREAM], 8) < 0)
		return nstask_fail(t, -errno, "the trial's sockets cannot be made");
	return 0;
}

/* A process of egret's own that does nothing. */
static int victim_start(const struct trial *t, pid_t *ret)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .cgroup = (uint64_t)t->cg->work };
	pid_t parent = getpid(), pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent)
			pause();
		_exit(0);
	}
	*ret = pid;
	return 0;
}

static void scene_close(struct scene *s)
{
	int *fds[] = { &s->udp, &s->pair[0], &s->pair[1], &s->unix_fds[0], &s->unix_fds[1] };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	if (s->victim > 0) {
		kill(s->victim, SIGKILL);
		while (waitpid(s->victim, NULL, __WALL) < 0 && errno == EINTR)
			;
	}
}

static int scene_open(const struct trial *t, struct scene *s, char *why, size_t n)
{
	socklen_t len = sizeof(s->self);
	struct nstask made;
	int r = nstask_run(t->cg->work, t->netns, sockets_make, NULL, &made, why, n);

	if (r < 0)
		return r;
	s->udp = made.fds[UDP];
	s->unix_fds[0] = made.fds[STREAM];
	s->unix_fds[1] = made.fds[DATAGRAM];
	if (getsockname(s->udp, (void *)&s->self, &len) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s->pair) < 0)
		r = -errno;
	for (int i = 0; i < 2 && r == 0; i++) {
		s->unix_len[i] = sizeof(s->unix_at[i]);
		if (getsockname(s->unix_fds[i], (void *)&s->unix_at[i], &s->unix_len[i]) < 0)
			r = -errno;
	}
	if (r == 0)
		r = victim_start(t, &s->victim);
	if (r < 0)
		snprintf(why, n, "the trial's sockets cannot be made: %s", strerror(-r));
	return r;
}

/* ---- acts ---- */

static int ok(long r)
{
	return r < 0 ? -errno : 0;
}

/* A descriptor that its receiver may not have is left out of the message. */
static int passed(const struct scene *s)
{
	char byte = 0, room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &s->udp, sizeof(int));
	if (sendmsg(s->pair[0], &m, MSG_NOSIGNAL) != 1 ||
	    recvmsg(s->pair[1], &m, MSG_CMSG_CLOEXEC) != 1)
		return -errno;
	return m.msg_flags & MSG_CTRUNC ? -EPERM : CMSG_FIRSTHDR(&m) ? 0 : -EBADMSG;
}

static int unix_speak(const struct scene *s, int i, int type)
{
	cleanup_close int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (type == SOCK_STREAM)
		return ok(connect(fd, (const void *)&s->unix_at[i], s->unix_len[i]));
	return ok(sendto(fd, "x", 1, MSG_NOSIGNAL, (const void *)&s->unix_at[i], s->unix_len[i]));
}

static int act_do(const struct scene *s, enum act a)
{
	cleanup_close int fd = -1;
	union bpf_attr next = { 0 };

	switch (a) {
	case FAMILY:
		/* Of packet sockets and their like each needs a capability or a module; this one is
		 * everywhere, and refused by the same program. */
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);
		return ok(fd);
	case PASSED:
		return passed(s);
	case DIAL:
		return ok(connect(s->udp, (const void *)&s->self, sizeof(s->self)));
	case SEND:
		return ok(sendto(s->udp, "x", 1, MSG_DONTWAIT, (const void *)&s->self,
				 sizeof(s->self)));
	case KERNEL_CALL:
		return ok(syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &next, sizeof(next)));
	case SIGNAL:
		return ok(kill(s->victim, 0));
	case UNIX_STREAM:
		return unix_speak(s, 0, SOCK_STREAM);
	case UNIX_DATAGRAM:
		return unix_speak(s, 1, SOCK_DGRAM);
	case ACTS:
		break;
	}
	return -EINVAL;
}

static int acts_do(struct nstask *t, void *arg)
{
	const struct scene *s = arg;
	int32_t said[ACTS] = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (enum act a = s->first; a <= s->last; a++)
		said[a] = act_do(s, a);
	memcpy(t->data, said, sizeof(said));
	return 0;
}

/* The kernel's list has no bpf: what is attached is never called. */
static bool is_asleep(char *list, size_t size)
{
	cleanup_close int fd = open("/sys/kernel/security/lsm", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, list, size - 1);

	if (got <= 0)
		return false;
	list[got] = 0;
	list[strcspn(list, "\n")] = 0;
	return !strstr(list, "bpf");
}

static int judge(const struct scene *s, const int32_t *out, const int32_t *in, char *why, size_t n)
{
	char list[512];

	for (enum act a = s->first; a <= s->last; a++) {
		if (out[a] < 0) {
			snprintf(why, n, "%s is refused outside jobs too (%s): nothing is proven",
				 acts[a], strerror(-out[a]));
			return -EIO;
		}
		if (in[a] == 0 && is_asleep(list, sizeof(list))) {
			snprintf(why, n,
				 "the LSM programs are loaded, but this kernel was booted without "
				 "bpf among its security modules and never calls them: boot with "
				 "lsm=%.200s,bpf",
				 list);
			return -ENOTSUP;
		}
		if (in[a] == 0) {
			snprintf(why, n, "%s went through from the canary", acts[a]);
			return -EPERM;
		}
		if (in[a] != -EPERM) {
			snprintf(why, n, "%s of the canary failed (%s), but not by the wall",
				 acts[a], strerror(-in[a]));
			return -EIO;
		}
	}
	return 0;
}

/* Every act by who is in no job, then by the canary. */
static int acts_try(const struct trial *t, enum act first, enum act last, char *why, size_t n)
{
	struct scene s = {
		.first = first, .last = last, .udp = -1, .pair = { -1, -1 }, .unix_fds = { -1, -1 }
	};
	struct nstask outside, canary;
	int32_t out[ACTS], in[ACTS];
	int r;

	if (kernel_no_guard(t->k)) {
		snprintf(why, n, "%s", kernel_no_guard(t->k));
		return -ENOTSUP;
	}
	r = kernel_cgroup_set(t->k, t->cgroup_id, TRIAL_JOB,
			      EGRET_CG_READY | EGRET_CG_CONFINED | EGRET_CG_TRIAL);
	if (r == 0)
		r = scene_open(t, &s, why, n);
	if (r == 0)
		r = nstask_run(t->cg->work, t->netns, acts_do, &s, &outside, why, n);
	if (r == 0)
		r = nstask_run(t->cgroup, t->netns, acts_do, &s, &canary, why, n);
	scene_close(&s);
	if (r < 0)
		return trial_fault(r);
	memcpy(out, outside.data, sizeof(out));
	memcpy(in, canary.data, sizeof(in));
	return judge(&s, out, in, why, n);
}

int trial_lsm(const struct trial *t, char *why, size_t n)
{
	return acts_try(t, FAMILY, SIGNAL, why, n);
}

int trial_unix(const struct trial *t, char *why, size_t n)
{
	return acts_try(t, UNIX_STREAM, UNIX_DATAGRAM, why, n);
}
