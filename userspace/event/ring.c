// SPDX-License-Identifier: Apache-2.0
/*
 * Makes a ring's descriptors (egretd) and maps them (both sides). The memory is sealed against
 * resizing, so a mapped page never faults.
 *
 * `space` is a datagram socket connected to itself rather than an eventfd: the proxy holds the same
 * open file, and one that is taken over could clear O_NONBLOCK and fill the counter, and the audit
 * process, which all jobs share, would hang in write(2). With MSG_DONTWAIT there is nothing to
 * clear. The audit process never reads `wake` (edge-triggered), so that one can be an eventfd.
 */
#include "event/ring_layout.h"
#include "event/ring.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RING_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* A sealed memfd whose first 8 bytes are the magic. */
static int memory_make(const char *name, size_t size, uint32_t magic, int *ret)
{
	cleanup_close int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	/* 0600: who holds the read-only descriptor cannot open it anew for writing. */
	if (fd < 0 || fchmod(fd, 0600) || ftruncate(fd, (off_t)size) ||
	    pwrite(fd, &magic, sizeof(magic), 0) != sizeof(magic) ||
	    fcntl(fd, F_ADD_SEALS, RING_SEALS))
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

static int space_make(int *ret)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t n = sizeof(un.sun_family);
	cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* A bare family asks the kernel for an abstract name of its own choice; connected, it takes
	 * datagrams from itself alone. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, n))
		return -errno;
	n = sizeof(un);
	if (getsockname(fd, (struct sockaddr *)&un, &n) || connect(fd, (struct sockaddr *)&un, n))
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

int ring_create(size_t size, struct ring_fds *ret)
{
	struct ring_fds f = { -1, -1, -1, -1, -1 };
	char path[64];
	int r;

	if (size < RING_SIZE_MIN || size > RING_SIZE_MAX || (size & (size - 1)))
		return -EINVAL;
	r = memory_make("egret-ring", RING_PAGE + size, RING_MAGIC, &f.data);
	if (!r)
		r = memory_make("egret-ring-ack", sizeof(struct ring_ack), RING_ACK_MAGIC, &f.ack);
	if (!r)
		r = space_make(&f.space);
	if (!r) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", f.ack);
		f.ack_ro = open(path, O_RDONLY | O_CLOEXEC);
		f.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (f.ack_ro < 0 || f.wake < 0)
			r = -errno;
	}
	if (r)
		ring_fds_done(&f);
	else
		*ret = f;
	return r;
}

void ring_fds_done(struct ring_fds *f)
{
	int *fds[] = { &f->data, &f->ack, &f->ack_ro, &f->wake, &f->space };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/* The size of a memfd that can neither shrink nor grow any more. */
static int sealed_size(int fd, uint64_t *ret)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & RING_SEALS) != RING_SEALS)
		return -EBADMSG;
	if (fstat(fd, &st))
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

int ring_map_open(int data, int data_prot, int ack, int ack_prot, struct ring_map *ret)
{
	struct ring_map m = { 0 };
	uint64_t whole, ack_size;
	int r;

	r = sealed_size(data, &whole);
	if (!r)
		r = sealed_size(ack, &ack_size);
	if (r)
		return r;
	if (whole < RING_PAGE + RING_SIZE_MIN || whole > RING_PAGE + RING_SIZE_MAX ||
	    ack_size != sizeof(struct ring_ack))
		return -EBADMSG;
	m.size = (size_t)whole - RING_PAGE;
	if (m.size & (m.size - 1))
		return -EBADMSG;
	m.head = mmap(NULL, (size_t)whole, data_prot, MAP_SHARED, data, 0);
	if (m.head == MAP_FAILED)
		return -errno;
	m.ack = mmap(NULL, sizeof(*m.ack), ack_prot, MAP_SHARED, ack, 0);
	if (m.ack == MAP_FAILED) {
		r = -errno;
		munmap(m.head, (size_t)whole);
		return r;
	}
	m.bytes = (uint8_t *)m.head + RING_PAGE;
	if (m.ack->magic != RING_ACK_MAGIC) {
		ring_map_close(&m);
		return -EBADMSG;
	}
	*ret = m;
	return 0;
}

void ring_map_close(struct ring_map *m)
{
	if (m->ack)
		munmap(m->ack, sizeof(*m->ack));
	if (m->head)
		munmap(m->head, RING_PAGE + m->size);
	*m = (struct ring_map){ 0 };
}

void ring_space_signal(int space)
{
	char token = 0;
	struct iovec iov = { &token, 1 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	/* Full means readable: that is all that is wanted. */
	if (sendmsg(space, &h, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

void ring_space_drain(int space)
{
	char token;
	struct iovec iov = { &token, 1 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	while (recvmsg(space, &h, MSG_DONTWAIT) >= 0)
		h.msg_flags = 0;
}
