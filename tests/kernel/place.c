/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a job of containers that are there already: their network namespaces entered, their
 * sockets ended. No kernel program is loaded; namespaces and sockets are the kernel's own.
 */
#include "slices.h"
#include "egretd/sockdiag.h"
#include <net/if.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* A command in a namespace; 0 when it says so. */
static int in_ns(int netns, const char *command)
{
	int st = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (netns >= 0 && setns(netns, CLONE_NEWNET) < 0)
			_exit(126);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	waitpid(pid, &st, 0);
	return st;
}

/* A namespace as an engine would have made it: by a command. */
static int bare_ns(const char *command)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), made;

	assert_true(fd >= 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	made = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	close(fd);
	if (command)
		assert_int_equal(in_ns(made, command), 0);
	return made;
}

/* Every state that a namespace may be in, entered twice: both times all listeners are there. */
static void test_enter(void **state)
{
	static const char *const made_by[] = {
		"true",
		"ip link set lo up",
		"echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; "
		"echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip link set lo up",
		"ip link set lo up; ip addr add " NETNS_ADDR4 "/32 dev lo",
		"ip link set lo up; ip addr add " NETNS_ADDR6 "/128 dev lo; "
		"echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6",
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(made_by); i++) {
		int fd = bare_ns(made_by[i]);
		struct netns ns, again;

		need(netns_open(W.cg.listen, NETNS_ENTER, fd, &ns, why, sizeof(why)), why);
		need(netns_open(W.cg.listen, NETNS_ENTER, fd, &again, why, sizeof(why)), why);
		assert_true(ns.cookie == again.cookie);
		assert_true(ns.tcp6 >= 0 && again.tcp6 >= 0 && ns.listener.tcp6_be);
		assert_true(ns.listener.dns6_be && again.listener.dns6_be);
		assert_true(ns.listener.tcp4_be != again.listener.tcp4_be);
		assert_true(ns.engine_dns >= 0 && ns.route >= 0);
		assert_int_equal(in_ns(fd, "ip -6 addr show dev lo | grep -q '::1/128'"), 0);
		netns_close(&again);
		netns_close(&ns);
		assert_int_equal(ns.engine_dns, -1);
		assert_int_equal(ns.route, -1);
		close(fd);
	}
}

/* What is sent to the engine's resolver arrives at 127.0.0.11 in that namespace; elsewhere there
 * is no such socket. */
static void test_engine_dns(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) }, from;
	int fd = bare_ns(NULL), sock, own, pair[2];
	socklen_t len = sizeof(from);
	struct netns ns, fresh;
	struct pollfd p;
	char got[8] = "";
	(void)state;

	need(netns_open(W.cg.listen, NETNS_ENTER, fd, &ns, why, sizeof(why)), why);
	own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setns(own, CLONE_NEWNET), 0);
	inet_pton(AF_INET, "127.0.0.11", &to.sin_addr);
	need(bind(sock, (void *)&to, sizeof(to)), "bind");
	assert_int_equal(send(ns.engine_dns, "who?", 4, 0), 4);
	pair[0] = (int)recvfrom(sock, got, sizeof(got), 0, (void *)&from, &len);
	assert_int_equal(pair[0], 4);
	assert_int_equal(sendto(sock, "you", 3, 0, (void *)&from, len), 3);
	p = (struct pollfd){ .fd = ns.engine_dns, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(recv(ns.engine_dns, got, sizeof(got), 0), 3);
	/* Non-blocking, and deaf for others. */
	assert_int_equal(recv(ns.engine_dns, got, sizeof(got), 0), -1);
	assert_int_equal(errno, EAGAIN);
	close(sock);
	netns_close(&ns);
	need(netns_open(W.cg.listen, NETNS_SHARED, fd, &fresh, why, sizeof(why)), why);
	assert_int_equal(fresh.engine_dns, -1);
	assert_int_equal(fresh.route, -1);
	netns_close(&fresh);
	close(own);
	close(fd);
}

static bool has_addr(int route, const char *ip, size_t *ret_n)
{
	uint8_t(*list)[16] = NULL, want[16];
	bool found = false;
	size_t n = 0;

	need(netns_addrs(route, &list, &n), "addresses");
	addr16(ip, want);
	for (size_t i = 0; i < n; i++)
		found |= memcmp(list[i], want, 16) == 0;
	free(list);
	*ret_n = n;
	return found;
}

