/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a job of processes and containers that are there already: their network namespaces
 * entered, their sockets ended, their processes moved. No kernel program is loaded; namespaces,
 * sockets and processes are the kernel's own.
 */
#include "harness.h"
#include "egretd/child.h"
#include "egretd/proctree.h"
#include "egretd/sockdiag.h"
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static char why[256];

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int slices_open(void **state)
{
	(void)state;
	need(cgroups_open(W.instance, &W.cg, why, sizeof(why)), why);
	need(cgroup_make(W.cg.jobs, "unit", &W.a_fd, &W.a), "cgroup");
	need(cgroup_make(W.a_fd, "j-1", &W.b_fd, &W.b), "cgroup");
	need(cgroup_make(W.cg.jobs, "other", &W.none_fd, &W.none), "cgroup");
	return 0;
}

static int slices_close(void **state)
{
	(void)state;
	close(W.a_fd);
	close(W.b_fd);
	close(W.none_fd);
	cgroups_close(&W.cg);
	return 0;
}

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

static void wait_said(int n)
{
	for (int i = 0; i < 5000 && ((volatile struct said *)said)->n < n; i++)
		usleep(1000);
	assert_true(said->n >= n);
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

/* --- process trees --- */

static int where_is(pid_t pid, const char *end)
{
	char path[64], text[4096];
	size_t n = strlen(end);
	FILE *f;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(text, sizeof(text), f)) {
		text[strcspn(text, "\n")] = 0;
		if (!strncmp(text, "0::", 3) && strlen(text) >= n &&
		    !strcmp(text + strlen(text) - n, end))
			found = true;
	}
	if (f)
		fclose(f);
	return found;
}

