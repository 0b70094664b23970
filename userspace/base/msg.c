/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames between egret's processes. The peer is another program under another uid, maybe taken
 * over: every byte received is hostile until check() has walked the whole frame. Frames may carry
 * secrets (MSG_CRED, MSG_CA), so their memory is never moved by realloc and is wiped before it is
 * freed.
 */
#include "base/msg.h"

#include "base/proto.h"
#include "base/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_SIZE 8u
#define FIELD_HEAD 4u

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}

static void set16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void set32(uint8_t *p, uint32_t v)
{
	set16(p, (uint16_t)v);
	set16(p + 2, (uint16_t)(v >> 16));
}

static bool is_fd_tag(uint16_t tag)
{
	return tag >= TAG_FD_TCP;
}

/* ---- out ---- */

/* buf_add would let realloc leave a copy of a secret behind. */
static bool grow(struct buf *b, size_t room)
{
	size_t size = b->size ? b->size : 512;
	char *p;

	if (room > b->limit - b->n)
		return false;
	if (b->n + room <= b->size)
		return true;
	while (size < b->n + room)
		size *= 2;
	p = malloc(size);
	if (!p)
		die("out of memory: a message of %zu bytes", size);
	if (b->n)
		memcpy(p, b->p, b->n);
	if (b->p)
		wipe(b->p, b->n);
	free(b->p);
	b->p = p;
	b->size = size;
	return true;
}

void msg_begin(struct msg_out *m, uint16_t type, uint32_t id)
{
	*m = (struct msg_out){ .bytes.limit = MSG_SIZE_MAX };
	grow(&m->bytes, HEAD_SIZE);
	set16((uint8_t *)m->bytes.p, type);
	set16((uint8_t *)m->bytes.p + 2, 0);
	set32((uint8_t *)m->bytes.p + 4, id);
	m->bytes.n = HEAD_SIZE;
}

void msg_put(struct msg_out *m, uint16_t tag, const void *p, size_t n)
{
	uint8_t *to;

	if (m->failed || n > UINT16_MAX || m->fields >= MSG_FIELDS_MAX ||
	    !grow(&m->bytes, FIELD_HEAD + n)) {
		m->failed = true;
		return;
	}
	to = (uint8_t *)m->bytes.p + m->bytes.n;
	set16(to, tag);
	set16(to + 2, (uint16_t)n);
	if (n)
		memcpy(to + FIELD_HEAD, p, n);
	m->bytes.n += FIELD_HEAD + n;
	m->fields++;
}

void msg_put_str(struct msg_out *m, uint16_t tag, struct str s)
{
	msg_put(m, tag, s.p, s.n);
}

void msg_put_u64(struct msg_out *m, uint16_t tag, uint64_t v)
{
	uint8_t b[8];

	set32(b, (uint32_t)v);
	set32(b + 4, (uint32_t)(v >> 32));
	msg_put(m, tag, b, sizeof(b));
}

void msg_put_fd(struct msg_out *m, uint16_t tag, int fd)
{
	uint8_t index = (uint8_t)m->nfds;

	if (m->nfds >= MSG_FDS_MAX || fd < 0) {
		m->failed = true;
		return;
	}
	msg_put(m, tag, &index, 1);
	if (!m->failed)
		m->fds[m->nfds++] = fd;
}

void msg_out_done(struct msg_out *m)
{
	if (m->bytes.p)
		wipe(m->bytes.p, m->bytes.n);
	buf_done(&m->bytes);
	m->nfds = 0;
}

int msg_bytes(struct msg_out *m, struct str *ret)
{
	if (m->failed || !m->bytes.p)
		return -EMSGSIZE;
	set16((uint8_t *)m->bytes.p + 2, (uint16_t)m->fields);
	*ret = buf_str(&m->bytes);
	return 0;
}

int msg_send(int sock, struct msg_out *m)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)];
	} control;
	struct iovec iov = { m->bytes.p, m->bytes.n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r;

	if (m->failed || !m->bytes.p) {
		msg_out_done(m);
		return -EMSGSIZE;
	}
	set16((uint8_t *)m->bytes.p + 2, (uint16_t)m->fields);
	if (m->nfds) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * m->nfds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * m->nfds);
		memcpy(CMSG_DATA(c), m->fds, sizeof(int) * m->nfds);
	}
	do {
		r = sendmsg(sock, &mh, MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EAGAIN)
		return -EAGAIN;
	r = r < 0 ? -errno : 0; /* a SEQPACKET send is whole or nothing */
	msg_out_done(m);
	return (int)r;
}

/* ---- in ---- */

/* The whole frame: lengths add up, the count is right, fields that name descriptors have that form.
 */
static bool check(const uint8_t *p, size_t n, struct msg_in *m)
{
	size_t at = HEAD_SIZE;
	unsigned fields = 0;

	if (n < HEAD_SIZE || n > MSG_SIZE_MAX || get16(p) == 0)
		return false;
	while (at < n) {
		size_t len;

		if (n - at < FIELD_HEAD)
			return false;
		len = get16(p + at + 2);
		if (len > n - at - FIELD_HEAD)
			return false;
		if (is_fd_tag(get16(p + at)) && (len != 1 || p[at + FIELD_HEAD] >= MSG_FDS_MAX))
			return false;
		at += FIELD_HEAD + len;
		fields++;
	}
	if (fields > MSG_FIELDS_MAX || fields != get16(p + 2))
		return false;
	m->type = get16(p);
	m->id = get32(p + 4);
	m->fields = fields;
	m->body = p + HEAD_SIZE;
	m->body_n = n - HEAD_SIZE;
	return true;
}

