/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last wall, tried both ways (trial.h). Packets are judged by the cgroup of the task that made
 * the socket: the canary makes two and hands them out, and the trial sends and receives with them
 * from outside. Out: a datagram to a member passes, the same after the member is gone does not. In:
 * one that comes before anybody may speak to the canary is never seen, the next one is.
 */
#include "egretd/trial.h"
#include "egretd/netns.h"
#include "egretd/nstask.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ARRIVES_MS 1000

enum slot { OUT, IN };

static socklen_t member(uint16_t port, struct sockaddr_in *to)
{
	*to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	if (inet_pton(AF_INET, NETNS_ADDR4, &to->sin_addr) != 1)
		die("%s is no address", NETNS_ADDR4);
	return sizeof(*to);
}

static int sockets_make(struct nstask *s, void *arg)
{
	const struct trial *t = arg;
	struct sockaddr_in sa;
	socklen_t len = member(t->port, &sa);
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = OUT; i <= IN; i++) {
		s->fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (s->fds[i] < 0)
			return nstask_fail(s, -errno, "the canary gets no UDP socket");
	}
	if (connect(s->fds[OUT], (void *)&sa, len) < 0)
		return nstask_fail(s, -errno, "the canary cannot connect to a member");
	len = member(0, &sa);
	if (bind(s->fds[IN], (void *)&sa, len) < 0 ||
	    getsockname(s->fds[IN], (void *)&sa, &len) < 0)
		return nstask_fail(s, -errno, "the canary cannot bind");
	memcpy(s->data, &sa, sizeof(sa));
	return 0;
}

/* One byte that is this trial's ("x" is what the others send), or 0 when none comes. */
static char received(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c = 'x';

	while (c == 'x')
		if (poll(&p, 1, ARRIVES_MS) <= 0 || recv(fd, &c, 1, 0) != 1)
			return 0;
	return c;
}

static int leaves(const struct trial *t, int out, const uint8_t addr[16], char *why, size_t n)
{
	int r;

	if (send(out, "a", 1, MSG_NOSIGNAL) != 1 || received(t->udp) != 'a') {
		snprintf(why, n, "no datagram reaches a member: nothing is proven");
		return -EIO;
	}
	r = kernel_member_del(t->k, TRIAL_JOB, addr);
	if (r < 0)
		return trial_fault(r);
	if (send(out, "b", 1, MSG_NOSIGNAL) == 1) {
		snprintf(why, n, "a packet of the canary was let out");
		return -EPERM;
	}
	if (errno != EPERM) {
		snprintf(why, n, "a packet of the canary failed (%s), but not by the wall",
			 strerror(errno));
		return -EIO;
	}
	return 0;
}

static int comes(const struct trial *t, int in, const struct sockaddr_in *to, char *why, size_t n)
{
	struct sockaddr_in self;
	int r = 0;
	char got;

	(void)member(t->port, &self);
	if (sendto(t->udp, "c", 1, 0, (const void *)to, sizeof(*to)) != 1)
		r = -errno;
	/* A busy kernel delivers later, but what this CPU sent in its order: when the mark is there
	 * the one before it was judged. */
	if (r == 0 && (sendto(t->udp, "m", 1, 0, (void *)&self, sizeof(self)) != 1 ||
		       received(t->udp) != 'm'))
		r = -EIO;
	if (r == 0)
		r = kernel_cgroup_set(t->k, t->cgroup_id, TRIAL_JOB,
				      EGRET_CG_READY | EGRET_CG_HOST_NET | EGRET_CG_INBOUND |
					      EGRET_CG_TRIAL);
	if (r == 0 && sendto(t->udp, "d", 1, 0, (const void *)to, sizeof(*to)) != 1)
		r = -errno;
	if (r < 0)
		return trial_fault(r);
	got = received(in);
	if (got == 'c') {
		snprintf(why, n, "a packet from outside reached the canary");
		return -EPERM;
	}
	if (got != 'd') {
		snprintf(why, n, "no packet reaches the canary where it may: nothing is proven");
		return -EIO;
	}
	return 0;
}

static int both_ways(const struct trial *t, const uint8_t addr[16], char *why, size_t n)
{
	/* A door only: nobody listens, and nothing is turned. */
	const struct egret_listener none = { .addr4 = { 127, 0, 0, 1 } };
	struct nstask made;
	struct sockaddr_in in;
	int r = kernel_listener_set(t->k, TRIAL_JOB, t->netns_cookie, &none);

	if (r == 0)
		r = kernel_member_set(t->k, TRIAL_JOB, addr);
	if (r == 0)
		r = kernel_cgroup_set(t->k, t->cgroup_id, TRIAL_JOB,
				      EGRET_CG_READY | EGRET_CG_HOST_NET | EGRET_CG_SERVICES |
					      EGRET_CG_TRIAL);
	if (r < 0)
		return trial_fault(r);
	r = nstask_run(t->cgroup, t->netns, sockets_make, (void *)t, &made, why, n);
	if (r < 0)
		return trial_fault(r);
	memcpy(&in, made.data, sizeof(in));
	r = leaves(t, made.fds[OUT], addr, why, n);
	if (r == 0)
		r = comes(t, made.fds[IN], &in, why, n);
	close(made.fds[OUT]);
	close(made.fds[IN]);
	return r;
}

int trial_packets(const struct trial *t, char *why, size_t n)
{
	uint8_t addr[16] = { [10] = 0xff, [11] = 0xff };
	struct sockaddr_in sa;
	int r;

	(void)member(0, &sa);
	memcpy(addr + 12, &sa.sin_addr, 4);
	r = both_ways(t, addr, why, n);
	(void)!kernel_member_del(t->k, TRIAL_JOB, addr);
	(void)!kernel_listener_del(t->k, TRIAL_JOB, t->netns_cookie);
	return r;
}
