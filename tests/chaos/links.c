/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P6 under a storm of connects: programs replaced (ROUNDS times: 60, in `make soak` 10,000), links
 * detached, pins removed, bpffs unmounted. A server that no connection may reach un-turned is at
 * the other end of a cable out of the job's namespace and counts what it accepts. That it can be
 * reached is shown first: by the storm of somebody who is in no job, and by the job's own once both
 * walls are detached.
 */
#include "kernel/harness.h"
#include <bpf/bpf.h>
#include <sys/mount.h>
#include <time.h>

#define SERVER "198.51.100.3"
#define PORT 443

/* Written by the storm, the server and the drain; read by the test. */
static volatile struct {
	uint64_t tried, turned, refused, slow; /* the storm's: by what connect() said */
	uint64_t reached;		       /* connections that the server took */
	uint64_t taken;			       /* that the listener took */
} * seen;

static pid_t server, drain, storm;

static void nap(long us)
{
	nanosleep(&(struct timespec){ us / 1000000, us % 1000000 * 1000 }, NULL);
}

static int serve(int fd, volatile uint64_t *count)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int c;

		(void)poll(&p, 1, 1000);
		while ((c = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
			(*count)++;
			close(c);
		}
	}
	return 0;
}

static int server_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of(SERVER, PORT, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	(void)arg;
	alarm(0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (void *)&ss, len) < 0 || listen(fd, 4096) < 0)
		return errno;
	said->n = 1;
	return serve(fd, &seen->reached);
}

/* Runs `ip` with these words; a "%" stands for the second string. */
static int ip_fn(void *arg)
{
	char **of = arg, line[256], *argv[16], *save = NULL;
	int n = 0, st = 0;
	pid_t pid;

	snprintf(line, sizeof(line), "ip %s", of[0]);
	for (char *w = strtok_r(line, " ", &save); w && n < 15; w = strtok_r(NULL, " ", &save))
		argv[n++] = strcmp(w, "%") == 0 ? of[1] : w;
	argv[n] = NULL;
	pid = fork();
	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	return waitpid(pid, &st, 0) == pid && WIFEXITED(st) && !WEXITSTATUS(st) ? 0 : EINVAL;
}

static void ip(int netns, const char *line, char *other)
{
	const char *of[] = { line, other };

	need(task_run(-1, netns, ip_fn, of), line);
}

static int outside = -1; /* the server's namespace */

/* From the job's namespace to one where the server is. */
static void cable(void)
{
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	char path[32];

	need(unshare(CLONE_NEWNET) < 0 ? errno : 0, "namespace");
	outside = open("/proc/self/ns/net", O_RDONLY); /* for `ip` too */
	need(setns(here, CLONE_NEWNET) < 0 ? errno : 0, "back");
	close(here);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", outside);
	ip(W.ns.netns, "link add c0 type veth peer name c1 netns %", path);
	ip(W.ns.netns, "addr add 198.51.100.1/24 dev c0", NULL);
	ip(W.ns.netns, "link set c0 up", NULL);
	ip(outside, "addr add " SERVER "/24 dev c1", NULL);
	ip(outside, "link set c1 up", NULL);
}

static int drain_fn(void *arg)
{
	alarm(0);
	said->n = 1;
	return serve(*(int *)arg, &seen->taken);
}

