/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What several of the transport cases share: sockets and sends that say what failed, packets made
 * by hand, io_uring and rtnetlink without a library. Called by cases/; runs inside the job, reads
 * only what the kernel answers.
 */
#ifndef EGRET_TESTS_BYPASS_WIRE_H
#define EGRET_TESTS_BYPASS_WIRE_H

#include "case.h"
#include <netinet/in.h> /* before any header of the kernel's that says the same */

#include <linux/io_uring.h>

/* socket(), without blocking on what it sends; -1 and *a filled. */
int sock_open(struct attempt *a, int family, int type, int proto, const char *what);
/* A UDP socket of the target's family. */
int udp_open(const struct target *t, struct attempt *a);
/* The token on a connected socket. */
bool tell(const struct target *t, struct attempt *a, int fd, int flags);
/* The token to the target by sendmsg() with one control message; data NULL: without. */
bool tell_control(const struct target *t, struct attempt *a, int fd, const char *addr, int level,
		  int type, const void *data, size_t n);
/* The token in a first segment: sendto(MSG_FASTOPEN) without a cookie, so that it is in the SYN. */
bool tell_in_syn(const struct target *t, struct attempt *a, int fd, int family, const char *addr);
/* connect() with patience and the token, on a socket that was prepared. */
bool join_and_tell(const struct target *t, struct attempt *a, int fd, int family, const char *addr,
		   uint16_t port);
/* The job's link by number. */
bool link_index(const struct target *t, struct attempt *a, unsigned *ret);
const char *loopback(int family);
/* A listening socket of the job's own on loopback; its port in *ret. */
int listen_own(struct attempt *a, int family, uint16_t *ret);
/* IPv4 source route (131 loose, 137 strict) or record route (7) over the target; bytes written. */
size_t source_route(const struct target *t, uint8_t type, uint8_t to[12]);
/* An IPv6 routing header of this type over the target; bytes written. */
size_t routing_header(const struct target *t, uint8_t type, uint8_t to[40]);

/* Packets by hand; room for WIRE_MAX bytes, bytes written. */
#define WIRE_MAX 256
size_t wire_udp(const struct target *t, uint8_t *to); /* IP, UDP, the token */
size_t wire_late(const struct target *t,
		 uint8_t *to); /* IP, a last fragment without ports: the token */
/* An Ethernet header to everybody, at *to; the protocol of the target's family when type is 0. */
size_t wire_ether(const struct target *t, uint8_t *to, uint16_t type);
/* A packet socket; sends a frame by it. */
int packet_open(struct attempt *a, int type);
bool packet_send(const struct target *t, struct attempt *a, int fd, const void *frame, size_t n);

/* Where cgroup v2 is mounted, and the path in there of the job's own cgroup ("" for its top). */
bool cgroup_mount(struct attempt *a, char mount[256], char own[256]);
/* Into the cgroup of this folder; then UDP and TCP to the target. */
bool cgroup_enter(struct attempt *a, const char *folder);
void tell_plainly(const struct target *t, struct attempt *a);

/* io_uring: one queue of few entries. */
struct ring {
	int fd;
	uint8_t *sq, *cq;
	struct io_uring_sqe *sqes;
	struct io_uring_params p;
};
bool ring_open(struct ring *r, struct attempt *a, unsigned flags);
void ring_add(struct ring *r, const struct io_uring_sqe *sqe);
/* Submits what was added and waits for n answers, at most some hundred ms; the first that is
 * negative becomes *a, else the last is in *ret. */
bool ring_run(struct ring *r, struct attempt *a, unsigned n, int *ret, const char *what);

/* One rtnetlink request, its answer's error; body after the header is the caller's. */
struct rtnl {
	struct {
		uint32_t len;
		uint16_t type, flags;
		uint32_t seq, pid;
	} head;
	uint8_t body[512];
};
void rtnl_start(struct rtnl *r, uint16_t type, uint16_t flags, const void *body, size_t n);
void rtnl_attr(struct rtnl *r, uint16_t type, const void *data, size_t n);
bool rtnl_do(struct rtnl *r, struct attempt *a, const char *what);

#endif
