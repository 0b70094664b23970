/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P7 and P6 in the kernel: every refusal and dial is an event or counted as lost, never neither;
 * flows that nobody takes are pushed out by newer ones; and when the loader is killed, the programs
 * stand and refuse until another takes over.
 */
#include "kernel/harness.h"
#include <linux/bpf.h>
#include <sys/epoll.h>

/* A reader of the ring in the least form: the layout is the kernel's (BPF_MAP_TYPE_RINGBUF). */
struct reader {
	int fd;
	size_t page, size;
	volatile uint64_t *consumer;
	volatile uint64_t *producer;
	uint8_t *data;
};

static void reader_open(struct reader *r)
{
	r->page = (size_t)sysconf(_SC_PAGESIZE);
	r->size = 1 << 20;
	need(kernel_events_fd(W.k, &r->fd), "events fd");
	r->consumer = mmap(NULL, r->page, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	r->producer =
		mmap(NULL, r->page + 2 * r->size, PROT_READ, MAP_SHARED, r->fd, (off_t)r->page);
	assert_true(r->consumer != MAP_FAILED && r->producer != MAP_FAILED);
	r->data = (uint8_t *)(uintptr_t)r->producer + r->page;
}

static bool reader_next(struct reader *r, struct egret_event *ret)
{
	uint64_t at = *r->consumer, end = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
	uint32_t len;

	if (at >= end)
		return false;
	len = __atomic_load_n((uint32_t *)(void *)(r->data + (at & (r->size - 1))),
			      __ATOMIC_ACQUIRE);
	if (len & BPF_RINGBUF_BUSY_BIT)
		return false;
	len &= ~BPF_RINGBUF_DISCARD_BIT;
	assert_int_equal(len, sizeof(*ret));
	memcpy(ret, r->data + (at & (r->size - 1)) + 8, sizeof(*ret));
	__atomic_store_n(r->consumer, at + ((len + 8u + 7u) & ~7u), __ATOMIC_RELEASE);
	return true;
}

static struct reader R;

static int events_open(void **state)
{
	if (world_open(state))
		return -1;
	reader_open(&R);
	return 0;
}

static void drain(void)
{
	struct egret_event e;

	while (reader_next(&R, &e))
		;
}

static void test_refusal_is_an_event(void **state)
{
	struct dial d = { .ip = "169.254.169.254", .port = 80, .type = SOCK_STREAM };
	struct egret_event e;
	uint8_t want[16];
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	(void)state;

	drain();
	need(epoll_ctl(ep, EPOLL_CTL_ADD, R.fd, &ev), "epoll");
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), EPERM);
	assert_int_equal(epoll_wait(ep, &ev, 1, 1000), 1);
	close(ep);
	assert_true(reader_next(&R, &e));
	addr16(d.ip, want);
	assert_int_equal(e.size, sizeof(e));
	assert_int_equal(e.kind, EGRET_EV_REFUSED);
	assert_int_equal(e.reason, EGRET_R_LINK_LOCAL);
	assert_int_equal(e.record.job, JOB_A);
	assert_int_equal(e.record.cgroup, W.a);
	assert_memory_equal(e.record.addr, want, 16);
	assert_int_equal(e.record.port, 80);
	assert_int_equal(e.record.proto, IPPROTO_TCP);
	assert_int_equal(e.record.pid, said->pid);
	assert_string_equal(e.record.comm, comm());
	assert_false(reader_next(&R, &e));
	/* What is allowed is the proxy's to tell. */
	d.ip = "198.51.100.1";
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	assert_false(reader_next(&R, &e));
}

static void test_dial_is_an_event(void **state)
{
	struct dial d = { .ip = "198.51.100.1", .port = 443, .type = SOCK_STREAM };
	struct egret_event e;
	uint64_t id = 0;
	int fd = -1;
	(void)state;

	need(cgroup_make(W.cg.proxies, "proxy-1", &fd, &id), "cgroup");
	drain();
	task_run(fd, W.ns.netns, dial_fn, &d);
	assert_true(reader_next(&R, &e));
	assert_int_equal(e.kind, EGRET_EV_DIAL);
	assert_int_equal(e.reason, 0);
	assert_int_equal(e.record.job, 0);
	assert_int_equal(e.record.cgroup, id);
	assert_int_equal(e.record.port, 443);
	close(fd);
}

