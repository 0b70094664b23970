/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets made before their owner became a member of a job: found by sock_diag, ended by
 * SOCK_DESTROY (linux/sock_diag.h; needs CAP_NET_ADMIN in that namespace and
 * CONFIG_INET_DIAG_DESTROY). TCP4, TCP6, MPTCP (through its subflows) and UDP; listeners too, but
 * for MPTCP's, which the kernel never ends.
 * sockdiag.c alone speaks libnl's diag messages.
 */
#ifndef EGRET_EGRETD_SOCKDIAG_H
#define EGRET_EGRETD_SOCKDIAG_H

#include "base/bytes.h"

/* Destroys sockets of the network namespace `netns` (-1: this process's own) that were made in
 * exactly this cgroup (0: in any, with inodes only), not in ones below it, and, when inodes are
 * given (n > 0), have one of these inode numbers (proctree.h). Blocks some milliseconds. 0 or
 * -errno with a sentence; ret_count: how many were ended. */
int sockdiag_destroy(int netns, uint64_t cgroup, const uint64_t *inodes, size_t n,
		     unsigned *ret_count, char *why, size_t size) MUST_CHECK;

#endif
