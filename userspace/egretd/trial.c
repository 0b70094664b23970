/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See trial.h: the canary's place, and the walls that refuse a call at once. Each act is done by a
 * task of no job first and must succeed there; then by the canary, where only EPERM is a refusal.
 * All of it happens in a namespace with loopback alone. Reads the kernel's answers only.
 */
#include "egretd/trial.h"
#include "egretd/lo.h"
#include "egretd/netns.h"
#include "egretd/nstask.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT_PORT 20053 /* reserved for the trial in its namespace */
#define SWEEP_MS 1000
#define ACTS_MAX 8

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* ---- the canary's place ---- */

enum slot { NS, TCP4, TCP6, UDP };

struct place {
	uint64_t cookie;
	uint16_t port, port6;
};

static socklen_t address(int family, uint16_t port, struct sockaddr_storage *to)
{
	struct sockaddr_in *four = (void *)to;
	struct sockaddr_in6 *six = (void *)to;

	memset(to, 0, sizeof(*to));
	if (family == AF_INET) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(*four);
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	six->sin6_addr = in6addr_loopback;
	return sizeof(*six);
}

/* A socket at some port (0: the kernel picks) of this family's loopback, TCP ones listening. */
static int listener(int family, int type, uint16_t *port)
{
	cleanup_close int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_storage ss;
	socklen_t len = address(family, *port, &ss);

	if (fd < 0)
		return -errno;
	if (type == SOCK_DGRAM) /* at the namespace's other address too */
		((struct sockaddr_in *)&ss)->sin_addr.s_addr = htonl(INADDR_ANY);
	if (bind(fd, (void *)&ss, len) < 0 || (type == SOCK_STREAM && listen(fd, 8) < 0) ||
	    getsockname(fd, (void *)&ss, &len) < 0)
		return -errno;
	*port = ntohs(((struct sockaddr_in *)&ss)->sin_port); /* the same place in both families */
	return TAKE_FD(fd);
}

/* For where CAP_NET_RAW is missing: the one socket that needs no privilege and that jobs may not
 * have. */
static void ping_open(void)
{
	cleanup_close int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
	char text[32];
	int n = snprintf(text, sizeof(text), "%u %u", (unsigned)getegid(), (unsigned)getegid());

	/* Where it cannot be written, trial_sockets finds that the act is not allowed. */
	if (fd >= 0)
		(void)!write(fd, text, (size_t)n);
}

static int place_make(struct nstask *t, void *arg)
{
	struct place p = { 0 };
	socklen_t len = sizeof(p.cookie);
	int r;

	(void)arg;
	if (unshare(CLONE_NEWNET) < 0)
		return nstask_fail(t, -errno, "a network namespace cannot be made");
	r = lo_up(NETNS_ADDR4 "/32", NETNS_ADDR6 "/128");
	if (r < 0)
		return nstask_fail(t, r, "the loopback device cannot be set up");
	ping_open();
	t->fds[NS] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	r = t->fds[TCP4] = listener(AF_INET, SOCK_STREAM, &p.port);
	if (r >= 0)
		r = t->fds[UDP] = listener(AF_INET, SOCK_DGRAM, &p.port);
	if (r < 0 || t->fds[NS] < 0)
		return nstask_fail(t, r < 0 ? r : -EIO, "nobody can listen in it");
	t->fds[TCP6] = listener(AF_INET6, SOCK_STREAM, &p.port6);
	if (t->fds[TCP6] < 0)
		p.port6 = 0;
	if (getsockopt(t->fds[TCP4], SOL_SOCKET, SO_NETNS_COOKIE, &p.cookie, &len) < 0)
		return nstask_fail(t, -errno, "it cannot be told from others");
	memcpy(t->data, &p, sizeof(p));
	return 0;
}

/* What an interrupted round left at this place. A cgroup is out of the table only when no task can
 * act in it any more: else what it still does would be counted and told. */
