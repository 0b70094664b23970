// SPDX-License-Identifier: Apache-2.0
/*
 * First bytes: see peek.h. Hostile bytes: all of them; they stay in the socket for who reads it
 * next. Once some were not enough the watch is edge-triggered: they would be reported for ever. A
 * ClientHello that comes byte by byte, in records of a byte, would be read from its start each
 * time: the socket wakes us when it can be complete.
 */
#include "proxy/peek.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define METHOD_MAX 32
#define EVENTS (EPOLLIN | EPOLLRDHUP)
#define HELLO_MAX 262144 /* the largest limits.hello_bytes */

struct peek {
	int fd;
	struct loop *loop;
	struct watch watch;
	struct timer silent, late;
	size_t hello_max;
	bool any, low;
	peek_fn fn;
	void *owner;
};

/* Touched only as far as bytes were there. */
static uint8_t seen[HELLO_MAX + 1];

static bool method_byte(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

/* "METHOD " and the start of a target; CONNECT has an authority behind it. */
static enum peek_kind judge_http(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i < n && i < METHOD_MAX && method_byte(p[i]))
		i++;
	if (i == n)
		return i == METHOD_MAX ? PEEK_OTHER : PEEK_SLOW;
	if (!i || p[i] != ' ')
		return PEEK_OTHER;
	if (i == 7 && !memcmp(p, "CONNECT", 7))
		return PEEK_HTTP;
	if (i + 1 == n)
		return PEEK_SLOW;
	if (p[i + 1] == '/' || p[i + 1] == '*')
		return PEEK_HTTP;
	/* absolute-form */
	for (size_t k = 0; k < 4; k++) {
		if (i + 1 + k == n)
			return PEEK_SLOW;
		if ((p[i + 1 + k] | 0x20) != "http"[k])
			return PEEK_OTHER;
	}
	return PEEK_HTTP;
}

enum peek_kind peek_judge(const uint8_t *p, size_t n, size_t hello_max, struct hello *ret)
{
	switch (hello_parse(p, n, hello_max, ret)) {
	case HELLO_DONE:
		return PEEK_TLS;
	case HELLO_BAD:
		return PEEK_BAD_HELLO;
	case HELLO_MORE:
		return PEEK_SLOW;
	case HELLO_NOT_TLS:
		break;
	}
	return judge_http(p, n);
}

struct peek *peek_cancel(struct peek *p)
{
	if (!p)
		return NULL;
	watch_del(&p->watch);
	timer_del(&p->silent);
	timer_del(&p->late);
	free(p);
	return NULL;
}

/* Not before so many bytes are there, or an end. */
static void wake_at(struct peek *p, size_t n)
{
	int bytes = (int)(n < p->hello_max + 1 ? n : p->hello_max + 1);

	if (bytes == 1 && !p->low)
		return;
	p->low = !setsockopt(p->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes)) && bytes > 1;
}

static void peek_end(struct peek *p, enum peek_kind kind, const struct hello *hello)
{
	struct watch watched;
	peek_fn fn = p->fn;
	void *owner = p->owner;

	wake_at(p, 1);
	watch_move(&watched, &p->watch, EVENTS, p->watch.fn, NULL);
	peek_cancel(p);
	fn(owner, kind, hello, &watched);
	watch_del(&watched);
}

static void on_bytes(struct watch *w, uint32_t events)
{
	struct peek *p = w->owner;
	enum peek_kind kind;
	struct hello hello = { .more = 1 };
	ssize_t n;

	n = recv(p->fd, seen, p->hello_max + 1, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN && !(events & (EPOLLHUP | EPOLLERR)))
		return;
	if (n <= 0) {
		peek_end(p, PEEK_ENDED, NULL);
		return;
	}
	p->any = true;
	timer_del(&p->silent);
	kind = peek_judge(seen, (size_t)n, p->hello_max, &hello);
	if (kind != PEEK_SLOW)
		peek_end(p, kind, kind == PEEK_TLS || kind == PEEK_BAD_HELLO ? &hello : NULL);
	else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		peek_end(p, PEEK_OTHER, NULL); /* no more will come */
	else {
		watch_set(w, EVENTS | EPOLLET);
		wake_at(p, (size_t)n + hello.more);
	}
}

static void on_silent(struct timer *t)
{
	peek_end(t->owner, PEEK_SILENT, NULL);
}

static void on_late(struct timer *t)
{
	struct peek *p = t->owner;

	peek_end(p, p->any ? PEEK_SLOW : PEEK_SILENT, NULL);
}

struct peek *peek_start(struct loop *l, int fd, uint64_t silent_ms, uint64_t ms, size_t hello_max,
			peek_fn fn, void *owner)
{
	struct peek *p = mem_new(sizeof(*p));

	p->fd = fd;
	p->loop = l;
	p->hello_max = hello_max < HELLO_MAX ? hello_max : HELLO_MAX;
	p->fn = fn;
	p->owner = owner;
	if (watch_add(l, &p->watch, fd, EVENTS, on_bytes, p))
		die("out of memory for a connection's watch");
	if (silent_ms < ms)
		timer_set(l, &p->silent, silent_ms, on_silent, p);
	timer_set(l, &p->late, ms, on_late, p);
	return p;
}
