/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A town for the tests of members: a bridge in a namespace that plays the host (10.77.0.1), two
 * containers of job A (10.77.0.2, .3), one of job B (.4) and a stranger (.9), each in a namespace
 * of its own; the containers' ones are made by a task in their cgroup, as a runtime does. IPv6 has
 * the same last numbers in 2001:db8:77::/64. The host watches the wire for what leaves a job. At
 * the links of job A stands egret_link, as at those of real containers; the wire is watched before
 * it.
 */
#ifndef EGRET_TESTS_KERNEL_TOWN_H
#define EGRET_TESTS_KERNEL_TOWN_H

#include "kernel/harness.h"
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>

#define BOTH (EGRET_CG_READY | EGRET_CG_SERVICES)

struct house {
	const char *four, *six;
	int cgroup;
	uint64_t id;
	int netns;
	uint32_t link;	 /* the host's side of eth0 */
	struct netns ns; /* listeners; containers only */
};

enum { A1, A2, B1, HOST, STRANGER, HOUSES };
static struct house H[HOUSES] = {
	[A1] = { .four = "10.77.0.2", .six = "2001:db8:77::2" },
	[A2] = { .four = "10.77.0.3", .six = "2001:db8:77::3" },
	[B1] = { .four = "10.77.0.4", .six = "2001:db8:77::4" },
	[HOST] = { .four = "10.77.0.1", .six = "2001:db8:77::1" },
	[STRANGER] = { .four = "10.77.0.9", .six = "2001:db8:77::9" },
};
static int wire = -1;
/* The namespaces are made by somebody outside the jobs' cgroups, as docker does: the last wall does
 * not see what the kernel says there. */
static bool town_by_engine;

/* What the servers tell: shared with them. */
static struct {
	volatile int ready;
	volatile int answer; /* errno of the last answer */
	volatile unsigned asked;
} * server;

static int ip_fn(void *arg)
{
	char line[256], *argv[24] = { (char *)"ip" }, *save = NULL;
	int n = 1, st = 0;
	pid_t pid;

	snprintf(line, sizeof(line), "%s", (char *)arg);
	for (char *w = strtok_r(line, " ", &save); w && n < 23; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	pid = fork();
	if (pid == 0) {
		execvp("ip", argv);
		_exit(127);
	}
	waitpid(pid, &st, 0);
	return WIFEXITED(st) ? WEXITSTATUS(st) : 1;
}

__attribute__((format(printf, 2, 3))) static void ip(int netns, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	need(task_run(-1, netns, ip_fn, line), line);
}

static int unshare_fn(void *arg)
{
	(void)arg;
	if (unshare(CLONE_NEWNET) < 0)
		return errno;
	said->n = 1;
	pause();
	return 0;
}

/* A namespace made by a task of this cgroup: the kernel's own sockets in it have that cgroup. */
static int netns_made_in(int cgroup)
{
	pid_t pid = task_start(cgroup, -1, unshare_fn, NULL);
	char path[64];
	int fd;

	for (int i = 0; i < 5000 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return fd;
}

static int wire_open(void)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), r = -1;

	if (setns(H[HOST].netns, CLONE_NEWNET) == 0) {
		wire = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			      htons(ETH_P_ALL));
		r = wire < 0 || bind(wire, (void *)&ll, sizeof(ll)) < 0 ? -1 : 0;
	}
	need(setns(here, CLONE_NEWNET), "back");
	close(here);
	return r;
}

static bool is_member_of_a(const uint8_t *addr, size_t n)
{
	for (int i = A1; i <= A2; i++) {
		uint8_t four[16], six[16];

		addr16(H[i].four, four);
		addr16(H[i].six, six);
		if (n == 4 ? !memcmp(addr, four + 12, 4) : !memcmp(addr, six, 16))
			return true;
	}
	return false;
}

/* Packets of TCP, UDP or with a routing header from a member of job A to anybody but one. The
 * kernel's resets have no socket and are not counted. */
UNUSED static unsigned leaked(void)
{
	unsigned n = 0;
	uint8_t b[2048];
	ssize_t got;

	usleep(30000);
	while ((got = recv(wire, b, sizeof(b), 0)) > 0) {
		if (got >= 40 && b[0] >> 4 == 4 && (b[9] == IPPROTO_TCP || b[9] == IPPROTO_UDP) &&
		    !(b[9] == IPPROTO_TCP && (b[(b[0] & 15) * 4 + 13] & 4)))
			n += is_member_of_a(b + 12, 4) && !is_member_of_a(b + 16, 4);
		if (got >= 54 && b[0] >> 4 == 6 &&
		    (b[6] == IPPROTO_UDP || b[6] == IPPROTO_ROUTING ||
		     (b[6] == IPPROTO_TCP && !(b[53] & 4))))
			n += is_member_of_a(b + 8, 16) && !is_member_of_a(b + 24, 16);
	}
	return n;
}

