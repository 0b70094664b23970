/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket families and calls that no job has: everything but UNIX, INET, INET6 and NETLINK, and
 * io_uring. No cgroup hook sees them (vsock and others need no capability), and io_uring's socket
 * operation passes no seccomp; SOCK_PACKET, an AF_INET socket by its words; request_key(2), which
 * has a program of the host's ask DNS. One filter for every ABI, kept by whatever the process
 * starts. socketcall(2), the one multiplexed call of 32-bit x86, hides its family from any filter
 * and goes as a whole.
 */
#ifndef EGRET_BASE_FAMILIES_H
#define EGRET_BASE_FAMILIES_H

#include "base/bytes.h"

/* Without no_new_privs this needs CAP_SYS_ADMIN, and leaves setuid programs working. 0 or -errno
 * with a sentence in why. */
int families_close(bool no_new_privs, char *why, size_t n) MUST_CHECK;

#endif
