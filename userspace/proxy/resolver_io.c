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

#define BATCH 64
#define IDLE_MS 10000
#define REST_MS 100

#define ANSWER_MAX 1024

struct socket {
	struct socket *next;
	struct resolver_io *io;
	struct watch watch;
	int fd;
	bool tcp;
	uint64_t netns;
};

struct client {
	struct resolver_io *io;
	struct client *older, *newer;
	int fd;
	uint64_t netns, serial;
	bool waits; /* for an answer that comes later */
	struct watch watch;
	struct timer idle;
	size_t in_n, out_n, out_at;
	uint8_t in[2 + DNS_QUERY_MAX];
	uint8_t out[2 + ANSWER_MAX];
};

struct resolver_io {
	struct loop *loop;
	resolver_fn fn;
	void *owner;
	struct socket *sockets;
	struct client *newest, *oldest;
	size_t clients, clients_max;
	uint64_t serial;
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

static struct socket *socket_close(struct socket *s)
{
	struct socket *next = s->next;

	watch_del(&s->watch);
	close(s->fd);
	free(s);
	return next;
}

void resolver_io_free(struct resolver_io *io)
{
	if (!io)
		return;
	while (io->oldest)
		client_free(io->oldest);
	timer_del(&io->rest);
	while (io->sockets)
		io->sockets = socket_close(io->sockets);
	free(io);
}

void resolver_io_close(struct resolver_io *io, uint64_t netns)
{
	struct socket **at = &io->sockets;
	struct client *c, *newer;

	for (c = io->oldest; c; c = newer) {
		newer = c->newer;
		if (c->netns == netns)
			client_free(c);
	}
	while (*at) {
		if ((*at)->netns == netns)
			*at = socket_close(*at);
		else
			at = &(*at)->next;
	}
}

static void on_datagram(struct watch *w, uint32_t events)
{
	struct socket *s = w->owner;
	struct resolver_io *io = s->io;
	uint8_t in[DNS_QUERY_MAX], out[DNS_UDP_MAX];
	struct resolver_asker who = { .netns = s->netns, .udp = true, .fd = s->fd };
	ssize_t n;
	size_t len;

	for (int i = 0; i < BATCH; i++) {
		who.from_n = sizeof(who.from);
		n = recvfrom(w->fd, in, sizeof(in), MSG_DONTWAIT | MSG_TRUNC,
			     (struct sockaddr *)&who.from, &who.from_n);
		if (n < 0)
			return;
		if ((size_t)n > sizeof(in))
			continue;
		len = io->fn(io->owner, &who, in, (size_t)n, out, sizeof(out));
		if (len && len != RESOLVER_LATER)
			resolver_io_answer(io, &who, out, len);
	}
}

static void on_idle(struct timer *t)
{
	client_free(t->owner);
}

/* Answers the whole messages that are there, one at a time. false: the client is gone. */
static bool client_answer(struct client *c)
{
	struct resolver_asker who = { .netns = c->netns, .client = c->serial };
	struct resolver_io *io = c->io;
	size_t len, got;
	ssize_t n;

	while (!c->waits) {
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
		got = io->fn(io->owner, &who, c->in + 2, len, c->out + 2, ANSWER_MAX);
		c->in_n -= 2 + len;
		memmove(c->in, c->in + 2 + len, c->in_n);
		timer_set(io->loop, &c->idle, IDLE_MS, on_idle, c);
		if (got == RESOLVER_LATER) {
			c->waits = true;
			watch_set(&c->watch, 0);
		} else if (got) {
			c->out[0] = (uint8_t)(got >> 8);
			c->out[1] = (uint8_t)got;
			c->out_n = 2 + got;
		}
	}
	return true;
}

void resolver_io_answer(struct resolver_io *io, const struct resolver_asker *who, const uint8_t *p,
			size_t n)
{
	struct client *c = io->newest;

	if (who->udp) {
		(void)sendto(who->fd, p, n, MSG_DONTWAIT, (const struct sockaddr *)&who->from,
			     who->from_n);
		return;
	}
	while (c && c->serial != who->client)
		c = c->older;
	if (!c || !c->waits || n > ANSWER_MAX)
		return;
	memcpy(c->out + 2, p, n);
	c->out[0] = (uint8_t)(n >> 8);
	c->out[1] = (uint8_t)n;
	c->out_n = 2 + n;
	c->waits = false;
	(void)client_answer(c);
}

static void on_client(struct watch *w, uint32_t events)
{
	struct client *c = w->owner;
	ssize_t n;

	if (c->waits) {
		client_free(c); /* nothing but the end of it is watched */
		return;
	}
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

static void client_new(struct resolver_io *io, uint64_t netns, int fd)
{
	struct client *c;

	if (io->clients >= io->clients_max)
		client_free(io->oldest);
	c = mem_new(sizeof(*c));
	c->io = io;
	c->fd = fd;
	c->netns = netns;
	c->serial = ++io->serial;
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

	for (struct socket *s = io->sockets; s && !r; s = s->next)
		if (!s->watch.loop)
			r = watch_add(io->loop, &s->watch, s->fd, EPOLLIN,
				      s->tcp ? on_listener : on_datagram, s);
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
	struct socket *s = w->owner;
	struct resolver_io *io = s->io;
	int fd;

	for (int i = 0; i < BATCH; i++) {
		fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			client_new(io, s->netns, fd);
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

static int add(struct resolver_io *io, uint64_t netns, int fd, bool tcp)
{
	int flags = fcntl(fd, F_GETFL), r;
	struct socket *s;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	s = mem_new(sizeof(*s));
	s->io = io;
	s->fd = fd;
	s->tcp = tcp;
	s->netns = netns;
	r = watch_add(io->loop, &s->watch, fd, EPOLLIN, tcp ? on_listener : on_datagram, s);
	if (r) {
		free(s);
		return r;
	}
	s->next = io->sockets;
	io->sockets = s;
	return 0;
}

int resolver_io_udp(struct resolver_io *io, uint64_t netns, int fd)
{
	return add(io, netns, fd, false);
}

int resolver_io_tcp(struct resolver_io *io, uint64_t netns, int fd)
{
	return add(io, netns, fd, true);
}