static unsigned population(int cgroup)
{
	int fd = openat(cgroup, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char room[65536];
	unsigned lines = 0;
	ssize_t n;

	while ((n = read(fd, room, sizeof(room))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += room[i] == '\n';
	close(fd);
	return lines;
}

/* Not cgroup.kill: some kernels kill what is cloned into such a cgroup ever after. */
static void end_all(pid_t root)
{
	const int from[] = { W.a_fd, W.b_fd };
	bool left = true;

	for (int round = 0; left && round < 5000; round++) {
		left = false;
		for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
			int fd = openat(from[i], "cgroup.procs", O_RDONLY | O_CLOEXEC);
			FILE *f = fdopen(fd, "r");
			int pid;

			while (fscanf(f, "%d", &pid) == 1) {
				kill(pid, SIGKILL);
				left = true;
			}
			fclose(f);
		}
		usleep(1000);
	}
	assert_false(left);
	waitpid(root, NULL, 0);
}

static int tree_fn(void *arg)
{
	int width = *(int *)arg;
	pid_t child;

	/* root -> middle -> width leaves; a zombie; one in a session of its own */
	child = fork();
	if (child == 0) {
		for (int i = 0; i < width; i++)
			if (fork() == 0) {
				pause();
				_exit(0);
			}
		if (fork() == 0)
			_exit(0);
		if (fork() == 0) {
			setsid();
			pause();
		}
		__atomic_add_fetch(&said->n, 1, __ATOMIC_SEQ_CST);
		pause();
		_exit(0);
	}
	pause();
	return 0;
}

static void test_move(void **state)
{
	int width = 5, beside = 1;
	unsigned moved = 0;
	pid_t root = task_start(W.a_fd, -1, tree_fn, &width), stranger;
	(void)state;

	wait_said(1);
	stranger = task_start(W.a_fd, -1, tree_fn, &beside);
	wait_said(1);
	assert_int_equal(proctree_move(W.a_fd, root, child_started(root) + 1, W.b_fd, &moved),
			 -ESRCH);
	assert_int_equal(proctree_move(W.none_fd, root, child_started(root), W.b_fd, &moved),
			 -EXDEV);
	assert_int_equal(population(W.b_fd), 0);
	need(proctree_move(W.a_fd, root, child_started(root), W.b_fd, &moved), "move");
	assert_int_equal(moved, 8);
	assert_int_equal(population(W.b_fd), 8);
	assert_true(where_is(root, "/unit/j-1"));
	assert_true(where_is(stranger, "/unit"));
	assert_int_equal(population(W.a_fd), 4);
	/* Again: nothing to do. */
	need(proctree_move(W.a_fd, root, child_started(root), W.b_fd, &moved), "move");
	assert_int_equal(moved, 0);
	assert_true(proctree_descends(stranger, getpid()));
	assert_true(proctree_descends(root, root));
	assert_false(proctree_descends(getpid(), root));
	assert_false(proctree_descends(2, 1));
	end_all(root);
	waitpid(stranger, NULL, 0);
	assert_int_equal(proctree_move(W.a_fd, root, 1, W.b_fd, &moved), -ESRCH);
}

/* Parents that fork all the time and children that live shortly: none is left behind that still
 * descends from the root. */
static int storm_fn(void *arg)
{
	(void)arg;
	for (int i = 0; i < 4; i++)
		if (fork() == 0)
			for (;;) {
				pid_t c = fork();

				if (c == 0) {
					usleep(500);
					_exit(0);
				}
				said->n++;
				while (waitpid(-1, NULL, WNOHANG) > 0)
					;
				usleep(200);
			}
	pause();
	return 0;
}

static void test_move_storm(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		pid_t root = task_start(W.a_fd, -1, storm_fn, NULL);
		unsigned moved = 0;

		wait_said(50);
		need(proctree_move(W.a_fd, root, child_started(root), W.b_fd, &moved), "move");
		assert_true(moved >= 5);
		/* Those of before end by themselves; what is born now is born there. */
		for (int i = 0; i < 2000 && population(W.a_fd); i++)
			usleep(1000);
		assert_int_equal(population(W.a_fd), 0);
		end_all(root);
	}
}

static void test_move_refused(void **state)
{
	int width = 0, threaded = -1, parent = -1, fd, r;
	pid_t root = task_start(W.a_fd, -1, tree_fn, &width);
	unsigned moved = 0;
	uint64_t id;
	(void)state;

	wait_said(1);
	need(cgroup_make(W.cg.jobs, "threads", &parent, &id), "cgroup");
	need(cgroup_make(parent, "t", &threaded, &id), "cgroup");
	fd = openat(threaded, "cgroup.type", O_WRONLY | O_CLOEXEC);
	assert_true(write(fd, "threaded", 8) == 8);
	close(fd);
	r = proctree_move(W.a_fd, root, child_started(root), threaded, &moved);
	assert_int_equal(r, -EOPNOTSUPP);
	assert_non_null(strstr(proctree_why(r), "threaded"));
	assert_true(where_is(root, "/unit"));
	/* Processes in cgroups below the one that is named are found too. */
	need(cgroup_make(W.a_fd, "deep", &fd, &id), "cgroup");
	need(cgroup_add(fd, root), "add");
	need(proctree_move(W.a_fd, root, child_started(root), W.b_fd, &moved), "move");
	assert_int_equal(moved, 3);
	assert_true(where_is(root, "/unit/j-1"));
	end_all(root);
	close(fd);
	close(threaded);
	close(parent);
}

/* Many: bounded time, nobody forgotten. */
static void test_move_many(void **state)
{
	int width = 3000;
	pid_t root = task_start(W.a_fd, -1, tree_fn, &width);
	unsigned moved = 0;
	uint64_t at;
	(void)state;

	for (int i = 0; i < 30000 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	at = now_us();
	need(proctree_move(W.a_fd, root, child_started(root), W.b_fd, &moved), "move");
	print_message("# %u processes moved in %llu ms\n", moved,
		      (unsigned long long)(now_us() - at) / 1000);
	assert_int_equal(moved, width + 3);
	end_all(root);
}

static int holder_fn(void *arg)
{
	int *fd = arg;

	(void)socket(AF_INET, SOCK_STREAM, 0);
	said->n = 1;
	pause();
	return *fd;
}

static void test_sockets(void **state)
{
	int shared = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t a = task_start(W.a_fd, -1, holder_fn, &shared), b;
	uint64_t *list = NULL;
	size_t n = 0, m = 0;
	struct stat st;
	(void)state;

	wait_said(1);
	assert_int_equal(fstat(shared, &st), 0);
	need(proctree_sockets(W.a_fd, -1, &list, &n), "sockets");
	assert_true(n >= 2);
	free(list);
	/* The other has the shared one too: only what is a's own is left. */
	b = task_start(W.none_fd, -1, holder_fn, &shared);
	wait_said(1);
	need(proctree_sockets(W.a_fd, W.none_fd, &list, &m), "sockets");
	assert_int_equal(m, 1);
	assert_true(list[0] != st.st_ino);
	free(list);
	need(proctree_sockets(W.b_fd, -1, &list, &m), "sockets");
	assert_int_equal(m, 0);
	kill(a, SIGKILL);
	kill(b, SIGKILL);
	waitpid(a, NULL, 0);
	waitpid(b, NULL, 0);
	close(shared);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_enter),		cmocka_unit_test(test_engine_dns),
		cmocka_unit_test(test_addresses),	cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_destroy),		cmocka_unit_test(test_destroy_named),
		cmocka_unit_test(test_destroy_refused), cmocka_unit_test(test_move),
		cmocka_unit_test(test_move_storm),	cmocka_unit_test(test_move_refused),
		cmocka_unit_test(test_move_many),	cmocka_unit_test(test_sockets),
	};

	return cmocka_run_group_tests(all, slices_open, slices_close);
}

int main(void)
{
	return kept(tests);
}