static int sweep(struct kernel *k, int parent)
{
	cleanup_close int fd =
		openat(parent, TRIAL_CGROUP, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t id = 0;
	int r = fd < 0 ? -errno : cgroup_id(fd, &id);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = cgroup_kill(fd);
	if (r == 0)
		r = cgroup_wait_empty(fd, SWEEP_MS);
	if (r == 0)
		r = cgroup_remove(parent, TRIAL_CGROUP);
	return r < 0 ? r : kernel_cgroup_del(k, id);
}

static void stray(void *owner, uint64_t cgroup, const struct egret_cgroup *c)
{
	struct kernel *k = owner;

	if (c->flags & EGRET_CG_TRIAL)
		(void)!kernel_cgroup_del(k, cgroup);
}

int trial_open(struct kernel *k, const struct cgroups *cg, struct trial *ret, char *why, size_t n)
{
	struct trial t = { .k = k,
			   .cg = cg,
			   .cgroup = -1,
			   .caged = -1,
			   .netns = -1,
			   .udp = -1,
			   .holds = { -1, -1 } };
	struct nstask made;
	struct place p;
	int r = kernel_job_forget(k, TRIAL_JOB);

	if (r == 0)
		r = sweep(k, cg->jobs);
	if (r == 0)
		r = sweep(k, cg->proxies);
	if (r == 0) /* killed between the one and the other */
		r = kernel_cgroup_each(k, stray, k);
	if (r == 0)
		r = cgroup_make(cg->jobs, TRIAL_CGROUP, &t.cgroup, &t.cgroup_id);
	if (r == 0)
		r = cgroup_make(cg->proxies, TRIAL_CGROUP, &t.caged, &t.caged_id);
	if (r == 0)
		r = kernel_cgroup_set(k, t.cgroup_id, TRIAL_JOB, EGRET_CG_TRIAL);
	if (r == 0)
		r = kernel_cgroup_set(k, t.caged_id, 0, EGRET_CG_TRIAL);
	if (r < 0)
		snprintf(why, n, "the cgroups of the trial cannot be made: %s", strerror(-r));
	else
		r = nstask_run(cg->work, -1, place_make, NULL, &made, why, n);
	if (r < 0) {
		trial_close(&t);
		return r;
	}
	memcpy(&p, made.data, sizeof(p));
	t.netns = made.fds[NS];
	t.holds[0] = made.fds[TCP4];
	t.holds[1] = made.fds[TCP6];
	t.udp = made.fds[UDP];
	t.netns_cookie = p.cookie;
	t.port = p.port;
	t.port6 = p.port6;
	*ret = t;
	return 0;
}

static void cgroup_done(struct trial *t, int parent, int *fd, uint64_t id)
{
	if (*fd < 0)
		return;
	(void)!cgroup_wait_empty(*fd, SWEEP_MS);
	close(*fd);
	*fd = -1;
	/* One that cannot go stays marked, for the next round's sweep. */
	if (cgroup_remove(parent, TRIAL_CGROUP) == 0)
		(void)!kernel_cgroup_del(t->k, id);
}

void trial_close(struct trial *t)
{
	int *fds[] = { &t->netns, &t->udp, &t->holds[0], &t->holds[1] };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	cgroup_done(t, t->cg->jobs, &t->cgroup, t->cgroup_id);
	cgroup_done(t, t->cg->proxies, &t->caged, t->caged_id);
	(void)!kernel_job_forget(t->k, TRIAL_JOB);
}

/* ---- acts ---- */

enum what { CONNECT, SEND, BIND, PING, JOIN };

struct act {
	enum what what;
	int family;
};

static const char *const whats[] = { "connect()", "sendto()", "bind()", "socket() for ICMP",
				     "setsockopt() for a group" };

struct acts {
	const struct trial *t;
	const struct act *list;
	size_t n;
};

/* A raw one, with CAP_NET_RAW; else a ping socket, where the namespace lets the group have one. */
static int icmp_socket(int family)
{
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);

	if (fd >= 0 || errno != EPERM)
		return fd;
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (fd < 0)
		errno = EPERM;
	return fd;
}

/* A group of the loopback device, of which nobody hears. */
static int join(int fd, int family)
{
	const struct ip_mreqn four = { .imr_multiaddr.s_addr =
					       htonl(0xefffffed), /* 239.255.255.237 */
				       .imr_ifindex = 1 };
	const struct ipv6_mreq six = { .ipv6mr_multiaddr.s6_addr = { 0xff, 0x01, [15] = 0xed },
				       .ipv6mr_interface = 1 };

	return family == AF_INET
		       ? setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &four, sizeof(four))
		       : setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &six, sizeof(six));
}

