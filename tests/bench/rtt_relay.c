// SPDX-License-Identifier: Apache-2.0
/*
 * A path of some length: two TUN devices in two network namespaces, and every packet that enters
 * one comes out of the other so many microseconds later, in order, none lost. Handshakes pay it
 * like data. For kernels without netem. Called by rtt.sh, as root.
 *
 *   rtt_relay NETNS_A NAME_A NETNS_B NAME_B MICROSECONDS     says "ready" when both devices are
 * there
 *
 * A real path takes no CPU from the two hosts, so this one takes little, and about the same however
 * its packets come: the devices take TCP's segments by the bunch, as network cards do, and while
 * something is on its way it looks once in TICK_NS. A packet is up to one tick late.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define PACKETS 4096 /* on their way each way */
#define PACKET (sizeof(struct virtio_net_hdr) + 65535)
#define NS 1000000000ull
#define TICK_NS 1000000

struct packet {
	uint64_t due;
	uint32_t n;
	uint8_t bytes[PACKET];
};

struct way {
	int from, to;
	struct packet *ring;
	uint32_t head, tail; /* head: the next that comes, tail: the next that leaves */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "rtt_relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int tun_in(const char *netns, const char *name)
{
	int ns = open(netns, O_RDONLY | O_CLOEXEC), fd;
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };

	if (ns < 0 || setns(ns, CLONE_NEWNET))
		fail(netns);
	close(ns);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4))
		fail(name);
	return fd;
}

/* Everything that waits at the way's entry; a full ring leaves it in the device's queue. */
static void take(struct way *w, uint64_t delay)
{
	while (w->head - w->tail < PACKETS) {
		struct packet *p = &w->ring[w->head % PACKETS];
		ssize_t n = read(w->from, p->bytes, sizeof(p->bytes));

		if (n <= 0)
			return;
		p->n = (uint32_t)n;
		p->due = now_ns() + delay;
		w->head++;
	}
}

/* What is due. */
static void give(struct way *w)
{
	while (w->tail != w->head) {
		struct packet *p = &w->ring[w->tail % PACKETS];

		if (p->due > now_ns())
			return;
		/* EIO: the device is down; it is as if a cable were out. */
		if (write(w->to, p->bytes, p->n) < 0 && errno != EIO && errno != EINVAL)
			fail("a packet could not be given on");
		w->tail++;
	}
}

int main(int argc, char **argv)
{
	struct way out, back;
	uint64_t delay;

	if (argc != 6) {
		fprintf(stderr, "usage: rtt_relay NETNS_A NAME_A NETNS_B NAME_B MICROSECONDS\n");
		return 2;
	}
	delay = strtoull(argv[5], NULL, 10) * 1000;
	out.from = back.to = tun_in(argv[1], argv[2]);
	out.to = back.from = tun_in(argv[3], argv[4]);
	out.ring = calloc(PACKETS, sizeof(*out.ring));
	back.ring = calloc(PACKETS, sizeof(*back.ring));
	if (!out.ring || !back.ring)
		fail("memory for packets");
	out.head = out.tail = back.head = back.tail = 0;
	prctl(PR_SET_TIMERSLACK, 1);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		const struct timespec tick = { .tv_nsec = TICK_NS };
		struct pollfd fds[2] = { { .fd = out.from, .events = POLLIN },
					 { .fd = back.from, .events = POLLIN } };

		if (out.head != out.tail || back.head != back.tail)
			nanosleep(&tick, NULL);
		else if (poll(fds, 2, -1) < 0 && errno != EINTR)
			fail("waiting");
		take(&out, delay);
		take(&back, delay);
		give(&out);
		give(&back);
	}
}
