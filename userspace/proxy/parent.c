// SPDX-License-Identifier: Apache-2.0
/*
 * A parent proxy: see parent.h. The answer is peeked at first, so that what the upstream says
 * behind it (a server that speaks first) stays in the socket.
 */
#include "proxy/parent.h"

#include "base/noproxy.h"
#include "http/h1.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define ANSWER_MAX 16384
#define PEEK 2048

static const struct h1_limits limits = { .header_bytes = ANSWER_MAX, .header_count = 100 };

struct parent_ask {
	int fd;
	struct watch watch;
	struct timer deadline;
	struct buf head;
	parent_fn fn;
	void *owner;
};

/* ---- which names ---- */

int parent_new(struct str url, const struct str *no_proxy, unsigned n, struct parent **ret)
{
	struct parent *p;
	struct str host;
	uint16_t port;

	if (proxy_url_split(url, &host, &port))
		return -EINVAL;
	p = mem_new(sizeof(*p));
	p->port = port;
	if (address_parse(host, p->addr) && host_canonical(host, p->host, &p->host_n)) {
		free(p);
		return -EINVAL;
	}
	p->except = mem_new((n + 1) * sizeof(*p->except));
	for (; p->nexcept < n; p->nexcept++)
		p->except[p->nexcept] =
			(struct str){ mem_dup(no_proxy[p->nexcept]), no_proxy[p->nexcept].n };
	*ret = p;
	return 0;
}

struct parent *parent_free(struct parent *p)
{
	if (!p)
		return NULL;
	for (unsigned i = 0; i < p->nexcept; i++)
		free((void *)p->except[i].p);
	free(p->except);
	free(p);
	return NULL;
}

bool parent_takes(const struct parent *p, struct str name, uint16_t port)
{
	if (!p || !name.n)
		return false;
	for (unsigned i = 0; i < p->nexcept; i++)
		if (no_proxy_covers(p->except[i], name, port))
			return false;
	return true;
}

/* ---- asking ---- */

struct parent_ask *parent_ask_cancel(struct parent_ask *a)
{
	if (!a)
		return NULL;
	watch_del(&a->watch);
	timer_del(&a->deadline);
	buf_done(&a->head);
	free(a);
	return NULL;
}

static void finish(struct parent_ask *a, int err, const char *why)
{
	parent_fn fn = a->fn;
	void *owner = a->owner;

	parent_ask_cancel(a);
	fn(owner, err, why);
}

static void judge(struct parent_ask *a)
{
	char why[PARENT_WHY];
	struct arena arena;
	struct h1 h;
	size_t used;
	bool good;

	arena_init(&arena, 4 * ANSWER_MAX);
	h1_init(&h, false, &limits);
	good = h1_next(&h, &arena, a->head.p, a->head.n, false, &used) == H1_HEAD;
	arena_done(&arena);
	if (!good)
		finish(a, -EPROTO, "does not answer in HTTP");
	else if (h.head.status >= 200 && h.head.status < 300)
		finish(a, 0, NULL);
	else if (h.head.status == 407)
		finish(a, -EPROTO, "wants credentials (407), and egret has none for it");
	else {
		(void)snprintf(why, sizeof(why), "refused: it answered CONNECT with %u",
			       h.head.status);
		finish(a, -EPROTO, why);
	}
}

/* How many of the n bytes belong to the head; *ret_whole: it ends there. */
static size_t of_head(const struct buf *before, const char *p, size_t n, bool *ret_whole)
{
	char last[2] = { 0, 0 }; /* the byte before, and the one before that */

	for (size_t i = before->n > 2 ? before->n - 2 : 0; i < before->n; i++) {
		last[1] = last[0];
		last[0] = before->p[i];
	}
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n' && (last[0] == '\n' || (last[0] == '\r' && last[1] == '\n'))) {
			*ret_whole = true;
			return i + 1;
		}
		last[1] = last[0];
		last[0] = p[i];
	}
	*ret_whole = false;
	return n;
}

static void on_bytes(struct watch *w, uint32_t events)
{
	struct parent_ask *a = w->owner;
	char bytes[PEEK];
	ssize_t n = recv(a->fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	bool whole;
	size_t ours;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		finish(a, -EPROTO, "ended the connection without an answer");
		return;
	}
	ours = of_head(&a->head, bytes, (size_t)n, &whole);
	if (recv(a->fd, bytes, ours, MSG_DONTWAIT) != (ssize_t)ours ||
	    buf_add(&a->head, bytes, ours))
		finish(a, -EPROTO, "does not answer in HTTP");
	else if (whole)
		judge(a);
}

static void on_late(struct timer *t)
{
	finish(t->owner, -ETIMEDOUT, "did not answer in time");
}

struct parent_ask *parent_ask_start(struct loop *l, int fd, struct str host, uint16_t port,
				    uint64_t ms, parent_fn fn, void *owner)
{
	struct parent_ask *a = mem_new(sizeof(*a));
	char text[2 * HOST_MAX + 64];
	int n = snprintf(text, sizeof(text), "CONNECT %.*s:%u HTTP/1.1\r\nHost: %.*s:%u\r\n\r\n",
			 STR_ARG(host), port, STR_ARG(host), port);

	a->fd = fd;
	a->fn = fn;
	a->owner = owner;
	buf_init(&a->head, ANSWER_MAX);
	/* A new socket takes it whole; where it does not, no answer comes. */
	(void)!send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (watch_add(l, &a->watch, fd, EPOLLIN | EPOLLRDHUP, on_bytes, a))
		die("out of memory for a parent's watch");
	timer_set(l, &a->deadline, ms, on_late, a);
	return a;
}
