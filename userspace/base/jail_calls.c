/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which system calls a jailed process may make: tables by power (enum jail_may), held against their
 * arguments where a call can do more than one thing. The set fits glibc 2.36 to 2.41, OpenSSL 3 and
 * c-ares. Nothing here starts a process or thread, maps code, or (without JAIL_MAY_FILES or
 * JAIL_MAY_READ_RESOLV) opens a file. Other architectures' calls (x32, i386) kill.
 */
#include "base/jail_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* glibc hides these two behind feature macros of its own. */
#define FLAG_TMPFILE 020000000u
#define CMD_SET_PIPE_SIZE 1031
#define CMD_GET_PIPE_SIZE 1032

/* Memory, time, epoll, and work on descriptors already held. fstat is newfstatat in glibc; qsort
 * asks sysinfo; stdio seeks when it ends. */
static const int calls_base[] = {
	SCMP_SYS(read),		 SCMP_SYS(readv),
	SCMP_SYS(pread64),	 SCMP_SYS(write),
	SCMP_SYS(writev),	 SCMP_SYS(lseek),
	SCMP_SYS(close),	 SCMP_SYS(close_range),
	SCMP_SYS(dup),		 SCMP_SYS(dup3),
	SCMP_SYS(fstat),	 SCMP_SYS(newfstatat),
	SCMP_SYS(fstatfs),	 SCMP_SYS(munmap),
	SCMP_SYS(mremap),	 SCMP_SYS(brk),
	SCMP_SYS(madvise),	 SCMP_SYS(futex),
	SCMP_SYS(rseq),		 SCMP_SYS(set_robust_list),
	SCMP_SYS(rt_sigaction),	 SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),	 SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),		 SCMP_SYS(exit_group),
	SCMP_SYS(getpid),	 SCMP_SYS(gettid),
	SCMP_SYS(getuid),	 SCMP_SYS(geteuid),
	SCMP_SYS(getgid),	 SCMP_SYS(getegid),
	SCMP_SYS(getrandom),	 SCMP_SYS(sysinfo),
	SCMP_SYS(sched_yield),	 SCMP_SYS(sched_getaffinity),
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),	 SCMP_SYS(time),
	SCMP_SYS(nanosleep),	 SCMP_SYS(clock_nanosleep),
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),	 SCMP_SYS(epoll_pwait),
	SCMP_SYS(poll),		 SCMP_SYS(ppoll),
	SCMP_SYS(signalfd4),	 SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),	 SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),	 SCMP_SYS(shutdown),
	SCMP_SYS(recvfrom),	 SCMP_SYS(sendto),
};

static const int calls_pass_fds[] = { SCMP_SYS(sendmsg), SCMP_SYS(recvmsg),
				      SCMP_SYS(memfd_create) };
static const int calls_accept[] = { SCMP_SYS(accept4), SCMP_SYS(accept) };
static const int calls_splice[] = { SCMP_SYS(pipe2), SCMP_SYS(splice) };
static const int calls_sync[] = { SCMP_SYS(fsync), SCMP_SYS(fdatasync) };
static const int calls_files[] = {
	SCMP_SYS(openat),    SCMP_SYS(unlinkat),   SCMP_SYS(unlink), SCMP_SYS(rename),
	SCMP_SYS(renameat),  SCMP_SYS(renameat2),  SCMP_SYS(fsync),  SCMP_SYS(fdatasync),
	SCMP_SYS(ftruncate), SCMP_SYS(getdents64),
};

#ifdef EGRET_ASAN
/* What the sanitizers' runtime needs besides: its signal stack, shadow memory, thread names, and
 * the paths of a report. The jail stays in place; opening a file is refused rather than deadly, so
 * that a report can still be printed. */
static const int calls_asan[] = { SCMP_SYS(sigaltstack), SCMP_SYS(mmap),      SCMP_SYS(mprotect),
				  SCMP_SYS(munmap),	 SCMP_SYS(getrusage), SCMP_SYS(prlimit64),
				  SCMP_SYS(prctl),	 SCMP_SYS(readlink),  SCMP_SYS(uname),
				  SCMP_SYS(tgkill),	 SCMP_SYS(mlock),     SCMP_SYS(munlock) };
#define REFUSED_OPEN SCMP_ACT_ERRNO(EACCES)

int __lsan_is_turned_off(void); /* asked by the runtime at exit: it would want ptrace */
int jail_raised;
int __lsan_is_turned_off(void)
{
	return jail_raised;
}
#endif

static int allow(scmp_filter_ctx f, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i], 0);
	return r;
}

#define ALLOW(f, table) allow(f, table, ARRAY_SIZE(table))

/* Memory may be readable and writable, never code. */
static int allow_memory(scmp_filter_ctx f)
{
	int r;

	r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
			     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return r;
}

/* The argument of a call that is one of several commands. */
static int allow_each(scmp_filter_ctx f, int call, unsigned arg, const uint32_t *values, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1,
				     SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, values[i]));
	return r;
}

