/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of acts at the link of one container of the town: each is done without the wall, where it
 * must be seen at the stranger's door or on the host's bridge, and then with it. For tc.c and
 * tc_place.c.
 */
#ifndef EGRET_TESTS_KERNEL_ROWS_H
#define EGRET_TESTS_KERNEL_ROWS_H

#include "kernel/town.h"
#include "kernel/frames.h"
#include <bpf/libbpf.h>

#define MARK 4242 /* the port of the frame that must arrive */
#define PATIENCE_MS 3000

static int door[2]; /* taps: the stranger's eth0, the host's br0 */
static uint8_t mac[HOUSES][6];
static unsigned dev; /* A1's eth0 */

static unsigned told;
static struct egret_event last;

static int on_event(void *owner, void *p, size_t n)
{
	(void)owner;
	assert_int_equal(n, sizeof(last));
	memcpy(&last, p, sizeof(last));
	told += last.kind == EGRET_EV_REFUSED && last.reason == EGRET_R_LINK;
	return 0;
}

static unsigned events(void)
{
	static struct ring_buffer *rb;
	int fd;

	if (!rb) {
		need(kernel_events_fd(W.k, &fd), "events");
		rb = ring_buffer__new(fd, on_event, NULL, NULL);
		assert_non_null(rb);
	}
	told = 0;
	assert_true(ring_buffer__consume(rb) >= 0);
	return told;
}

static int tap_open(int house, const char *name)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int fd;

	walk_to(house);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
	ll.sll_ifindex = (int)if_nametoindex(name);
	need(fd < 0 || bind(fd, (void *)&ll, sizeof(ll)) < 0 ? -errno : 0, "tap");
	walk_to(HOUSES);
	return fd;
}

/* What is looked for, an ethertype or a whole frame: the kernel says other things too, in its own
 * time. */
static int only;
static uint8_t exact[FRAME_ROOM];
static size_t exact_n;

static bool is_sought(const uint8_t *b, size_t n)
{
	if (exact_n)
		return n == exact_n && !memcmp(b, exact, n);
	return !only || (b[12] << 8 | b[13]) == only;
}

/* Frames of A1 at the doors since the last look; those to MARK by themselves. */
static void seen(unsigned *other, unsigned *marks)
{
	uint8_t b[2048];
	ssize_t n;

	for (int i = 0; i < 2; i++)
		while ((n = recv(door[i], b, sizeof(b), 0)) > 0) {
			bool mark;

			if (n < 14 || memcmp(b + 6, mac[A1], 6) != 0)
				continue;
			mark = n >= 38 && b[14] == 0x45 && (b[36] << 8 | b[37]) == MARK;
			if (mark)
				++*marks;
			else
				*other += is_sought(b, (size_t)n);
		}
}

static struct frame good(int proto, const char *to, bool six)
{
	struct frame f = { .from = six ? H[A1].six : H[A1].four,
			   .to = to,
			   .proto = proto,
			   .sport = 1111,
			   .dport = 9 };

	/* Where the address says member, the frame says stranger: that is where it is seen. */
	memcpy(f.dest, mac[STRANGER], 6);
	memcpy(f.source, mac[A1], 6);
	return f;
}

struct row {
	const char *what;
	int (*way)(const struct row *r);
	struct frame f;
	void (*first)(void); /* before each try */
	int only;	     /* ethertype of what is looked for; 0: any */
	int cgroup;	     /* who does it; -1: of no job */
	bool silent;	     /* the kernel's own talk: counted only */
	bool again;	     /* the second try */
};

static int raw_way(const struct row *r)
{
	uint8_t p[FRAME_ROOM];

	return packet_send(SOCK_RAW, false, dev, p, frame_put(&r->f, p));
}

static int row_fn(void *arg)
{
	const struct row *r = arg;

	return r->way(r);
}

static int mark_fn(void *arg)
{
	struct frame f = good(IPPROTO_UDP, H[A2].four, false);
	uint8_t p[FRAME_ROOM];

	(void)arg;
	f.dport = MARK;
	return packet_send(SOCK_RAW, false, dev, p, frame_put(&f, p));
}

static void wall(bool on)
{
	walk_to(HOST);
	need(on ? kernel_link_attach(W.k, H[A1].link) : kernel_link_detach(W.k, H[A1].link),
	     "wall");
	assert_int_equal(kernel_link_stands(W.k, H[A1].link), on);
	walk_to(HOUSES);
}

/* Does the row, waits until something of it was seen or refused; how much came out. */
static int row_try(struct row *r, uint64_t was, unsigned *ret)
{
	unsigned other = 0, marks = 0;
	int e;

	only = r->only;
	seen(&other, &marks);
	other = 0;
	e = task_run(r->cgroup, H[A1].netns, row_fn, r);
	if (e)
		return e;
	/* Without this wall the refusals are other links'. */
	for (int i = 0; i < PATIENCE_MS && !other && (!r->again || refused(EGRET_R_LINK) == was);
	     i++) {
		seen(&other, &marks);
		usleep(1000);
	}
	need(task_run(-1, H[A1].netns, mark_fn, NULL), "mark");
	seen(&other, &marks);
	only = 0;
	*ret = other;
	for (int i = 0; i < PATIENCE_MS && !marks; i++) {
		seen(&other, &marks);
		usleep(1000);
	}
	if (!marks)
		return ENOMSG;
	if (!r->only)
		*ret = other;
	return 0;
}

UNUSED static void row_check(struct row *r)
{
	uint64_t was = refused(EGRET_R_LINK);
	unsigned out = 0;
	int e;

	wall(false);
	if (r->first)
		r->first();
	e = row_try(r, was, &out);
	if (e == EAFNOSUPPORT || e == EOPNOTSUPP || e == ENOPROTOOPT) {
		print_message("# skipped: %s: %s\n", r->what, strerror(e));
		wall(true);
		return;
	}
	if (e || !out) {
		print_error("%s: is not seen without the wall (%s)\n", r->what, strerror(e));
		fail();
	}
	wall(true);
	if (r->first)
		r->first();
	r->again = true;
	events();
	was = refused(EGRET_R_LINK);
	e = row_try(r, was, &out);
	if (e || out || refused(EGRET_R_LINK) == was) {
		print_error("%s: %u frames with the wall, %s\n", r->what, out, strerror(e));
		fail();
	}
	if ((events() == 0) != r->silent) {
		print_error("%s: %u events\n", r->what, told);
		fail();
	}
	if (!r->silent)
		assert_true(last.record.job == JOB_A);
}

static void sysctl_off(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "0", 1) != 1)
		print_message("# %s stays on\n", path);
	close(fd);
}

static int tc_open(void **state)
{
	char text[18];
	int r;

	town_by_engine = true;
	r = town_open(state);
	if (r)
		return r;
	for (int i = 0; i < HOUSES; i++)
		mac_of(i, mac[i], text);
	/* Both drop odd headers on their own. */
	ip(H[HOST].netns, "link set br0 type bridge mcast_snooping 0");
	walk_to(HOST);
	sysctl_off("/proc/sys/net/bridge/bridge-nf-call-iptables");
	sysctl_off("/proc/sys/net/bridge/bridge-nf-call-ip6tables");
	walk_to(A1);
	dev = if_nametoindex("eth0");
	walk_to(HOUSES);
	door[0] = tap_open(STRANGER, "eth0");
	door[1] = tap_open(HOST, "br0");
	return 0;
}

static int tc_close(void **state)
{
	close(door[0]);
	close(door[1]);
	return town_close(state);
}

#endif
