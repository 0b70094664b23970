/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs that share a network namespace (the host's, with --net host; here a namespace of the test
 * plays it): no loopback, ports kept, and the last wall lets only sockets through that came by the
 * door.
 */
#include "kernel/harness.h"
#include <bpf/bpf.h>

static struct netns host, of_a, of_b;

static int shared_open(void **state)
{
	char why[256] = "";

	if (world_open(state))
		return -1;
	need(netns_open(W.cg.listen, NETNS_NEW, -1, &host, why, sizeof(why)), why);
	need(netns_open(W.cg.listen, NETNS_SHARED, host.netns, &of_a, why, sizeof(why)), why);
	need(netns_open(W.cg.listen, NETNS_SHARED, host.netns, &of_b, why, sizeof(why)), why);
	assert_true(of_a.cookie == host.cookie && of_b.cookie == host.cookie);
	need(kernel_listener_set(W.k, JOB_A, of_a.cookie, &of_a.listener), "set");
	need(kernel_listener_set(W.k, JOB_B, of_b.cookie, &of_b.listener), "set");
	need(kernel_cgroup_set(W.k, W.a, JOB_A, EGRET_CG_READY | EGRET_CG_HOST_NET), "set");
	need(kernel_cgroup_set(W.k, W.b, JOB_B, EGRET_CG_READY | EGRET_CG_HOST_NET), "set");
	return 0;
}

static int shared_close(void **state)
{
	netns_close(&host);
	netns_close(&of_a);
	netns_close(&of_b);
	return world_close(state);
}

/* Each job's connections come to its own listener, with its own record. */
static void test_each_to_its_own(void **state)
{
	struct dial d = { .ip = "198.51.100.1", .port = 443, .type = SOCK_STREAM };
	struct egret_record rec = { 0 };
	(void)state;

	assert_int_equal(task_run(W.a_fd, host.netns, dial_fn, &d), 0);
	need(taken(of_a.tcp4, &rec), "no record");
	assert_int_equal(rec.job, JOB_A);
	d.ip = "2001:db8::1";
	assert_int_equal(task_run(W.b_fd, host.netns, dial_fn, &d), 0);
	need(taken(of_b.tcp6, &rec), "no record");
	assert_int_equal(rec.job, JOB_B);
	assert_int_equal(taken(of_a.tcp4, &rec), -EAGAIN);
	d = (struct dial){ .ip = "127.0.0.1", .port = 53, .type = SOCK_STREAM };
	assert_int_equal(task_run(W.a_fd, host.netns, dial_fn, &d), 0);
	need(taken(of_a.dns_tcp4, &rec), "no record");
	assert_int_equal(rec.flags, EGRET_REC_REDIRECTED | EGRET_REC_DNS);
}

static void test_loopback_closed(void **state)
{
	const char *ips[] = { "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1" };
	const uint16_t ports[] = { 80, ntohs(of_a.listener.tcp4_be), ntohs(of_b.listener.tcp4_be) };
	uint64_t was = refused(EGRET_R_LOOPBACK);
	unsigned n = 0;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(ips); i++)
		for (size_t p = 0; p < ARRAY_SIZE(ports); p++)
			for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++, n++) {
				struct dial d = { .ip = ips[i], .port = ports[p], .type = type };

				assert_int_equal(task_run(W.a_fd, host.netns, dial_fn, &d), EPERM);
			}
	assert_int_equal(refused(EGRET_R_LOOPBACK), was + n);
}

static int bind_fn(void *arg)
{
	struct dial *d = arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	int fd = socket(ss.ss_family, d->type, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	return bind(fd, (void *)&ss, len) < 0 ? errno : 0;
}

/* P6: nobody listens any more, and still no job can take the port and catch another's connections.
 */
static void test_ports_are_kept(void **state)
{
	struct netns gone;
	struct dial d = { .ip = "127.0.0.1", .type = SOCK_STREAM };
	char why[256] = "";
	(void)state;

	need(netns_open(W.cg.listen, NETNS_SHARED, host.netns, &gone, why, sizeof(why)), why);
	need(kernel_listener_set(W.k, 303, gone.cookie, &gone.listener), "set");
	netns_close(&gone);
	d.port = ntohs(gone.listener.tcp4_be);
	assert_int_equal(task_run(W.a_fd, host.netns, bind_fn, &d), EPERM);
	d.ip = "::";
	assert_int_equal(task_run(W.b_fd, host.netns, bind_fn, &d), EPERM);
	need(kernel_listener_del(W.k, 303, gone.cookie), "del");
	assert_int_equal(task_run(W.b_fd, host.netns, bind_fn, &d), 0);
	/* Ports are outside the range from which others are given. */
	assert_false(ntohs(of_a.listener.tcp4_be) >= 32768 &&
		     ntohs(of_a.listener.tcp4_be) <= 60999);
}

/* A service of the job: what strangers send does not come in. */
static int serve_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of("127.0.0.1", 7777, &ss);
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct pollfd p = { .fd = s, .events = POLLIN };

	(void)arg;
	if (bind(s, (void *)&ss, len) < 0)
		return errno;
	said->n = 1;
	return poll(&p, 1, 300) == 0 ? 0 : EISCONN;
}

