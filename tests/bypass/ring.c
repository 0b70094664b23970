// SPDX-License-Identifier: Apache-2.0
/*
 * See wire.h: io_uring and rtnetlink without a library. Called by cases/ inside the job; reads what
 * the kernel puts into the rings and its netlink answers.
 */
#include "wire.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRIES 8

static uint32_t *word(uint8_t *base, uint32_t off)
{
	return (uint32_t *)(void *)(base + off);
}

bool ring_open(struct ring *r, struct attempt *a, unsigned flags)
{
	size_t n;

	memset(r, 0, sizeof(*r));
	r->p.flags = flags;
	r->p.sq_thread_idle = 100;
	r->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &r->p);
	if (r->fd < 0)
		return lacking(a, "io_uring_setup");
	/* One mapping holds both queues since Linux 5.4. */
	n = r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe);
	if (n < r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t))
		n = r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t);
	r->sq = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	r->cq = r->sq;
	r->sqes = mmap(NULL, r->p.sq_entries * sizeof(*r->sqes), PROT_READ | PROT_WRITE, MAP_SHARED,
		       r->fd, IORING_OFF_SQES);
	if (r->sq == MAP_FAILED || r->sqes == MAP_FAILED)
		return failed(a, "mmap of the ring");
	return true;
}

void ring_add(struct ring *r, const struct io_uring_sqe *sqe)
{
	uint32_t *tail = word(r->sq, r->p.sq_off.tail);
	uint32_t at = *tail & *word(r->sq, r->p.sq_off.ring_mask);

	r->sqes[at] = *sqe;
	word(r->sq, r->p.sq_off.array)[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

bool ring_run(struct ring *r, struct attempt *a, unsigned n, int *ret, const char *what)
{
	struct __kernel_timespec limit = { .tv_nsec = 400 * 1000 * 1000 };
	struct io_uring_getevents_arg arg = { .ts = (uint64_t)(uintptr_t)&limit };
	unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
	uint32_t *head = word(r->cq, r->p.cq_off.head), tail;
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(void *)(r->cq + r->p.cq_off.cqes);
	int last = 0;

	if (r->p.flags & IORING_SETUP_SQPOLL)
		flags |= IORING_ENTER_SQ_WAKEUP;
	if (syscall(SYS_io_uring_enter, r->fd, n, n, flags, &arg, sizeof(arg)) < 0 &&
	    errno != ETIME && errno != EINTR)
		return failed(a, "io_uring_enter");
	tail = __atomic_load_n(word(r->cq, r->p.cq_off.tail), __ATOMIC_ACQUIRE);
	if (*head == tail) {
		errno = ETIMEDOUT;
		return failed(a, what);
	}
	for (; *head != tail; *head += 1) {
		last = cqes[*head & *word(r->cq, r->p.cq_off.ring_mask)].res;
		if (last < 0) {
			errno = -last;
			*head = tail;
			return errno == EINVAL ? (a->absent = true, failed(a, what))
					       : failed(a, what);
		}
	}
	if (ret)
		*ret = last;
	return true;
}

void rtnl_start(struct rtnl *r, uint16_t type, uint16_t flags, const void *body, size_t n)
{
	memset(r, 0, sizeof(*r));
	r->head.type = type;
	r->head.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	r->head.seq = 1;
	memcpy(r->body, body, n);
	r->head.len = (uint32_t)(sizeof(r->head) + NLMSG_ALIGN(n));
}

void rtnl_attr(struct rtnl *r, uint16_t type, const void *data, size_t n)
{
	struct rtattr at = { .rta_len = (uint16_t)RTA_LENGTH(n), .rta_type = type };
	uint8_t *to = r->body + r->head.len - sizeof(r->head);

	if (r->head.len - sizeof(r->head) + RTA_SPACE(n) > sizeof(r->body))
		return;
	memcpy(to, &at, sizeof(at));
	if (n)
		memcpy(to + RTA_LENGTH(0), data, n);
	r->head.len += (uint32_t)RTA_SPACE(n);
}

bool rtnl_do(struct rtnl *r, struct attempt *a, const char *what)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr err;
		char more[1024];
	} got;
	struct pollfd p = { .events = POLLIN };
	ssize_t n = -1;

	p.fd = sock_open(a, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, "socket(AF_NETLINK)");
	if (p.fd < 0)
		return false;
	if (send(p.fd, r, r->head.len, 0) >= 0 && poll(&p, 1, 300) == 1)
		n = recv(p.fd, &got, sizeof(got), 0);
	close(p.fd);
	if (n < (ssize_t)(sizeof(got.head) + sizeof(got.err)) ||
	    got.head.nlmsg_type != NLMSG_ERROR) {
		errno = EIO;
		return failed(a, what);
	}
	if (got.err.error) {
		errno = -got.err.error;
		return failed(a, what);
	}
	return true;
}
