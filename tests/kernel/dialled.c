/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream.netns: job, the kernel's side. A proxy's socket of the job's own namespace goes by the
 * job's link to where the cage let it connect to, and what is not of that socket does not, though
 * it says the same; and in that namespace the cage names nothing that is the namespace's own. Rows
 * as in tc.c: each is seen without the wall first.
 */
#include "kernel/rows.h"

#define PORT 4455
#define PUBLIC "93.184.216.50" /* of a member */

static int proxy_fd = -1, plain_fd = -1;
static uint64_t proxy_id, plain_id, host_cookie;

/* Of a connection that stays: shared with its holder. */
static struct {
	volatile int port; /* its own */
	volatile unsigned go, done;
} * live;

static int cookie_fn(void *arg)
{
	(void)arg;
	return netns_cookie_here((uint64_t *)(void *)said->text);
}

static struct kernel_dial named(const char *ip, unsigned prefix, uint32_t flags)
{
	struct kernel_dial d = {
		.prefix = (uint8_t)prefix, .port_lo = 1, .port_hi = 65535, .flags = flags
	};

	addr16(ip, d.addr);
	return d;
}

static int dialled_open(void **state)
{
	const struct kernel_dial list[] = {
		named("10.77.0.0", 112, 0),    named("10.77.0.53", 128, EGRET_CAGE_UDP),
		named("2001:db8:77::", 64, 0), named("127.0.0.1", 128, 0),
		named("::1", 128, 0),	       named("169.254.7.7", 128, 0)
	};
	uint8_t addr[16];
	int r = tc_open(state);

	if (r)
		return r;
	live = mmap(NULL, sizeof(*live), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(live != MAP_FAILED);
	need(cgroup_make(W.cg.proxies, "proxy-there", &proxy_fd, &proxy_id), "cgroup");
	need(cgroup_make(W.cg.proxies, "proxy-plain", &plain_fd, &plain_id), "cgroup");
	need(kernel_cage_set(W.k, proxy_id, list, ARRAY_SIZE(list)), "cage");
	need(kernel_cage_set(W.k, plain_id, list, ARRAY_SIZE(list)), "cage");
	need(task_run(-1, H[HOST].netns, cookie_fn, NULL), "cookie");
	memcpy(&host_cookie, said->text, sizeof(host_cookie));
	need(kernel_dialler_set(W.k, proxy_id, JOB_A, host_cookie), "dialler");
	addr16(PUBLIC, addr);
	need(kernel_member_set(W.k, JOB_A, addr), "member");
	links_a(EGRET_CG_DIALS);
	return 0;
}

static int dialled_close(void **state)
{
	close(proxy_fd);
	close(plain_fd);
	munmap((void *)live, sizeof(*live));
	return tc_close(state);
}

/* ---- a proxy ---- */

struct way {
	const char *ip;
	uint16_t port;
	int type, house; /* where the socket is made */
	bool hold;
};

/* "x" and "y" on a connection. */
static int exchange(int fd)
{
	char b;

	if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
		return errno;
	if (recv(fd, &b, 1, 0) != 1)
		return errno == EAGAIN ? ETIMEDOUT : errno;
	return b == 'y' ? 0 : EBADMSG;
}

static int way_fn(void *arg)
{
	const struct way *w = arg;
	struct timeval tv = { .tv_usec = 600000 };
	struct sockaddr_storage ss, own;
	socklen_t len = sa_of(w->ip, w->port, &ss), own_len = sizeof(own);
	int fd, r;

	need(setns(H[w->house].netns, CLONE_NEWNET), "there");
	fd = socket(ss.ss_family, w->type | SOCK_CLOEXEC, 0);
	need(setns(H[HOST].netns, CLONE_NEWNET), "back");
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(fd, (void *)&ss, len) < 0)
		return errno == EINPROGRESS ? ETIMEDOUT : errno;
	if (w->type == SOCK_DGRAM)
		return 0;
	r = exchange(fd);
	if (r || !w->hold)
		return r;
	need(getsockname(fd, (void *)&own, &own_len), "name");
	alarm(120);
	live->port = ntohs(((struct sockaddr_in *)&own)->sin_port);
	for (;;) {
		if (live->done != live->go && !exchange(fd))
			live->done = live->go;
		usleep(1000);
	}
}