static void test_inbound(void **state)
{
	uint64_t was = refused(EGRET_R_INBOUND);
	struct sockaddr_storage ss;
	socklen_t len = sa_of("127.0.0.1", 7777, &ss);
	pid_t server = task_start(W.a_fd, host.netns, serve_fn, NULL), c;
	(void)state;

	for (int i = 0; i < 500 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	c = fork();
	if (c == 0) {
		if (setns(host.netns, CLONE_NEWNET) < 0)
			_exit(1);
		sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void *)&ss, len);
		_exit(0);
	}
	waitpid(c, NULL, 0);
	assert_int_equal(task_wait(server), 0);
	assert_true(refused(EGRET_R_INBOUND) > was);
}

/* Sockets in the shared namespace of somebody who is in no job. */
static int stranger(int type, const char *ip, uint16_t port_be)
{
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(ip, ntohs(port_be), &ss);

	need(setns(host.netns, CLONE_NEWNET) < 0 ? errno : 0, "enter");
	fd = socket(ss.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	need(bind(fd, (void *)&ss, len) < 0 ? errno : 0, "bind");
	if (type == SOCK_STREAM)
		need(listen(fd, 8) < 0 ? errno : 0, "listen");
	need(setns(here, CLONE_NEWNET) < 0 ? errno : 0, "back");
	close(here);
	return fd;
}

/* Connects, or sends a datagram; with little patience. */
static int knock_fn(void *arg)
{
	struct dial *d = arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	int fd = socket(ss.ss_family, d->type, 0);
	struct timeval tv = { .tv_usec = 400000 };

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (void *)&ss, len) < 0)
		return errno;
	return send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

static bool comes(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;
	int one;

	if (poll(&p, 1, 200) != 1)
		return false;
	one = accept(fd, NULL, NULL);
	if (one >= 0)
		close(one);
	else
		(void)!recv(fd, &c, 1, MSG_DONTWAIT);
	return true;
}

/* P6: all that held the listeners is dead, and who is in no job, and so may, has their ports: what
 * is turned there does not come to him. */
static void test_captured(void **state)
{
	const struct {
		int type;
		bool dns;
		const char *at, *to;
		int r; /* a datagram is refused, a connection's first packet is dropped */
	} rows[] = {
		{ SOCK_STREAM, false, "127.0.0.1", "198.51.100.1", EINPROGRESS },
		{ SOCK_STREAM, false, "::1", "2001:db8::1", EINPROGRESS },
		{ SOCK_STREAM, true, "127.0.0.1", "198.51.100.1", EINPROGRESS },
		{ SOCK_DGRAM, true, "127.0.0.1", "198.51.100.1", EPERM },
		{ SOCK_DGRAM, true, "::1", "2001:db8::1", EPERM },
	};
	struct netns gone;
	char why[256] = "";
	(void)state;

	need(netns_open(W.cg.listen, NETNS_SHARED, host.netns, &gone, why, sizeof(why)), why);
	need(kernel_listener_set(W.k, JOB_A, gone.cookie, &gone.listener), "set");
	netns_close(&gone);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint16_t port_be = rows[i].dns ? gone.listener.dns4_be : gone.listener.tcp4_be;
		struct dial d = { .ip = rows[i].at, .port = ntohs(port_be), .type = rows[i].type };
		uint64_t was;
		int fd;

		/* Nobody there: the kernel's own refusal. */
		d.ip = rows[i].to;
		d.port = rows[i].dns ? 53 : 443;
		if (rows[i].type == SOCK_STREAM)
			assert_int_equal(task_run(W.a_fd, host.netns, knock_fn, &d), ECONNREFUSED);
		fd = stranger(rows[i].type, rows[i].at, port_be);
		was = refused(EGRET_R_CAPTURED);
		assert_int_equal(task_run(W.a_fd, host.netns, knock_fn, &d), rows[i].r);
		assert_false(comes(fd));
		assert_true(refused(EGRET_R_CAPTURED) > was);
		/* That he can be reached. */
		d.ip = rows[i].at;
		d.port = ntohs(port_be);
		assert_int_equal(task_run(-1, host.netns, knock_fn, &d), 0);
		assert_true(comes(fd));
		close(fd);
	}
	need(kernel_listener_del(W.k, JOB_A, gone.cookie), "del");
	need(kernel_listener_set(W.k, JOB_A, of_a.cookie, &of_a.listener), "set");
}

/* A socket of the job that asks when it is told to, or a new one each time: shared with its task.
 */
static struct {
	volatile unsigned ask, done;
	volatile int r;
} * line;