/* Some 2,000 connects a second; each is done with in 50 ms. */
static int storm_fn(void *arg)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_of(SERVER, PORT, &ss);
	struct linger at_once = { .l_onoff = 1 };

	(void)arg;
	alarm(0);
	said->n = 1;
	for (;; nap(300)) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), err = 0;
		socklen_t n = sizeof(err);
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		seen->tried++;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		if (fd < 0 || (connect(fd, (void *)&ss, len) < 0 && errno != EINPROGRESS))
			seen->refused++;
		else if (poll(&p, 1, 50) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
			seen->slow++;
		else if (err)
			seen->refused++;
		else
			seen->turned++;
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

static pid_t started(int cgroup, int netns, int (*fn)(void *), void *arg)
{
	pid_t pid = task_start(cgroup, netns, fn, arg);

	for (int i = 0; i < 5000 && !((volatile struct said *)said)->n; i++)
		nap(1000);
	assert_int_equal(said->n, 1);
	return pid;
}

static void ended(pid_t *pid)
{
	if (*pid <= 0)
		return;
	kill(*pid, SIGKILL);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

/* So many more connects from now. */
static void storm_for(uint64_t connects)
{
	uint64_t end = seen->tried + connects;

	for (int i = 0; i < 20000 && seen->tried < end; i++)
		nap(1000);
	assert_true(seen->tried >= end);
}

static int chaos_open(void **state)
{
	if (world_open(state))
		return -1;
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(seen != MAP_FAILED);
	cable();
	server = started(-1, outside, server_fn, NULL);
	drain = started(-1, W.ns.netns, drain_fn, &W.ns.tcp4);
	storm = started(-1, W.ns.netns, storm_fn, NULL);
	storm_for(50);
	assert_true(seen->reached > 0); /* who is in no job gets there */
	ended(&storm);
	nap(100000);
	return 0;
}

static int chaos_close(void **state)
{
	ended(&storm);
	ended(&drain);
	ended(&server);
	close(outside);
	return world_close(state);
}

static int storm_start(void **state)
{
	(void)state;
	seen->tried = seen->turned = seen->refused = seen->slow = seen->reached = 0;
	storm = started(W.a_fd, W.ns.netns, storm_fn, NULL);
	storm_for(20);
	return 0;
}

static int storm_end(void **state)
{
	(void)state;
	ended(&storm);
	return 0;
}

static unsigned rounds(void)
{
	const char *s = getenv("ROUNDS");

	return s ? (unsigned)strtoul(s, NULL, 10) : 60;
}

/* Loading takes most of the time and changes nothing for who connects: from there on two loaded
 * sets change places on all links. */
#define LOADS 30

static void test_replaced(void **state)
{
	struct kernel_where at = where(&W);
	uint64_t was = seen->turned, tried = seen->tried, failed = seen->refused, slow = seen->slow;
	struct kernel *other = NULL;
	char why[256] = "";
	unsigned i;
	(void)state;

	for (i = 0; i < rounds() && i < LOADS; i++) {
		need(kernel_open(&at, &other, why, sizeof(why)), why);
		W.k = kernel_free(W.k);
		W.k = other;
	}
	need(kernel_load(&at, &other, why, sizeof(why)), why);
	for (; i < rounds(); i++)
		need(kernel_attach(i % 2 ? other : W.k, &at, why, sizeof(why)), why);
	need(kernel_attach(W.k, &at, why, sizeof(why)), why);
	kernel_free(other);
	storm_for(100);
	print_message("%u replacements; connects tried %llu, turned %llu, refused %llu, without an "
		      "answer in "
		      "50 ms %llu, reached %llu\n",
		      rounds(), (unsigned long long)(seen->tried - tried),
		      (unsigned long long)(seen->turned - was),
		      (unsigned long long)(seen->refused - failed),
		      (unsigned long long)(seen->slow - slow), (unsigned long long)seen->reached);
	assert_true(seen->turned > was);
	assert_int_equal(seen->reached, 0);
}

static struct {
	unsigned told, failed;
	char last[64];
} found;

static void on_lost(void *owner, const char *what, const char *happened, int err)
{
	(void)owner;
	(void)happened;
	found.told++;
	found.failed += err != 0;
	snprintf(found.last, sizeof(found.last), "%s", what);
}

static int look(void)
{
	memset(&found, 0, sizeof(found));
	return kernel_links_check(W.k, on_lost, NULL);
}

static void pin_path(const char *name, char *to, size_t n)
{
	snprintf(to, n, "/sys/fs/bpf/egret/%s/v%d/%s", W.instance, EGRET_ABI, name);
}

static int link_of(const char *name)
{
	char path[128];
	int fd;

	pin_path(name, path, sizeof(path));
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	return fd;
}

static void detach(const char *name)
{
	int fd = link_of(name);

	need(bpf_link_detach(fd), name);
	close(fd);
}

static const char *const links[] = {
	"link_egret_connect4",	   "link_egret_connect6", "link_egret_egress",
	"link_egret_ingress",	   "link_egret_sock",	  "link_egret_bind4",
	"link_egret_bind6",	   "link_egret_flow_out", "link_egret_flow_in",
	"link_egret_listener_end", "link_egret_sendmsg4", "link_egret_sendmsg6",
	"link_egret_recvmsg4",	   "link_egret_recvmsg6", "link_egret_cage_c4",
	"link_egret_cage_c6",	   "link_egret_cage_s4",  "link_egret_cage_s6",
	"link_egret_cage_b4",	   "link_egret_cage_b6",  "link_egret_cage_sock",
};

/* One at a time: whichever wall is gone, another holds until it is put back. */
static void test_detached(void **state)
{
	unsigned times = rounds() / 60;
	uint64_t was;
	(void)state;

	need(look(), "all stands");
	assert_int_equal(found.told, 0);
	for (unsigned t = 0; t < times; t++) {
		for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
			detach(links[i]);
			storm_for(30);
			need(look(), links[i]);
			/* The link, and the pin that names another one now. */
			assert_int_equal(found.told, 2);
			assert_int_equal(found.failed, 0);
			need(look(), "again");
			assert_int_equal(found.told, 0);
		}
	}
	was = seen->turned;
	storm_for(100);
	print_message(
		"%zu links detached %u times each; connects tried %llu, turned %llu, refused %llu, "
		"without an answer in 50 ms %llu, reached %llu\n",
		ARRAY_SIZE(links), times, (unsigned long long)seen->tried,
		(unsigned long long)seen->turned, (unsigned long long)seen->refused,
		(unsigned long long)seen->slow, (unsigned long long)seen->reached);
	assert_true(seen->turned > was);
	assert_int_equal(seen->reached, 0);
}

/* Without the turn and the last wall it would be open: that the server can be reached from here. */
static void test_both_detached(void **state)
{
	const char *both[] = { "link_egret_connect4", "link_egret_egress", "link_egret_ingress" };
	uint64_t was;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(both); i++)
		detach(both[i]);
	storm_for(100);
	assert_true(seen->reached > 0);
	need(look(), "put back");
	assert_int_equal(found.failed, 0);
	nap(100000);
	was = seen->reached;
	storm_for(200);
	assert_int_equal(seen->reached, was);
}