static void links_a(uint32_t flags)
{
	struct egret_link v = { .job = JOB_A, .flags = EGRET_CG_READY | flags };

	need(kernel_link_set(W.k, H[A1].link, &v), "link");
	need(kernel_link_set(W.k, H[A2].link, &v), "link");
}

static void flags_a(uint32_t flags)
{
	if (H[A1].link)
		links_a(flags);
	need(kernel_cgroup_set(W.k, W.a, JOB_A, EGRET_CG_READY | flags), "set");
	need(kernel_cgroup_set(W.k, H[A2].id, JOB_A, EGRET_CG_READY | flags), "set");
}

static void member_a(int i, bool there)
{
	const char *text[] = { H[i].four, H[i].six };

	for (int n = 0; n < 2; n++) {
		uint8_t addr[16];

		addr16(text[n], addr);
		need(there ? kernel_member_set(W.k, JOB_A, addr)
			   : kernel_member_del(W.k, JOB_A, addr),
		     "member");
	}
}

/* Goes to a house, and (HOUSES) back to where the test is. */
static void walk_to(int i)
{
	static int home = -1;

	if (home < 0)
		home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	need(setns(i == HOUSES ? home : H[i].netns, CLONE_NEWNET) ? -errno : 0, "setns");
}

static void house_join(int i)
{
	ip(H[HOST].netns, "link add h%d type veth peer name eth0 netns /proc/%d/fd/%d", i,
	   (int)getpid(), H[i].netns);
	ip(H[HOST].netns, "link set h%d master br0 up", i);
	ip(H[i].netns, "link set eth0 up");
	ip(H[i].netns, "addr add %s/24 dev eth0", H[i].four);
	ip(H[i].netns, "-6 addr add %s/64 dev eth0 nodad", H[i].six);
	ip(H[i].netns, "route add default via %s", H[HOST].four);
	ip(H[i].netns, "-6 route add default via %s", H[HOST].six);
}

static void mac_of(int i, uint8_t mac[6], char text[18])
{
	struct ifreq q = { .ifr_name = "eth0" };
	int fd, r;

	walk_to(i);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (i == HOST)
		snprintf(q.ifr_name, sizeof(q.ifr_name), "br0");
	r = ioctl(fd, SIOCGIFHWADDR, &q);
	close(fd);
	walk_to(HOUSES);
	need(r, "mac");
	memcpy(mac, q.ifr_hwaddr.sa_data, 6);
	snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
}

/* Who is not to be spoken to is not found either: so that what is sent all the same is tried, the
 * containers and the stranger know where each lives. */
static void neighbours(void)
{
	for (int i = 0; i < HOUSES; i++)
		for (int k = 0; k < HOUSES; k++) {
			uint8_t mac[6];
			char text[18];

			if (i == k || i == HOST || (i <= A2 && k <= A2))
				continue;
			mac_of(k, mac, text);
			ip(H[i].netns, "neigh replace %s lladdr %s dev eth0 nud permanent",
			   H[k].four, text);
			ip(H[i].netns, "neigh replace %s lladdr %s dev eth0 nud permanent",
			   H[k].six, text);
		}
}

