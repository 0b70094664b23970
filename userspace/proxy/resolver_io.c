// SPDX-License-Identifier: Apache-2.0
/*
 * Sockets of the nameserver: see resolver_io.h. Bytes are passed to the answerer as they are. A TCP
 * client asks, waits for its answer, asks again; the oldest client makes room for a new one.
 */
#include "proxy/resolver_io.h"

#include "proxy/dns.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX 16
#define BATCH 64
#define IDLE_MS 10000
#define REST_MS 100

struct client {
	struct resolver_io *io;
	struct client *older, *newer;
	int fd;
	struct watch watch;
	struct timer idle;
	size_t in_n, out_n, out_at;
	uint8_t in[2 + DNS_QUERY_MAX];
	uint8_t out[2 + 1024];
};

struct resolver_io {
	struct loop *loop;
	resolver_fn fn;
	void *owner;
	struct watch sockets[SOCKETS_MAX];
	int fds[SOCKETS_MAX];
	bool tcp[SOCKETS_MAX];
	unsigned nsockets;
	struct client *newest, *oldest;
	size_t clients, clients_max;
	struct timer rest;
};

struct resolver_io *resolver_io_new(struct loop *l, size_t clients_max, resolver_fn fn, void *owner)
{
	struct resolver_io *io = mem_new(sizeof(*io));

	io->loop = l;
	io->clients_max = clients_max;
	io->fn = fn;
	io->owner = owner;
	return io;
}

static void client_free(struct client *c)
{
	struct resolver_io *io = c->io;

	if (c->older)
		c->older->newer = c->newer;
	else
		io->oldest = c->newer;
	if (c->newer)
		c->newer->older = c->older;
	else
		io->newest = c->older;
	io->clients--;
	watch_del(&c->watch);
	timer_del(&c->idle);
	close(c->fd);
	free(c);
}

void resolver_io_free(struct resolver_io *io)
{
	if (!io)
		return;
	while (io->oldest)
		client_free(io->oldest);
	timer_del(&io->rest);
	for (unsigned i = 0; i < io->nsockets; i++) {
		watch_del(&io->sockets[i]);
		close(io->fds[i]);
	}
	free(io);
}

static void on_datagram(struct watch *w, uint32_t events)
{
	struct resolver_io *io = w->owner;
	uint8_t in[DNS_QUERY_MAX], out[DNS_UDP_MAX];
	struct sockaddr_storage from;
	socklen_t from_n;
	ssize_t n;
	size_t len;

	for (int i = 0; i < BATCH; i++) {
		from_n = sizeof(from);
		n = recvfrom(w->fd, in, sizeof(in), MSG_DONTWAIT | MSG_TRUNC,
			     (struct sockaddr *)&from, &from_n);
		if (n < 0)
			return;
		if ((size_t)n > sizeof(in))
			continue;
		len = io->fn(io->owner, in, (size_t)n, out, sizeof(out), true);
		if (len)
			(void)sendto(w->fd, out, len, MSG_DONTWAIT, (struct sockaddr *)&from,
				     from_n);
	}
}

static void on_idle(struct timer *t)
{
	client_free(t->owner);
}

/* Answers the whole messages that are there, one at a time. false: the client is gone. */
static bool client_answer(struct client *c)
{
	struct resolver_io *io = c->io;
	size_t len;
	ssize_t n;

	for (;;) {
		while (c->out_at < c->out_n) {
			n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n < 0 && errno == EAGAIN) {
				watch_set(&c->watch, EPOLLOUT);
				return true;
			}
			if (n < 0) {
				client_free(c);
				return false;
			}
			c->out_at += (size_t)n;
		}
		c->out_at = c->out_n = 0;
		watch_set(&c->watch, EPOLLIN);
		if (c->in_n < 2)
			return true;
		len = (size_t)c->in[0] << 8 | c->in[1];
		if (len > DNS_QUERY_MAX) {
			client_free(c);
			return false;
		}
		if (c->in_n < 2 + len)
			return true;
		n = (ssize_t)io->fn(io->owner, c->in + 2, len, c->out + 2, sizeof(c->out) - 2,
				    false);
		c->in_n -= 2 + len;
		memmove(c->in, c->in + 2 + len, c->in_n);
		if (n) {
			c->out[0] = (uint8_t)((size_t)n >> 8);
			c->out[1] = (uint8_t)n;
			c->out_n = 2 + (size_t)n;
		}
		timer_set(io->loop, &c->idle, IDLE_MS, on_idle, c);
	}
}

static void on_client(struct watch *w, uint32_t events)
{
	struct client *c = w->owner;
	ssize_t n;

	if (!c->out_n) {
		n = recv(c->fd, c->in + c->in_n, sizeof(c->in) - c->in_n, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN && !(events & (EPOLLHUP | EPOLLERR)))
			return;
		if (n <= 0) {
			client_free(c);
			return;
		}
		c->in_n += (size_t)n;
	}
	(void)client_answer(c);
}

static void client_new(struct resolver_io *io, int fd)
{
	struct client *c;

	if (io->clients >= io->clients_max)
		client_free(io->oldest);
	c = mem_new(sizeof(*c));
	c->io = io;
	c->fd = fd;
	c->older = io->newest;
	if (io->newest)
		io->newest->newer = c;
	else
		io->oldest = c;
	io->newest = c;
	io->clients++;
	if (watch_add(io->loop, &c->watch, fd, EPOLLIN, on_client, c))
		die("out of memory for a resolver's client");
	timer_set(io->loop, &c->idle, IDLE_MS, on_idle, c);
}

static void on_listener(struct watch *w, uint32_t events);

static int watch_sockets(struct resolver_io *io)
{
	int r = 0;

	for (unsigned i = 0; i < io->nsockets && !r; i++)
		if (!io->sockets[i].loop)
			r = watch_add(io->loop, &io->sockets[i], io->fds[i], EPOLLIN,
				      io->tcp[i] ? on_listener : on_datagram, io);
	return r;
}

static void on_rested(struct timer *t)
{
	struct resolver_io *io = t->owner;

	if (watch_sockets(io))
		timer_set(io->loop, &io->rest, REST_MS, on_rested, io);
}

static void on_listener(struct watch *w, uint32_t events)
{
	struct resolver_io *io = w->owner;
	int fd;

	for (int i = 0; i < BATCH; i++) {
		fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			client_new(io, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			watch_del(w);
			timer_set(io->loop, &io->rest, REST_MS, on_rested, io);
			return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			return;
		}
	}
}

static int add(struct resolver_io *io, int fd, bool tcp)
{
	int flags = fcntl(fd, F_GETFL);

	if (io->nsockets == SOCKETS_MAX)
		return -ENOSPC;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	io->fds[io->nsockets] = fd;
	io->tcp[io->nsockets] = tcp;
	io->nsockets++;
	return watch_sockets(io);
}

int resolver_io_udp(struct resolver_io *io, int fd)
{
	return add(io, fd, false);
}

int resolver_io_tcp(struct resolver_io *io, int fd)
{
	return add(io, fd, true);
}