static int dial_from(int cgroup, int house, const char *ip, uint16_t port, int type)
{
	struct way w = { .ip = ip, .port = port, .type = type, .house = house };

	return task_run(cgroup, H[HOST].netns, way_fn, &w);
}

static pid_t hold(const char *ip)
{
	static struct way w;
	pid_t pid;

	w = (struct way){ .ip = ip, .port = PORT, .type = SOCK_STREAM, .house = A1, .hold = true };
	live->port = 0;
	live->go = live->done = 0;
	pid = task_start(proxy_fd, H[HOST].netns, way_fn, &w);
	for (int i = 0; i < 5000 && !live->port; i++)
		usleep(1000);
	assert_true(live->port);
	return pid;
}

static bool lives(void)
{
	live->go++;
	for (int i = 0; i < 2000 && live->done != live->go; i++)
		usleep(1000);
	return live->done == live->go;
}

/* ---- what passes ---- */

static void test_passes(void **state)
{
	struct dial d = { .port = PORT, .type = SOCK_STREAM };
	const char *to[] = { H[STRANGER].four, H[STRANGER].six };
	(void)state;

	for (int i = 0; i < 2; i++) {
		pid_t pid;
		uint64_t was;

		d.ip = to[i];
		pid = serve(STRANGER, &d);
		need(dial_from(proxy_fd, A1, to[i], PORT, SOCK_STREAM), "by the job's link");
		need(dial_from(proxy_fd, HOST, to[i], PORT, SOCK_STREAM), "from the host");

		/* Each of the three must say so. */
		was = refused(EGRET_R_LINK);
		links_a(0);
		assert_int_equal(dial_from(proxy_fd, A1, to[i], PORT, SOCK_STREAM), ETIMEDOUT);
		links_a(EGRET_CG_DIALS);
		assert_true(refused(EGRET_R_LINK) > was);
		assert_int_equal(dial_from(plain_fd, A1, to[i], PORT, SOCK_STREAM), ETIMEDOUT);
		need(kernel_dialler_set(W.k, proxy_id, JOB_B, host_cookie), "dialler");
		assert_int_equal(dial_from(proxy_fd, A1, to[i], PORT, SOCK_STREAM), ETIMEDOUT);
		need(kernel_dialler_set(W.k, proxy_id, JOB_A, host_cookie), "dialler");
		need(dial_from(proxy_fd, A1, to[i], PORT, SOCK_STREAM), "again");
		stop(pid);
	}
}

/* A link that is not the job's any more stops what stands. */
static void test_taken_away(void **state)
{
	struct dial d = { .ip = H[STRANGER].four, .port = PORT, .type = SOCK_STREAM };
	pid_t server_pid = serve(STRANGER, &d), holder = hold(d.ip);
	(void)state;

	assert_true(lives());
	links_a(0);
	assert_false(lives());
	links_a(EGRET_CG_DIALS);
	for (int i = 0; i < 20 && live->done != live->go; i++)
		usleep(100000);
	stop(holder);
	stop(server_pid);
}

/* ---- what does not ---- */

static struct dial stranger_dial;

static int other_socket_way(const struct row *r)
{
	int e;

	(void)r;
	e = talk_fn(&stranger_dial);
	return e == ETIMEDOUT ? 0 : e;
}

static int dgram_way(const struct row *r)
{
	uint8_t p[FRAME_ROOM];

	return packet_send(SOCK_DGRAM, false, dev, p, frame_put(&r->f, p));
}

static int bypass_way(const struct row *r)
{
	uint8_t p[FRAME_ROOM];

	return packet_send(SOCK_RAW, true, dev, p, frame_put(&r->f, p));
}

static int xdp_way(const struct row *r)
{
	uint8_t p[FRAME_ROOM];

	return xdp_send(dev, p, frame_put(&r->f, p));
}