static int town_open(void **state)
{
	char why[256] = "";
	uint8_t host[2][16];

	if (world_open(state))
		return -1;
	server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_true(server != MAP_FAILED);
	H[A1].cgroup = W.a_fd;
	H[B1].cgroup = W.b_fd;
	H[HOST].cgroup = H[STRANGER].cgroup = -1;
	need(cgroup_make(W.cg.jobs, "job-a-two", &H[A2].cgroup, &H[A2].id), "cgroup");
	flags_a(0);
	for (int i = 0; i < HOUSES; i++)
		H[i].netns = netns_made_in(town_by_engine ? -1 : H[i].cgroup);
	ip(H[HOST].netns, "link set lo up");
	ip(H[HOST].netns, "link add br0 type bridge");
	ip(H[HOST].netns, "link set br0 up");
	ip(H[HOST].netns, "addr add %s/24 dev br0", H[HOST].four);
	ip(H[HOST].netns, "-6 addr add %s/64 dev br0 nodad", H[HOST].six);
	for (int i = 0; i < HOUSES; i++)
		if (i != HOST)
			house_join(i);
	for (int i = A1; i <= B1; i++) {
		uint64_t job = i == B1 ? JOB_B : JOB_A;

		need(netns_open(W.cg.listen, NETNS_ENTER, H[i].netns, &H[i].ns, why, sizeof(why)),
		     why);
		need(kernel_listener_set(W.k, job, H[i].ns.cookie, &H[i].ns.listener), "set");
	}
	member_a(A1, true);
	member_a(A2, true);
	walk_to(HOST);
	H[A1].link = if_nametoindex("h0");
	H[A2].link = if_nametoindex("h1");
	links_a(0);
	for (int i = A1; i <= A2; i++)
		need(kernel_link_attach(W.k, H[i].link), "attach");
	walk_to(HOUSES);
	neighbours();
	addr16(H[HOST].four, host[0]);
	addr16(H[HOST].six, host[1]);
	need(kernel_hostaddr_set(W.k, (const uint8_t(*)[16])host, 2), "host");
	return wire_open();
}

static int town_close(void **state)
{
	close(wire);
	for (int i = 0; i < HOUSES; i++) {
		if (i <= B1)
			netns_close(&H[i].ns);
		close(H[i].netns);
	}
	close(H[A2].cgroup);
	munmap((void *)server, sizeof(*server));
	return world_close(state);
}

/* ---- talking ---- */

/* Answers "y" to each byte, until it is killed. */
static int serve_fn(void *arg)
{
	const struct dial *d = arg;
	struct sockaddr_storage ss, from;
	socklen_t len = sa_of(d->ip, d->port, &ss), flen;
	int fd = socket(ss.ss_family, d->type | SOCK_CLOEXEC, 0), one = 1, at = -1;
	char b[8];

	alarm(60);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd < 0 || bind(fd, (void *)&ss, len) < 0 ||
	    (d->type == SOCK_STREAM && listen(fd, 16) < 0))
		return errno;
	server->answer = server->asked = 0;
	server->ready = 1;
	for (;;) {
		if (d->type == SOCK_STREAM) {
			close(at);
			at = accept(fd, NULL, NULL);
			while (at >= 0 && recv(at, b, 1, 0) == 1) {
				server->asked++;
				server->answer = send(at, "y", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
			}
			continue;
		}
		flen = sizeof(from);
		if (recvfrom(fd, b, 1, 0, (void *)&from, &flen) != 1)
			return errno;
		server->asked++;
		server->answer = sendto(fd, "y", 1, 0, (void *)&from, flen) == 1 ? 0 : errno;
	}
}

UNUSED static pid_t serve(int house, struct dial *d)
{
	pid_t pid;

	server->ready = 0;
	pid = task_start(H[house].cgroup, H[house].netns, serve_fn, d);
	for (int i = 0; i < 5000 && !server->ready; i++)
		usleep(1000);
	assert_int_equal(server->ready, 1);
	return pid;
}

UNUSED static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Sends "x" and wants "y"; a datagram with its address when arg's sport is set. */
static int talk_fn(void *arg)
{
	const struct dial *d = arg;
	struct timeval tv = { .tv_usec = 400000 };
	struct sockaddr_storage ss;
	socklen_t len = sa_of(d->ip, d->port, &ss);
	bool named = d->type == SOCK_DGRAM && d->sport;
	int fd = socket(ss.ss_family, d->type | SOCK_CLOEXEC, 0);
	char b;

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (!named && connect(fd, (void *)&ss, len) < 0)
		return errno == EINPROGRESS ? ETIMEDOUT : errno;
	if (sendto(fd, "x", 1, MSG_NOSIGNAL, named ? (void *)&ss : NULL, named ? len : 0) != 1)
		return errno;
	if (recv(fd, &b, 1, 0) != 1)
		return errno == EAGAIN ? ETIMEDOUT : errno;
	return b == 'y' ? 0 : EBADMSG;
}

UNUSED static int talk(int from, const char *to, uint16_t port, int type)
{
	struct dial d = { .ip = to, .port = port, .type = type };
	int r = task_run(H[from].cgroup, H[from].netns, talk_fn, &d);

	if (type == SOCK_DGRAM) {
		d.sport = 1;
		assert_int_equal(task_run(H[from].cgroup, H[from].netns, talk_fn, &d), r);
	}
	return r;
}

#endif