static int act_do(const struct trial *t, const struct act *a)
{
	bool stream = a->what == CONNECT || a->what == BIND;
	uint16_t port = a->what == BIND ? KEPT_PORT : a->family == AF_INET6 ? t->port6 : t->port;
	cleanup_close int fd =
		a->what == PING
			? icmp_socket(a->family)
			: socket(a->family,
				 (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK,
				 0);
	const struct linger at_once = { .l_onoff = 1 };
	struct sockaddr_storage ss;
	socklen_t len = address(a->family, port, &ss);
	int r = 0;

	if (fd < 0)
		return -errno;
	/* A connection that was not refused ends with this task: what the kernel would repeat for
	 * it afterwards would be an unknown cgroup's. */
	if (stream && setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) < 0)
		return -errno;
	switch (a->what) {
	case CONNECT:
		r = connect(fd, (void *)&ss, len);
		break;
	case SEND:
		r = (int)sendto(fd, "x", 1, MSG_NOSIGNAL, (void *)&ss, len);
		break;
	case BIND:
		r = bind(fd, (void *)&ss, len);
		break;
	case PING:
		break;
	case JOIN:
		r = join(fd, a->family);
		break;
	}
	/* On its way is not refused. */
	return r < 0 && errno != EINPROGRESS ? -errno : 0;
}

static int acts_do(struct nstask *t, void *arg)
{
	const struct acts *a = arg;
	int32_t said[ACTS_MAX] = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < a->n; i++)
		said[i] = act_do(a->t, &a->list[i]);
	memcpy(t->data, said, a->n * sizeof(said[0]));
	return 0;
}

/* Every act by who is in no job, then by the canary in `cgroup`. */
static int acts_try(const struct trial *t, int cgroup, const struct act *list, size_t count,
		    char *why, size_t n)
{
	struct acts a = { t, list, count };
	struct nstask free_ones, caged;
	int32_t out[ACTS_MAX], in[ACTS_MAX];
	int r = nstask_run(t->cg->work, t->netns, acts_do, &a, &free_ones, why, n);

	if (r == 0)
		r = nstask_run(cgroup, t->netns, acts_do, &a, &caged, why, n);
	if (r < 0)
		return trial_fault(r);
	memcpy(out, free_ones.data, sizeof(out));
	memcpy(in, caged.data, sizeof(in));
	for (size_t i = 0; i < count; i++) {
		const char *what = whats[list[i].what];
		const char *six = list[i].family == AF_INET6 ? " (IPv6)" : "";

		if (list[i].family == AF_INET6 && !t->port6)
			continue; /* there is none on this host */
		if (out[i] < 0) {
			snprintf(why, n, "%s%s is refused outside jobs too (%s): nothing is proven",
				 what, six, strerror(-out[i]));
			return -EIO;
		}
		if (in[i] == 0) {
			snprintf(why, n, "%s%s of the canary was not refused", what, six);
			return -EPERM;
		}
		if (in[i] != -EPERM) {
			snprintf(why, n, "%s%s of the canary failed (%s), but not by the wall",
				 what, six, strerror(-in[i]));
			return -EIO;
		}
	}
	return 0;
}

/* Loopback of a namespace that is not served: refused at the door, let through by the last wall. */
int trial_turn(const struct trial *t, char *why, size_t n)
{
	static const struct act list[] = {
		{ CONNECT, AF_INET },
		{ CONNECT, AF_INET6 },
		{ SEND, AF_INET },
		{ SEND, AF_INET6 },
	};
	int r = kernel_cgroup_set(t->k, t->cgroup_id, TRIAL_JOB, EGRET_CG_READY | EGRET_CG_TRIAL);

	return r < 0 ? trial_fault(r) : acts_try(t, t->cgroup, list, ARRAY_SIZE(list), why, n);
}

int trial_sockets(const struct trial *t, char *why, size_t n)
{
	static const struct act list[] = {
		{ PING, AF_INET }, { BIND, AF_INET },  { BIND, AF_INET6 },
		{ JOIN, AF_INET }, { JOIN, AF_INET6 },
	};
	const struct egret_listener kept = { .tcp4_be = htons(KEPT_PORT),
					     .tcp6_be = htons(KEPT_PORT) };
	int r = kernel_listener_set(t->k, TRIAL_JOB, t->netns_cookie, &kept);

	if (r == 0)
		r = kernel_cgroup_set(t->k, t->cgroup_id, TRIAL_JOB,
				      EGRET_CG_READY | EGRET_CG_TRIAL);
	r = trial_fault(r);
	if (r == 0)
		r = acts_try(t, t->cgroup, list, ARRAY_SIZE(list), why, n);
	(void)!kernel_listener_del(t->k, TRIAL_JOB, t->netns_cookie);
	return r;
}

int trial_cage(const struct trial *t, char *why, size_t n)
{
	static const struct act list[] = {
		{ CONNECT, AF_INET }, { CONNECT, AF_INET6 }, { SEND, AF_INET }, { SEND, AF_INET6 },
		{ BIND, AF_INET },    { BIND, AF_INET6 },    { PING, AF_INET },
	};

	return acts_try(t, t->caged, list, ARRAY_SIZE(list), why, n);
}