static void test_forged(void **state)
{
	int (*const ways[])(const struct row *) = { raw_way, dgram_way, bypass_way, xdp_way };
	static const struct {
		const char *what;
		uint8_t flags;
		int proto;
	} kinds[] = {
		{ "a segment of the proxy's connection", 0x18, IPPROTO_TCP },
		{ "its acknowledgement", 0x10, IPPROTO_TCP },
		{ "its first word", 0x02, IPPROTO_TCP },
		{ "its end", 0x11, IPPROTO_TCP },
		{ "a datagram of its ports", 0, IPPROTO_UDP },
	};
	(void)state;

	for (int six = 0; six < 2; six++) {
		struct dial d = { .ip = six ? H[STRANGER].six : H[STRANGER].four,
				  .port = PORT,
				  .type = SOCK_STREAM };
		pid_t server_pid = serve(STRANGER, &d), holder = hold(d.ip);

		/* Each kind by a packet socket, the first by each way. */
		for (size_t i = 0; i < ARRAY_SIZE(kinds) + ARRAY_SIZE(ways) - 1; i++) {
			size_t kind = i < ARRAY_SIZE(kinds) ? i : 0;
			struct row r = { .what = kinds[kind].what,
					 .way = ways[kind == i ? 0 : i - ARRAY_SIZE(kinds) + 1],
					 .cgroup = -1 };

			r.f = good(kinds[kind].proto, d.ip, six);
			r.f.flags = kinds[kind].flags;
			r.f.sport = (uint16_t)live->port;
			r.f.dport = PORT;
			/* That very frame: the connection has its own. */
			exact_n = frame_put(&r.f, exact);
			row_check(&r);
		}
		exact_n = 0;
		assert_true(lives());
		/* Another socket of the namespace, to the same place. */
		stranger_dial = d;
		row_check(&(struct row){ .what = "another socket to where the proxy dials",
					 .way = other_socket_way,
					 .only = six ? ETH_P_IPV6 : ETH_P_IP,
					 .cgroup = -1 });
		assert_true(lives());
		stop(holder);
		stop(server_pid);
	}
}

/* ---- the cage there ---- */

static void test_cage(void **state)
{
	static const struct {
		const char *ip;
		int type;
		bool on_host; /* what is named passes in the host's namespace */
		enum egret_reason reason;
	} rows[] = {
		{ "127.0.0.1", SOCK_STREAM, true, EGRET_R_CAGE_ADDRESS },
		{ "::ffff:127.0.0.1", SOCK_STREAM, true, EGRET_R_CAGE_ADDRESS },
		{ "::1", SOCK_STREAM, true, EGRET_R_CAGE_ADDRESS },
		{ "169.254.7.7", SOCK_STREAM, true, EGRET_R_CAGE_ADDRESS },
		{ "10.77.0.53", SOCK_DGRAM, true, EGRET_R_CAGE_UDP },
		{ "10.77.0.9", SOCK_DGRAM, false, EGRET_R_CAGE_UDP },
		{ PUBLIC, SOCK_STREAM, true, EGRET_R_HOST_ADDRESS },
		{ "0.0.0.0", SOCK_STREAM, false, EGRET_R_CAGE_ADDRESS },
		{ "169.254.169.254", SOCK_STREAM, false, EGRET_R_CAGE_ADDRESS },
		{ "192.168.1.1", SOCK_STREAM, false, EGRET_R_CAGE_ADDRESS },
		{ "fe80::1", SOCK_STREAM, false, EGRET_R_CAGE_ADDRESS },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t was;
		int r = dial_from(proxy_fd, HOST, rows[i].ip, 7000, rows[i].type);

		if ((r != EPERM) != rows[i].on_host) {
			print_error("%s on the host: %s\n", rows[i].ip, strerror(r));
			fail();
		}
		was = refused(rows[i].reason);
		r = dial_from(proxy_fd, A1, rows[i].ip, 7000, rows[i].type);
		if (r != EPERM || refused(rows[i].reason) != was + 1) {
			print_error("%s in the job's namespace: %s\n", rows[i].ip, strerror(r));
			fail();
		}
	}
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_passes),
		cmocka_unit_test(test_taken_away),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_cage),
	};

	return cmocka_run_group_tests(all, dialled_open, dialled_close);
}

int main(void)
{
	return kept(tests);
}