static void test_addresses(void **state)
{
	int fd = bare_ns("ip link set lo up; ip link add v0 type veth peer name v1; "
			 "ip link set v0 up; ip link set v1 up; ip addr add 10.77.1.2/24 dev v0; "
			 "ip addr add 2001:db8::5/64 dev v0 nodad; "
			 "ip addr add 169.254.7.7/16 dev v0");
	struct pollfd p;
	struct netns ns;
	size_t n;
	(void)state;

	need(netns_open(W.cg.listen, NETNS_ENTER, fd, &ns, why, sizeof(why)), why);
	assert_true(has_addr(ns.route, "10.77.1.2", &n));
	assert_true(has_addr(ns.route, "2001:db8::5", &n));
	assert_int_equal(n, 2);
	p = (struct pollfd){ .fd = ns.route, .events = POLLIN };
	assert_int_equal(in_ns(fd, "ip addr add 198.51.100.77/32 dev v0"), 0);
	assert_int_equal(poll(&p, 1, 2000), 1);
	assert_true(has_addr(ns.route, "198.51.100.77", &n));
	assert_int_equal(n, 3);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(in_ns(fd, "ip addr del 198.51.100.77/32 dev v0; for i in $(seq 1 200); do "
				   "echo addr add 10.77.$i.1/32 dev v0; done | ip -batch -"),
			 0);
	assert_int_equal(poll(&p, 1, 2000), 1);
	assert_false(has_addr(ns.route, "198.51.100.77", &n));
	assert_int_equal(n, 202);
	/* More than a namespace may have: refused, and the socket still answers. */
	assert_int_equal(in_ns(fd,
			       "for i in $(seq 1 8); do for k in $(seq 1 130); do "
			       "echo addr add 10.77.$k.1$i/32 dev v0; done; done | ip -batch -"),
			 0);
	{
		uint8_t(*list)[16];

		assert_int_equal(netns_addrs(ns.route, &list, &n), -E2BIG);
	}
	assert_int_equal(in_ns(fd, "ip addr flush dev v0"), 0);
	assert_false(has_addr(ns.route, "10.77.1.2", &n));
	assert_int_equal(n, 0);
	netns_close(&ns);
	close(fd);
}

static void test_cookie(void **state)
{
	int fd = bare_ns(NULL), own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t a = 0, b = 0;
	struct netns ns;
	bool same = true;
	(void)state;

	need(netns_open(W.cg.listen, NETNS_ENTER, fd, &ns, why, sizeof(why)), why);
	need(netns_cookie(fd, &a, &same), "cookie");
	assert_true(a == ns.cookie && !same);
	need(netns_cookie(own, &b, &same), "cookie");
	assert_true(b != a && same);
	assert_int_equal(netns_cookie(null, &a, &same), -EINVAL);
	netns_close(&ns);
	close(null);
	close(own);
	close(fd);
}

/* Sockets of one cgroup, all kinds, with peers in another. */
enum { LISTEN, CONN, LISTEN6, UDP, MLISTEN, MCONN, NSOCKS };
struct socks {
	int port[NSOCKS];
	ino_t inode[NSOCKS];
	volatile int go;
	int result[NSOCKS];
};
static struct socks *socks;

static int sock_at(int family, int type, int proto, int *port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of(family == AF_INET ? "127.0.0.1" : "::1", 0, &ss);
	int fd = socket(family, type | SOCK_CLOEXEC, proto);

	if (fd < 0 || bind(fd, (void *)&ss, len) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 8) < 0) || getsockname(fd, (void *)&ss, &len) < 0)
		return -1;
	*port = ntohs(((struct sockaddr_in *)&ss)->sin_port);
	return fd;
}

static int error_of(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int err = 0;
	socklen_t len = sizeof(err);

	if (poll(&p, 1, 100) <= 0)
		return 0;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err ? err : p.revents & (POLLERR | POLLHUP) ? EPIPE : 0;
}

