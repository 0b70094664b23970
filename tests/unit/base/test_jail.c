/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jail, shown by what happens to a child inside it: allowed acts return, forbidden ones kill it
 * or fail. Each act runs in a child of its own; the exit status or the signal is the answer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/jail.h"
#include "base/loop.h"
#include "base/msg.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RETURNED_OK = 0, RETURNED_ERROR = 60, NO_JAIL = 70, KILLED = 1000 };

static char dir[] = "/tmp/egret-test-jail-XXXXXX";
static int dir_fd = -1;

/* Each act returns true when it was done. */
static bool act_nothing(void)
{
	return true;
}

static bool act_memory(void)
{
	void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *big = malloc(4 << 20);
	bool ok = p != MAP_FAILED && big;

	free(big);
	return ok;
}

static bool act_loop(void)
{
	struct loop *l = loop_new();
	bool ok = loop_turn(l, 1) == 0;

	loop_free(l);
	return ok;
}

static bool act_crypto(void)
{
	uint8_t b[32], out[64];
	unsigned n = 0;

	return RAND_bytes(b, sizeof(b)) == 1 &&
	       EVP_Digest(b, sizeof(b), out, &n, EVP_sha256(), NULL) == 1;
}

static bool act_nonblock(void)
{
	int one = 1;

	/* Any descriptor will do; 2 is always there. */
	return ioctl(2, FIONBIO, &one) == 0 || errno == ENOTTY;
}

static bool act_memfd(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return fd >= 0 && write(fd, "x", 1) == 1 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0;
}

static bool act_open(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0;
}

static bool act_open_write(void)
{
	return open("/etc/egret-test-jail", O_WRONLY | O_CREAT, 0600) >= 0;
}

static bool act_open_other(void)
{
	return open("/proc/self/status", O_RDONLY) >= 0;
}

static bool act_file_in_dir(void)
{
	int fd = openat(dir_fd, "a", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	return fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0 &&
	       renameat(dir_fd, "a", dir_fd, "b") == 0 && unlinkat(dir_fd, "b", 0) == 0;
}

static bool act_dot_dot(void)
{
	return openat(dir_fd, "../../etc/passwd", O_RDONLY) >= 0;
}

static bool act_execve(void)
{
	char *argv[] = { (char *)"true", NULL };

	execve("/bin/true", argv, NULL);
	return false;
}

static bool act_fork(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0;
}

static bool act_packet(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) >= 0;
}

static bool act_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0) >= 0;
}

static bool act_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool act_raw(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0;
}

static bool act_ping(void)
{
	return socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) >= 0;
}

static bool act_mptcp(void)
{
	return socket(AF_INET, SOCK_STREAM, 262) >= 0;
}

static bool act_inet(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	       socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP) >= 0;
}

static bool act_bind(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };

	return bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&at, sizeof(at)) == 0;
}

static bool act_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, 0, 0) == 0;
}

static bool act_kill_parent(void)
{
	return kill(getppid(), 0) == 0;
}

static bool bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr)) >= 0;
}

static bool act_bpf_create(void)
{
	union bpf_attr a = {
		.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 4, .max_entries = 1
	};

	return bpf(BPF_MAP_CREATE, &a);
}

/* The call passes the filter; that descriptor 2 is no map is the kernel's answer. */
static bool act_bpf_lookup(void)
{
	union bpf_attr a = { .map_fd = 2 };

	return bpf(BPF_MAP_LOOKUP_ELEM, &a) || errno == EINVAL || errno == EBADF || errno == EPERM;
}

static bool act_exec_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	       MAP_FAILED;
}

static bool act_splice(void)
{
	int fds[2];

	return pipe2(fds, O_CLOEXEC) == 0 && fcntl(fds[0], F_SETPIPE_SZ, 4096) >= 0;
}

/* O_APPEND of a log goes this way. */
static bool act_clear_append(void)
{
	return fcntl(STDERR_FILENO, F_SETFL, 0) == 0;
}

static bool act_fsync(void)
{
	return fsync(dir_fd) == 0;
}

#ifndef EGRET_ASAN
static bool act_prctl_dump(void)
{
	return prctl(PR_SET_DUMPABLE, 1) == 0;
}
#endif

static bool act_setuid(void)
{
	return setuid(0) == 0;
}

static bool act_io_uring(void)
{
	return syscall(425, 1, NULL) >= 0;
}

#define ALL                                                                               \
	(JAIL_MAY_SOCKET_INET | JAIL_MAY_ACCEPT | JAIL_MAY_BPF_LOOKUP | JAIL_MAY_SPLICE | \
	 JAIL_MAY_SYNC | JAIL_MAY_PASS_FDS | JAIL_MAY_READ_RESOLV)