static int flood_fn(void *arg)
{
	unsigned n = *(unsigned *)arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of("198.51.100.1", 443, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	for (unsigned i = 0; i < n; i++)
		if (sendto(fd, "x", 1, 0, (void *)&ss, len) >= 0 || errno != EPERM)
			return EIO;
	return 0;
}

/* Nobody reads: the ring fills, every refusal still happens, and read + lost is what was made. */
static void test_losses_are_counted(void **state)
{
	unsigned n = slow() ? 12000 : 15000, got = 0; /* more than the ring holds */
	uint64_t lost0 = 0, lost1 = 0, was;
	struct egret_event e;
	int fd = -1;
	(void)state;

	drain();
	need(kernel_lost(W.k, &lost0), "lost");
	was = refused(EGRET_R_UDP);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, flood_fn, &n), 0);
	need(kernel_lost(W.k, &lost1), "lost");
	while (reader_next(&R, &e))
		got++;
	assert_int_equal(refused(EGRET_R_UDP) - was, n);
	assert_true(lost1 > lost0 && got > 5000);
	assert_int_equal(got + (lost1 - lost0), n);
	/* And goes on when there is room again. */
	n = 1;
	assert_int_equal(task_run(W.a_fd, W.ns.netns, flood_fn, &n), 0);
	assert_true(reader_next(&R, &e));
	need(kernel_lost_fd(W.k, &fd), "lost fd");
	close(fd);
}

/* More SYNs that nobody takes than egret_flows has room for. */
static int dead_fn(void *arg)
{
	struct sockaddr_storage ss, from;
	socklen_t len = sa_of("198.51.100.1", 443, &ss);
	int one = 1;

	(void)arg;
	alarm(80); /* an emulated machine makes some thousand a second */
	for (unsigned i = 0; i < 70000; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		char text[32];

		snprintf(text, sizeof(text), "127.0.1.%u", 1 + i / 20000);
		sa_of(text, 0, &from);
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(fd, (void *)&from, len) < 0)
			return errno;
		if (connect(fd, (void *)&ss, len) >= 0 || errno != ECONNREFUSED)
			return errno ? errno : EISCONN;
		close(fd);
	}
	return 0;
}

static void test_flows_do_not_pile_up(void **state)
{
	struct dial d = { .ip = "198.51.100.99", .port = 443, .type = SOCK_STREAM };
	struct egret_listener dead = W.ns.listener;
	struct egret_record rec = { 0 };
	(void)state;

	while (taken(W.ns.tcp4, &rec) != -EAGAIN)
		;
	dead.tcp4_be = htons(9);
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &dead), "set");
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dead_fn, NULL), 0);
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &W.ns.listener), "set");
	for (int i = 0; i < 50; i++) {
		assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
		need(taken(W.ns.tcp4, &rec), "no record");
		assert_int_equal(rec.addr[15], 99);
	}
}

/* The proxy's descriptor of egret_accepted reads only. */
static void test_records_are_read_only(void **state)
{
	struct egret_record rec = { 0 };
	int s = socket(AF_INET, SOCK_STREAM, 0);
	union bpf_attr a;
	(void)state;

	memset(&a, 0, sizeof(a));
	a.map_fd = (uint32_t)W.accepted;
	a.key = (uintptr_t)&s;
	a.value = (uintptr_t)&rec;
	assert_true(syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &a, sizeof(a)) < 0);
	assert_int_equal(errno, EPERM);
	assert_int_equal(kernel_record(W.accepted, s, &rec), -ENOENT);
	close(s);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_refusal_is_an_event),
		cmocka_unit_test(test_dial_is_an_event),
		cmocka_unit_test(test_losses_are_counted),
		cmocka_unit_test(test_flows_do_not_pile_up),
		cmocka_unit_test(test_records_are_read_only),
	};

	return cmocka_run_group_tests(all, events_open, world_close);
}

int main(void)
{
	return kept(tests);
}