static int socks_fn(void *arg)
{
	struct sockaddr_storage ss;
	struct stat st;
	int fd[NSOCKS];
	socklen_t len;
	(void)arg;

	fd[LISTEN] = sock_at(AF_INET, SOCK_STREAM, 0, &socks->port[LISTEN]);
	fd[LISTEN6] = sock_at(AF_INET6, SOCK_STREAM, 0, &socks->port[LISTEN6]);
	fd[UDP] = sock_at(AF_INET, SOCK_DGRAM, 0, &socks->port[UDP]);
	fd[MLISTEN] = sock_at(AF_INET, SOCK_STREAM, IPPROTO_MPTCP, &socks->port[MLISTEN]);
	fd[CONN] = socket(AF_INET, SOCK_STREAM, 0);
	len = sa_of("127.0.0.1", (uint16_t)socks->port[LISTEN], &ss);
	if (connect(fd[CONN], (void *)&ss, len) < 0)
		return errno;
	fd[MCONN] = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	if (fd[MLISTEN] >= 0) {
		len = sa_of("127.0.0.1", (uint16_t)socks->port[MLISTEN], &ss);
		if (connect(fd[MCONN], (void *)&ss, len) < 0 || accept(fd[MLISTEN], NULL, NULL) < 0)
			return errno;
	}
	for (int i = 0; i < NSOCKS; i++)
		if (fd[i] >= 0 && fstat(fd[i], &st) == 0)
			socks->inode[i] = st.st_ino;
	said->n = 1;
	while (!socks->go)
		usleep(1000);
	for (int i = 0; i < NSOCKS; i++)
		socks->result[i] = fd[i] < 0 ? 0 : error_of(fd[i]);
	said->n = 2;
	pause();
	return 0;
}

static pid_t socks_start(int netns)
{
	pid_t pid;

	memset(socks, 0, sizeof(*socks));
	pid = task_start(W.a_fd, netns, socks_fn, NULL);
	wait_said(1);
	return pid;
}

static void socks_stop(pid_t pid)
{
	socks->go = 1;
	wait_said(2);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_destroy(void **state)
{
	int fd = bare_ns("ip link set lo up");
	uint64_t own = 0;
	unsigned count = 0;
	pid_t pid;
	(void)state;

	socks = mmap(NULL, sizeof(*socks), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	for (int ns = -1; ns <= fd; ns += fd + 1) {
		pid = socks_start(ns);
		/* Another cgroup's, and one above: nothing. */
		need(sockdiag_destroy(ns, W.none, NULL, 0, &count, why, sizeof(why)), why);
		assert_int_equal(count, 0);
		need(cgroup_id(W.cg.jobs, &own), "id");
		need(sockdiag_destroy(ns, own, NULL, 0, &count, why, sizeof(why)), why);
		assert_int_equal(count, 0);
		need(sockdiag_destroy(ns, W.a, NULL, 0, &count, why, sizeof(why)), why);
		assert_in_range(count, 3, 32);
		socks_stop(pid);
		for (int i = 0; i < NSOCKS; i++)
			if (i != MLISTEN && (socks->port[i] || i == CONN))
				assert_true(socks->result[i] != 0);
	}
	/* The other namespace's are not touched. */
	pid = socks_start(-1);
	need(sockdiag_destroy(fd, W.a, NULL, 0, &count, why, sizeof(why)), why);
	assert_int_equal(count, 0);
	socks_stop(pid);
	assert_int_equal(socks->result[CONN], 0);
	close(fd);
}

/* Only those that are named; an MPTCP socket is known by its inode though its subflow has none. */
static void test_destroy_named(void **state)
{
	static const int which[] = { CONN, UDP, LISTEN6, MCONN };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(which); i++) {
		pid_t pid = socks_start(-1);
		uint64_t inode = socks->inode[which[i]];
		unsigned count = 0;

		need(sockdiag_destroy(-1, W.a, &inode, 1, &count, why, sizeof(why)), why);
		socks_stop(pid);
		if (!inode)
			continue;
		assert_in_range(count, 1, 2);
		/* Without a subflow an MPTCP connection carries nothing, but waits for a new one.
		 */
		if (which[i] != MCONN)
			assert_true(socks->result[which[i]] != 0);
		assert_int_equal(socks->result[LISTEN], 0);
	}
}

static int no_admin_fn(void *arg)
{
	uint64_t cgroup = *(uint64_t *)arg;
	unsigned count = 0;
	int r;

	if (setresuid(65534, 65534, 65534) < 0)
		return errno;
	r = sockdiag_destroy(-1, cgroup, NULL, 0, &count, said->text, sizeof(said->text));
	return -r;
}

static void test_destroy_refused(void **state)
{
	pid_t pid = socks_start(-1), c;
	(void)state;

	c = fork();
	if (c == 0)
		_exit(no_admin_fn(&W.a));
	waitpid(c, &(int){ 0 }, 0);
	assert_non_null(strstr(said->text, "CAP_NET_ADMIN"));
	socks_stop(pid);
	assert_int_equal(socks->result[CONN], 0);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_enter),		cmocka_unit_test(test_engine_dns),
		cmocka_unit_test(test_addresses),	cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_destroy),		cmocka_unit_test(test_destroy_named),
		cmocka_unit_test(test_destroy_refused),
	};

	return cmocka_run_group_tests(all, slices_open, slices_close);
}

int main(void)
{
	return kept(tests);
}