static int asker_fn(void *arg)
{
	struct dial *d = arg;
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	int fd = socket(ss.ss_family, d->type, 0);

	alarm(120);
	if (d->type == SOCK_DGRAM && connect(fd, (void *)&ss, len) < 0)
		return errno;
	for (;;) {
		while (line->ask == line->done)
			usleep(200);
		line->r = d->type == SOCK_STREAM     ? knock_fn(d)
			  : send(fd, "x", 1, 0) == 1 ? 0
						     : errno;
		line->done = line->ask;
	}
}

static int asks(void)
{
	line->ask++;
	for (int i = 0; i < 100000 && line->done != line->ask; i++)
		usleep(200);
	assert_int_equal(line->done, line->ask);
	return line->r;
}

static int pinned(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d/%s", W.instance, EGRET_ABI, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	return fd;
}

static bool is_heard(const struct netns *ns, int type, bool six)
{
	bool tcp = type == SOCK_STREAM;
	struct egret_heard_key key = { .netns = ns->cookie,
				       .port = ntohs(tcp ? ns->listener.tcp4_be
							 : ns->listener.dns4_be),
				       .six = six,
				       .proto = tcp ? IPPROTO_TCP : IPPROTO_UDP };
	int fd = pinned("egret_heard"), r;
	uint64_t word = 0;

	r = bpf_map_lookup_elem(fd, &key, &word);
	close(fd);
	return r == 0 && word;
}

/* The resolver or listener, which a process holds that is killed in a moment, was found by then.
 * What the stranger at its port then gets of two askers, one of which asked before. */
static bool warm_captured(int type, bool six, int *ret_warm, int *ret_new)
{
	struct dial d = { .ip = six ? "2001:db8::1" : "198.51.100.1",
			  .port = type == SOCK_DGRAM ? 53 : 443,
			  .type = type };
	const char *at = six ? "::1" : "127.0.0.1";
	struct netns gone;
	char why[256] = "";
	pid_t holder, asker;
	bool got;
	int fd;

	need(netns_open(W.cg.listen, NETNS_SHARED, host.netns, &gone, why, sizeof(why)), why);
	need(kernel_listener_set(W.k, JOB_A, gone.cookie, &gone.listener), "set");
	holder = fork();
	if (holder == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	netns_close(&gone);
	line->ask = line->done = 0;
	asker = task_start(W.a_fd, host.netns, asker_fn, &d);
	assert_false(is_heard(&gone, type, six));
	need(asks(), "asked");
	assert_true(is_heard(&gone, type, six));
	need(asks(), "asked again");
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
	fd = stranger(type, at, type == SOCK_DGRAM ? gone.listener.dns4_be : gone.listener.tcp4_be);
	*ret_warm = asks();
	*ret_new = task_run(W.a_fd, host.netns, knock_fn, &d);
	got = comes(fd);
	close(fd);
	kill(asker, SIGKILL);
	waitpid(asker, NULL, 0);
	need(kernel_listener_del(W.k, JOB_A, gone.cookie), "del");
	return got;
}

static void told(void *owner, const char *what, const char *happened, int err)
{
	(void)owner, (void)what, (void)happened;
	need(err, what);
}

/* What was found a moment ago counts no more when its last holder is dead: shown by what the
 * stranger gets where the kernel does not tell of that end. */
static void test_captured_warm(void **state)
{
	int link = pinned("link_egret_listener_end"), warm, new;
	bool got[2] = { false, false };
	(void)state;

	line = mmap(NULL, sizeof(*line), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(line != MAP_FAILED);
	for (int i = 0; i < (slow() ? 4 : 12); i++) {
		int type = i % 4 < 2 ? SOCK_DGRAM : SOCK_STREAM;
		int refusal = type == SOCK_DGRAM ? EPERM : EINPROGRESS;
		uint64_t was = refused(EGRET_R_CAPTURED);

		assert_false(warm_captured(type, i % 2, &warm, &new));
		assert_int_equal(warm, refusal);
		assert_int_equal(new, refusal);
		assert_true(refused(EGRET_R_CAPTURED) >= was + 2);
	}
	need(bpf_link_detach(link), "detach");
	close(link);
	/* For a second: under load it may be over. */
	for (int i = 0; i < 40 && !(got[0] && got[1]); i++)
		if (!got[i % 2])
			got[i % 2] = warm_captured(i % 2 ? SOCK_STREAM : SOCK_DGRAM, i / 2 % 2,
						   &warm, &new);
	assert_true(got[0] && got[1]);
	need(kernel_links_check(W.k, told, NULL), "put back");
	assert_false(warm_captured(SOCK_DGRAM, false, &warm, &new));
	assert_int_equal(warm, EPERM);
	need(kernel_listener_set(W.k, JOB_A, of_a.cookie, &of_a.listener), "set");
	munmap((void *)line, sizeof(*line));
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_each_to_its_own), cmocka_unit_test(test_loopback_closed),
		cmocka_unit_test(test_ports_are_kept),	cmocka_unit_test(test_captured),
		cmocka_unit_test(test_captured_warm),	cmocka_unit_test(test_inbound),
	};

	return cmocka_run_group_tests(all, shared_open, shared_close);
}

int main(void)
{
	return kept(tests);
}
