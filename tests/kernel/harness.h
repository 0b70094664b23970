/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A throw-away instance of the kernel side for tests/kernel and tests/bench: own slices, own pins,
 * own namespaces. A keeper process stays outside; whatever happens to the test, it ends what is
 * left in the test's cgroups and removes cgroups and pins. One C file a test, so all of it is here,
 * as static functions.
 */
#ifndef EGRET_TESTS_KERNEL_HARNESS_H
#define EGRET_TESTS_KERNEL_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "abi.h"
#include "egretd/cgroup.h"
#include "egretd/kernel.h"
#include "egretd/netns.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))
#define JOB_A 101
#define JOB_B 202

struct world {
	char instance[32];
	struct cgroups cg;
	struct kernel *k;
	int accepted;		 /* egret_accepted, read-only */
	struct netns ns;	 /* job A's */
	int a_fd, b_fd, none_fd; /* cgroups: job A, job B, below the attach point but of no job */
	uint64_t a, b, none;
};

static struct world W;

/* Room that a task of a job writes for the test: shared memory. */
struct said {
	int r; /* 0 or a positive errno */
	int n;
	struct sockaddr_in6 peer;
	char text[256];
	uint32_t pid, tid;
};
static struct said *said;

/* In an emulated machine (tests/vm/guest.sh says so): the same acts, fewer rounds. */
UNUSED static bool slow(void)
{
	return getenv("EGRET_SLOW") != NULL;
}

UNUSED static void need(int r, const char *why)
{
	if (r) {
		print_error("%s (%s)\n", why, strerror(r < 0 ? -r : r));
		fail();
	}
}

/* What the kernel calls this program. */
UNUSED static const char *comm(void)
{
	static char name[16];

	snprintf(name, sizeof(name), "%.15s", program_invocation_short_name);
	return name;
}

UNUSED static struct kernel_where where(const struct world *w)
{
	return (struct kernel_where){ .instance = w->instance,
				      .jobs = w->cg.jobs,
				      .jobs_level = w->cg.jobs_level,
				      .listen = w->cg.listen,
				      .proxies = w->cg.proxies };
}

/* Job A in a namespace of its own, ready; job B without one. */
UNUSED static int world_open(void **state)
{
	char why[256] = "";
	struct kernel_where at;
	(void)state;

	need(cgroups_open(W.instance, NULL, &W.cg, why, sizeof(why)), why);
	at = where(&W);
	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
	need(kernel_accepted_fd(W.k, &W.accepted), "accepted fd");
	need(cgroup_make(W.cg.jobs, "job-a", &W.a_fd, &W.a), "cgroup");
	need(cgroup_make(W.cg.jobs, "job-b", &W.b_fd, &W.b), "cgroup");
	need(cgroup_make(W.cg.jobs, "nobody", &W.none_fd, &W.none), "cgroup");
	need(netns_open(W.cg.listen, NETNS_NEW, -1, &W.ns, why, sizeof(why)), why);
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &W.ns.listener), "listener");
	need(kernel_cgroup_set(W.k, W.a, JOB_A, EGRET_CG_READY), "cgroup");
	need(kernel_cgroup_set(W.k, W.b, JOB_B, EGRET_CG_READY), "cgroup");
	return 0;
}

UNUSED static int world_close(void **state)
{
	(void)state;
	netns_close(&W.ns);
	close(W.a_fd);
	close(W.b_fd);
	close(W.none_fd);
	close(W.accepted);
	W.k = kernel_free(W.k);
	cgroups_close(&W.cg);
	return 0;
}

/* A task in a cgroup (-1: where the test is) and a network namespace (-1: the test's). fn's value
 * ends up in said->r. */
UNUSED static pid_t task_start(int cgroup, int netns, int (*fn)(void *), void *arg)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	pid_t pid;

	if (cgroup >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	memset(said, 0, sizeof(*said));
	said->r = ECHILD;
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(20);
		if (netns >= 0 && setns(netns, CLONE_NEWNET) < 0)
			_exit(1);
		said->pid = (uint32_t)getpid();
		said->tid = (uint32_t)syscall(SYS_gettid);
		said->r = fn(arg);
		_exit(0);
	}
	return pid;
}

UNUSED static int task_wait(pid_t pid)
{
	int st = 0;

	while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(st) || WEXITSTATUS(st))
		return EPIPE;
	return said->r;
}

UNUSED static int task_run(int cgroup, int netns, int (*fn)(void *), void *arg)
{
	return task_wait(task_start(cgroup, netns, fn, arg));
}