/* Another program in place of ours, as one who holds the link can do. */
static void test_other_program(void **state)
{
	struct bpf_insn pass[] = {
		{ .code = 0xb7, .dst_reg = 0, .imm = 1 }, /* r0 = 1 */
		{ .code = 0x95 },			  /* exit */
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);
	int fd = link_of("link_egret_connect4"),
	    prog = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "pass", "GPL", pass, 2, &opts);
	uint64_t was;
	(void)state;

	assert_true(prog >= 0);
	need(bpf_link_update(fd, prog, NULL), "update");
	was = seen->turned;
	storm_for(50);
	assert_true(seen->turned <= was + 2); /* the one under way */
	need(look(), "put back");
	assert_int_equal(found.told, 1);
	storm_for(50);
	assert_true(seen->turned > was + 2);
	assert_int_equal(seen->reached, 0);
	close(prog);
	close(fd);
}

static void test_pins_removed(void **state)
{
	char path[128];
	uint64_t was = seen->turned;
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		pin_path(links[i], path, sizeof(path));
		need(unlink(path), path);
	}
	pin_path("egret_cgroups", path, sizeof(path));
	need(unlink(path), path);
	storm_for(100);
	assert_true(seen->turned > was);
	need(look(), "pinned anew");
	assert_int_equal(found.told, 1);
	assert_int_equal(found.failed, 0);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		close(link_of(links[i]));
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(seen->reached, 0);
}

/* In a mount namespace of the test's own: the machine's bpffs stays. */
static void test_unmounted(void **state)
{
	uint64_t was = seen->turned;
	char path[128];
	(void)state;

	need(unshare(CLONE_NEWNS) < 0 ? errno : 0, "unshare");
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? errno : 0, "private");
	while (umount2("/sys/fs/bpf", MNT_DETACH) == 0)
		;
	pin_path("egret_cgroups", path, sizeof(path));
	assert_int_equal(access(path, F_OK), -1);
	storm_for(100);
	assert_true(seen->turned > was);
	need(look(), "mounted and pinned anew");
	assert_int_equal(found.failed, 0);
	assert_int_equal(access(path, F_OK), 0);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		close(link_of(links[i]));
	need(look(), "again");
	assert_int_equal(found.told, 0);
	assert_int_equal(seen->reached, 0);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test_setup_teardown(test_replaced, storm_start, storm_end),
		cmocka_unit_test_setup_teardown(test_detached, storm_start, storm_end),
		cmocka_unit_test_setup_teardown(test_other_program, storm_start, storm_end),
		cmocka_unit_test_setup_teardown(test_both_detached, storm_start, storm_end),
		cmocka_unit_test_setup_teardown(test_pins_removed, storm_start, storm_end),
		cmocka_unit_test_setup_teardown(test_unmounted, storm_start, storm_end),
	};

	return cmocka_run_group_tests(all, chaos_open, chaos_close);
}

int main(void)
{
	return kept(tests);
}