static int allow_commands(scmp_filter_ctx f, uint32_t may)
{
	static const uint32_t fcntls[] = { F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC,
					   F_GET_SEALS };
	/* Only where no descriptor's O_APPEND means something: the audit process may not clear its
	 * log's. */
	static const uint32_t flags[] = { F_SETFL };
	static const uint32_t seals[] = { F_ADD_SEALS };
	static const uint32_t pipes[] = { CMD_SET_PIPE_SIZE, CMD_GET_PIPE_SIZE };
	static const uint32_t ioctls[] = { FIONBIO, FIONREAD, TIOCOUTQ, TCGETS };
	static const uint32_t bpfs[] = { BPF_MAP_LOOKUP_ELEM, BPF_OBJ_GET_INFO_BY_FD };
	int r;

	r = allow_each(f, SCMP_SYS(fcntl), 1, fcntls, ARRAY_SIZE(fcntls));
	if (r == 0 && (may & JAIL_MAY_SOCKET_INET))
		r = allow_each(f, SCMP_SYS(fcntl), 1, flags, ARRAY_SIZE(flags));
	if (r == 0 && (may & JAIL_MAY_PASS_FDS))
		r = allow_each(f, SCMP_SYS(fcntl), 1, seals, ARRAY_SIZE(seals));
	if (r == 0 && (may & JAIL_MAY_SPLICE))
		r = allow_each(f, SCMP_SYS(fcntl), 1, pipes, ARRAY_SIZE(pipes));
	if (r == 0)
		r = allow_each(f, SCMP_SYS(ioctl), 1, ioctls, ARRAY_SIZE(ioctls));
	if (r == 0 && (may & JAIL_MAY_BPF_LOOKUP))
		r = allow_each(f, SCMP_SYS(bpf), 0, bpfs, ARRAY_SIZE(bpfs));
	return r;
}

/* TCP and UDP over IPv4 and IPv6: no raw, no ping, no MPTCP, no other family. */
static int allow_sockets(scmp_filter_ctx f)
{
	static const struct {
		int family, type, protocol;
	} sockets[] = {
		{ AF_INET, SOCK_STREAM, 0 },  { AF_INET, SOCK_STREAM, IPPROTO_TCP },
		{ AF_INET, SOCK_DGRAM, 0 },   { AF_INET, SOCK_DGRAM, IPPROTO_UDP },
		{ AF_INET6, SOCK_STREAM, 0 }, { AF_INET6, SOCK_STREAM, IPPROTO_TCP },
		{ AF_INET6, SOCK_DGRAM, 0 },  { AF_INET6, SOCK_DGRAM, IPPROTO_UDP },
	};
	const scmp_datum_t any_flags = ~(scmp_datum_t)(SOCK_CLOEXEC | SOCK_NONBLOCK) & UINT32_MAX;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sockets) && r == 0; i++)
		r = seccomp_rule_add(
			f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3,
			SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)sockets[i].family),
			SCMP_A1(SCMP_CMP_MASKED_EQ, any_flags, (scmp_datum_t)sockets[i].type),
			SCMP_A2(SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)sockets[i].protocol));
	return r ? r : seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);
}

static int allow_read_only(scmp_filter_ctx f)
{
	const scmp_datum_t writing = O_ACCMODE | O_CREAT | O_TRUNC | FLAG_TMPFILE;

	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
				SCMP_A2(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
}

static int fill(scmp_filter_ctx f, uint32_t may)
{
	int r = ALLOW(f, calls_base);

	if (r == 0)
		r = allow_memory(f);
	if (r == 0)
		r = allow_commands(f, may);
	/* abort() of this process only: another's thread cannot be named. */
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	/* Asking for a limit, not setting one. */
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
				     SCMP_A0(SCMP_CMP_EQ, 0, 0), SCMP_A2(SCMP_CMP_EQ, 0, 0));
	if (r == 0 && (may & JAIL_MAY_PASS_FDS))
		r = ALLOW(f, calls_pass_fds);
	if (r == 0 && (may & JAIL_MAY_ACCEPT))
		r = ALLOW(f, calls_accept);
	if (r == 0 && (may & JAIL_MAY_SPLICE))
		r = ALLOW(f, calls_splice);
	if (r == 0 && (may & JAIL_MAY_SYNC))
		r = ALLOW(f, calls_sync);
	if (r == 0 && (may & JAIL_MAY_SOCKET_INET))
		r = allow_sockets(f);
	if (r == 0 && (may & JAIL_MAY_SOCKET_PAIR))
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	if (r == 0 && (may & JAIL_MAY_SOCKET_PAIR)) /* what newer versions of it do */
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(eventfd2), 0);
	if (r == 0 && (may & JAIL_MAY_FILES))
		r = ALLOW(f, calls_files);
	else if (r == 0 && (may & JAIL_MAY_READ_RESOLV))
		r = allow_read_only(f);
#ifdef EGRET_ASAN
	if (r == 0)
		r = ALLOW(f, calls_asan);
	if (r == 0 && !(may & (JAIL_MAY_FILES | JAIL_MAY_READ_RESOLV)))
		r = seccomp_rule_add(f, REFUSED_OPEN, SCMP_SYS(openat), 0);
	if (r == 0)
		r = seccomp_rule_add(f, REFUSED_OPEN, SCMP_SYS(open), 0);
#endif
	return r;
}

int jail_calls(uint32_t may)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!f)
		return -ENOMEM;
	/* A tree instead of a chain: the last call of the list costs no more than the first. */
	r = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = fill(f, may);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
#ifdef EGRET_ASAN
	jail_raised = r == 0;
#endif
	return r;
}