/* "1.2.3.4" or "2001:db8::1" or "::ffff:1.2.3.4" into a sockaddr of the family its text has. */
UNUSED static socklen_t sa_of(const char *ip, uint16_t port, struct sockaddr_storage *to)
{
	struct sockaddr_in6 *six = (void *)to;
	struct sockaddr_in *four = (void *)to;

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, ip, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		return sizeof(*four);
	}
	if (inet_pton(AF_INET6, ip, &six->sin6_addr) != 1)
		abort();
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	return sizeof(*six);
}

/* The mapped 16 bytes of a text. */
UNUSED static void addr16(const char *ip, uint8_t to[16])
{
	struct sockaddr_storage ss;

	sa_of(ip, 0, &ss);
	if (ss.ss_family == AF_INET) {
		memset(to, 0, 16);
		to[10] = to[11] = 0xff;
		memcpy(to + 12, &((struct sockaddr_in *)&ss)->sin_addr, 4);
	} else {
		memcpy(to, &((struct sockaddr_in6 *)&ss)->sin6_addr, 16);
	}
}

struct dial {
	const char *ip;
	uint16_t port;
	int type;	    /* SOCK_STREAM, SOCK_DGRAM */
	int proto;	    /* 0, IPPROTO_MPTCP */
	const char *device; /* SO_BINDTODEVICE */
	uint16_t sport;	    /* bind to it first */
};

/* connect(); the peer that it shows is put in said->peer, "x" is sent. */
UNUSED static int dial_fn(void *arg)
{
	struct dial *d = arg;
	struct sockaddr_storage ss, from;
	socklen_t len = sa_of(d->ip, d->port, &ss), plen = sizeof(said->peer);
	int fd = socket(ss.ss_family, d->type | SOCK_CLOEXEC, d->proto), one = 1;
	struct timeval tv = { .tv_sec = slow() ? 15 : 3 };

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (d->device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, d->device,
				    (socklen_t)strlen(d->device) + 1) < 0)
		return ENODEV;
	if (d->sport) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		sa_of(ss.ss_family == AF_INET ? "127.0.0.1" : "::1", d->sport, &from);
		if (bind(fd, (void *)&from, len) < 0)
			return errno;
	}
	if (connect(fd, (void *)&ss, len) < 0)
		return errno;
	getpeername(fd, (void *)&said->peer, &plen);
	if (d->type == SOCK_STREAM && send(fd, "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	close(fd);
	return 0;
}

/* The connection that waits at a listener and its record: 0, -EAGAIN (none), -ENOENT (no record).
 */
UNUSED static int taken(int listener, struct egret_record *rec)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	int fd, r;

	if (poll(&p, 1, 200) <= 0)
		return -EAGAIN;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = kernel_record(W.accepted, fd, rec);
	close(fd);
	return r;
}

UNUSED static uint64_t refused(enum egret_reason reason)
{
	uint64_t all[EGRET_R_MAX];

	need(kernel_refused(W.k, all), "counters");
	return all[reason];
}

/* ---- the keeper ---- */

static pid_t keeper_child;

static void keeper_stop(int sig)
{
	(void)sig;
	if (keeper_child > 0)
		kill(keeper_child, SIGKILL);
}

static int keeper_sweep(void)
{
	struct cgroups cg;
	char why[256] = "";
	int r = 0;

	if (kernel_unpin(W.instance, why, sizeof(why)))
		r = 1;
	if (cgroups_open(W.instance, NULL, &cg, why, sizeof(why)) == 0) {
		if (cgroup_kill(cg.jobs) || cgroup_kill(cg.own) ||
		    cgroup_wait_empty(cg.jobs, 5000) || cgroup_wait_empty(cg.own, 5000) ||
		    cgroups_remove(&cg))
			r = 1;
		cgroups_close(&cg);
	}
	if (r)
		fprintf(stderr, "# something of instance %s was left behind: %s\n", W.instance,
			why);
	return r;
}

/* main() of a kernel test: runs it in a child, sweeps in any case. */
UNUSED static int kept(int (*tests)(void))
{
	int st = 0;

	if (geteuid() != 0) {
		printf("1..0 # SKIP kernel tests load programs: run as root\n");
		return 0;
	}
	snprintf(W.instance, sizeof(W.instance), "t%d", (int)getpid());
	said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (said == MAP_FAILED)
		return 1;
	signal(SIGTERM, keeper_stop);
	signal(SIGINT, keeper_stop);
	signal(SIGPIPE, SIG_IGN);
	fflush(stdout);
	keeper_child = fork();
	if (keeper_child == 0) {
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		cmocka_set_message_output(CM_OUTPUT_TAP);
		st = tests();
		fflush(NULL);
		_exit(st ? 1 : 0);
	}
	while (waitpid(keeper_child, &st, 0) < 0 && errno == EINTR)
		;
	if (keeper_sweep())
		return 1;
	return WIFEXITED(st) ? WEXITSTATUS(st) : 1;
}

#endif
