/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process puts itself in its jail as the first thing main() does, before it reads any byte that
 * is not egret's own: no dumps, no new privileges, all capabilities gone, Landlock over the file
 * system, seccomp with an allow list (the process is killed at anything else). egretd has already
 * changed the uid and the cgroup before exec.
 */
#ifndef EGRET_BASE_JAIL_H
#define EGRET_BASE_JAIL_H

#include "base/bytes.h"
#include <sys/types.h>

/* What a process may do besides memory, time, epoll, reading and writing what it already holds. */
enum jail_may {
	JAIL_MAY_SOCKET_INET = 1u << 0, /* socket(AF_INET|AF_INET6, SOCK_STREAM|SOCK_DGRAM),
					   connect, bind-less dialling */
	JAIL_MAY_ACCEPT = 1u << 1,
	JAIL_MAY_BPF_LOOKUP = 1u << 2, /* bpf(BPF_MAP_LOOKUP_ELEM) and BPF_OBJ_GET_INFO_BY_FD on
					  descriptors it was given */
	JAIL_MAY_SPLICE = 1u << 3,     /* pipe2, splice */
	JAIL_MAY_FILES =
		1u << 4, /* openat, rename, unlink, fsync below `dirs` (Landlock says where) */
	JAIL_MAY_SYNC = 1u << 5, /* fsync, fdatasync */
	JAIL_MAY_PASS_FDS =
		1u << 6, /* sendmsg/recvmsg with SCM_RIGHTS, memfd_create, fcntl seals */
	JAIL_MAY_READ_RESOLV =
		1u
		<< 7, /* openat read-only: c-ares and OpenSSL at start; Landlock gives /etc only */
	JAIL_MAY_SOCKET_PAIR = 1u << 8, /* socketpair(AF_UNIX): libcurl wakes itself by one */
	JAIL_MAY_EXEC = 1u << 9, /* starts programs, which nobody can list the calls of: all but
				    those that lead out. Files are read and executed, never written
				    (Landlock, without which there is no such jail) */
};

struct jail {
	uint32_t may;
	const int *dirs; /* directory descriptors under which JAIL_MAY_FILES holds; Landlock refuses
			    the rest */
	unsigned ndirs;
};

/* 0, or -errno with a sentence in why (size bytes) that says which wall could not be raised. A
 * kernel without Landlock is a failure unless JAIL has no need of files, where seccomp alone
 * refuses every open. */
int jail_enter(const struct jail *j, char *why, size_t size) MUST_CHECK;

/* For the child that executes a program behind JAIL_MAY_EXEC, last: it stays in its process group,
 * and signals nobody but its own where the kernel can tell (Landlock from 6.12 on), else nobody. 0
 * or -errno. */
int jail_program(void) MUST_CHECK;

/* The first two steps alone, for programs that still need a moment before the rest: no dumps, no
 * core, no new privileges. */
int jail_early(void) MUST_CHECK;

#endif