static const struct {
	const char *name;
	bool (*act)(void);
	uint32_t may;
	bool done; /* else: killed, or refused by the kernel */
	bool only_killed;
} cases[] = {
	{ "nothing", act_nothing, 0, true, false },
	{ "memory", act_memory, 0, true, false },
	{ "loop", act_loop, 0, true, false },
	{ "crypto", act_crypto, 0, true, false },
	{ "nonblock", act_nonblock, 0, true, false },
	{ "memfd with pass_fds", act_memfd, JAIL_MAY_PASS_FDS, true, false },
	{ "memfd without", act_memfd, 0, false, false },
	{ "open without files", act_open, 0, false, false },
	{ "open /etc with resolv", act_open, JAIL_MAY_READ_RESOLV, true, false },
	{ "open for writing with resolv", act_open_write, JAIL_MAY_READ_RESOLV, false, false },
	{ "open elsewhere with resolv", act_open_other, JAIL_MAY_READ_RESOLV, false, false },
	{ "files in dir", act_file_in_dir, JAIL_MAY_FILES, true, false },
	{ "open elsewhere with files", act_open, JAIL_MAY_FILES, false, false },
	{ "dot dot out of dir", act_dot_dot, JAIL_MAY_FILES, false, false },
	{ "execve", act_execve, ALL, false, true },
	{ "fork", act_fork, ALL, false, true },
	{ "socket packet", act_packet, ALL, false, true },
	{ "socket netlink", act_netlink, ALL, false, true },
	{ "socket unix", act_unix, ALL, false, true },
	{ "socket raw", act_raw, ALL, false, true },
	{ "socket ping", act_ping, ALL, false, true },
	{ "socket mptcp", act_mptcp, ALL, false, true },
	{ "socket inet", act_inet, JAIL_MAY_SOCKET_INET, true, false },
	{ "socket inet without", act_inet, ALL & ~JAIL_MAY_SOCKET_INET, false, true },
	{ "bind", act_bind, ALL, false, true },
	{ "ptrace", act_ptrace, ALL, false, true },
	{ "kill", act_kill_parent, ALL, false, true },
	{ "bpf create", act_bpf_create, ALL, false, true },
	{ "bpf lookup", act_bpf_lookup, JAIL_MAY_BPF_LOOKUP, true, false },
	{ "bpf lookup without", act_bpf_lookup, ALL & ~JAIL_MAY_BPF_LOOKUP, false, true },
	{ "splice", act_splice, JAIL_MAY_SPLICE, true, false },
	{ "splice without", act_splice, ALL & ~JAIL_MAY_SPLICE, false, true },
	{ "fsync", act_fsync, JAIL_MAY_SYNC, true, false },
	{ "fsync without", act_fsync, ALL & ~JAIL_MAY_SYNC, false, true },
	{ "clear append without sockets", act_clear_append, JAIL_MAY_SYNC | JAIL_MAY_PASS_FDS,
	  false, true },
	{ "setuid", act_setuid, ALL, false, true },
	{ "io_uring", act_io_uring, ALL, false, true },
#ifndef EGRET_ASAN /* the sanitizers' runtime maps shadow memory and sets thread names */
	{ "exec memory", act_exec_memory, ALL, false, true },
	{ "prctl", act_prctl_dump, ALL, false, true },
#endif
};

static int in_jail(bool (*act)(void), uint32_t may)
{
	struct jail j = { .may = may, .dirs = &dir_fd, .ndirs = 1 };
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char why[256] = "";

		if (jail_enter(&j, why, sizeof(why)) < 0) {
			dprintf(2, "# no jail: %s\n", why);
			_exit(NO_JAIL);
		}
		_exit(act() ? RETURNED_OK : RETURNED_ERROR);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_acts(void **state)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int got = in_jail(cases[i].act, cases[i].may);
		bool ok = cases[i].done		 ? got == RETURNED_OK
			  : cases[i].only_killed ? got == KILLED + SIGSYS
						 : got == KILLED + SIGSYS || got == RETURNED_ERROR;

		if (!ok) {
			print_message("# %s: got %d\n", cases[i].name, got);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

/* The acts are possible outside, so that the table above says something. */
static void test_possible_outside(void **state)
{
	assert_true(act_open());
	assert_true(act_open_other());
	assert_true(act_dot_dot());
	assert_true(act_splice());
	assert_true(act_unix());
	assert_true(act_exec_memory());
}

static bool act_stripped(void)
{
	return prctl(PR_GET_DUMPABLE) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static void test_early(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(jail_early() == 0 && act_stripped() ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Seen from outside: no dumps, no capabilities, filter mode. */
static void test_status(void **state)
{
	struct jail j = { 0 };
	char path[64], line[256], why[256];
	int up[2], down[2], seen = 0;
	char c;
	FILE *f;
	pid_t pid;

	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	pid = fork();
	if (pid == 0) {
		if (jail_enter(&j, why, sizeof(why)) < 0)
			_exit(1);
		if (write(up[1], "x", 1) != 1 || read(down[0], &c, 1) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(up[0], &c, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long long caps;

		if (sscanf(line, "CapEff: %llx", &caps) == 1 ||
		    sscanf(line, "CapPrm: %llx", &caps) == 1) {
			assert_true(caps == 0);
			seen++;
		}
		if (strncmp(line, "Seccomp:\t2", 10) == 0 ||
		    strncmp(line, "NoNewPrivs:\t1", 13) == 0)
			seen++;
	}
	fclose(f);
	assert_int_equal(write(down[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(seen, 4);
	close(up[0]);
	close(up[1]);
	close(down[0]);
	close(down[1]);
}

static int set_up(void **state)
{
	/* As the broker does: its jail has no file to read a configuration from. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	if (!mkdtemp(dir))
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	close(dir_fd);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_possible_outside),
		cmocka_unit_test(test_acts),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_status),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("jail", tests, set_up, tear_down);
}