/* Each descriptor that came is named by exactly one field, and each field that names one has one.
 */
static bool check_fds(const struct msg_in *m)
{
	uint32_t seen = 0;
	unsigned named = 0;

	for (size_t at = 0; at < m->body_n; at += FIELD_HEAD + get16(m->body + at + 2)) {
		uint8_t index;

		if (!is_fd_tag(get16(m->body + at)))
			continue;
		index = m->body[at + FIELD_HEAD];
		if (index >= m->nfds || (seen & (1u << index)))
			return false;
		seen |= 1u << index;
		named++;
	}
	return named == m->nfds;
}

int msg_parse(const void *p, size_t n, struct msg_in *m)
{
	struct msg_in in = { 0 };

	if (!check(p, n, &in))
		return -EBADMSG;
	*m = in;
	return 0;
}

static void take_control(struct msghdr *mh, struct msg_in *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (m->nfds < MSG_FDS_MAX)
				m->fds[m->nfds++] = fd;
			else
				close(fd);
		}
	}
}

static int receive(int sock, int flags, struct msg_in *m)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)];
	} control;
	struct msg_in in = { 0 };
	struct iovec iov;
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes) };
	ssize_t n;

	do {
		n = recv(sock, NULL, 0, MSG_PEEK | MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (n > MSG_SIZE_MAX)
		n = MSG_SIZE_MAX; /* the rest is cut off below and the frame refused */
	in.bytes = mem_new((size_t)n);
	iov = (struct iovec){ in.bytes, (size_t)n };
	do {
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC | flags);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		int err = errno;

		msg_in_done(&in);
		return -err;
	}
	take_control(&mh, &in);
	if (n == 0 && in.nfds == 0) {
		msg_in_done(&in);
		return -ECONNRESET;
	}
	if ((mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || !check(in.bytes, (size_t)n, &in) ||
	    !check_fds(&in)) {
		msg_in_done(&in);
		return -EBADMSG;
	}
	*m = in;
	return 0;
}

int msg_recv(int sock, struct msg_in *m)
{
	return receive(sock, 0, m);
}

int msg_peek(int sock, struct msg_in *m)
{
	return receive(sock, MSG_PEEK, m);
}

void msg_in_done(struct msg_in *m)
{
	for (unsigned i = 0; i < m->nfds; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	if (m->bytes && m->body)
		wipe(m->bytes, HEAD_SIZE + m->body_n);
	free(m->bytes);
	*m = (struct msg_in){ 0 };
}

bool msg_each(const struct msg_in *m, uint16_t tag, size_t *at, struct str *ret)
{
	while (*at < m->body_n) {
		const uint8_t *f = m->body + *at;
		size_t len = get16(f + 2);

		*at += FIELD_HEAD + len;
		if (get16(f) == tag) {
			*ret = (struct str){ (const char *)f + FIELD_HEAD, len };
			return true;
		}
	}
	return false;
}

int msg_get(const struct msg_in *m, uint16_t tag, struct str *ret)
{
	struct str s, second;
	size_t at = 0;

	if (!msg_each(m, tag, &at, &s))
		return -ENOENT;
	if (msg_each(m, tag, &at, &second))
		return -EBADMSG; /* a list where one is expected: never guess which */
	*ret = s;
	return 0;
}

int msg_get_str(const struct msg_in *m, uint16_t tag, size_t max, struct str *ret)
{
	struct str s;
	int r = msg_get(m, tag, &s);

	if (r < 0)
		return r;
	if (s.n > max || (s.n && memchr(s.p, 0, s.n)))
		return -EBADMSG;
	*ret = s;
	return 0;
}

int msg_get_u64(const struct msg_in *m, uint16_t tag, uint64_t *ret)
{
	struct str s;
	int r = msg_get(m, tag, &s);

	if (r < 0)
		return r;
	if (s.n != 8)
		return -EBADMSG;
	*ret = (uint64_t)get32((const uint8_t *)s.p) | (uint64_t)get32((const uint8_t *)s.p + 4)
							       << 32;
	return 0;
}

int msg_take_fd_of(struct msg_in *m, struct str field, int *ret)
{
	uint8_t index;

	if (field.n != 1)
		return -EBADMSG;
	index = (uint8_t)field.p[0];
	if (index >= m->nfds || m->fds[index] < 0)
		return -EBADMSG;
	*ret = TAKE_FD(m->fds[index]);
	return 0;
}

int msg_take_fd(struct msg_in *m, uint16_t tag, int *ret)
{
	struct str s;
	int r = msg_get(m, tag, &s);

	return r < 0 ? r : msg_take_fd_of(m, s, ret);
}

int msg_pair(int ret[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret) < 0
		       ? -errno
		       : 0;
}
