// SPDX-License-Identifier: Apache-2.0
/*
 * Happy eyeballs: see race.h. Attempts run beside each other until one connects or the deadline
 * passes; there are never more than there are addresses. A family that lost to the other one goes
 * second for a while, so that a host whose IPv6 leads nowhere pays for it once.
 */
#include "proxy/race.h"

#include "base/clock.h"
#include "proxy/address.h"
#include "proxy/sockets.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define STAGGER_MS 250 /* RFC 8305, 5: between two attempts */
#define LOST_MS 600000 /* so long is it remembered which family lost */

struct attempt {
	struct race *race;
	uint8_t addr[16];
	int fd; /* -1: not begun, or failed */
	struct watch watch;
	struct socket_ask *ask;
	struct record_wait *wait;
};

struct race {
	struct proxy *px;
	struct attempt list[RESOLVE_MAX]; /* in the order in which they are tried */
	unsigned n, next, live;
	uint16_t port;
	uint64_t netns;
	struct told_for what;
	uint64_t deadline;
	struct timer timer;
	bool told;
	uint8_t last[16]; /* told last */
	race_fn fn;
	void *owner;
};

/* Of this process's one proxy: the family that lost to the other, and until when that counts. */
static struct {
	bool v4;
	uint64_t until;
} lost;

static void arrange(struct race *r, const uint8_t (*addrs)[16], unsigned n)
{
	bool v4 = address_is_v4(addrs[0]), used[RESOLVE_MAX] = { false };

	if (lost.until > clock_now() && lost.v4 == v4)
		v4 = !v4;
	while (r->n < n) {
		unsigned i = 0;

		while (i < n && (used[i] || address_is_v4(addrs[i]) != v4))
			i++;
		v4 = !v4;
		if (i == n)
			continue; /* no more of this family: the other's turn */
		used[i] = true;
		r->list[r->n].race = r;
		r->list[r->n].fd = -1;
		memcpy(r->list[r->n++].addr, addrs[i], 16);
	}
}

static void attempt_drop(struct attempt *a)
{
	watch_del(&a->watch);
	sockets_cancel(a->ask);
	a->ask = NULL;
	record_wait_cancel(a->wait);
	a->wait = NULL;
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

bool race_cancel(struct race *r, uint8_t last[16])
{
	bool told = r && r->told;

	if (!r)
		return false;
	timer_del(&r->timer);
	for (unsigned i = 0; i < r->n; i++)
		attempt_drop(&r->list[i]);
	if (told)
		memcpy(last, r->last, 16);
	free(r);
	return told;
}

static void finish(struct race *r, int err, int fd, const uint8_t *addr)
{
	race_fn fn = r->fn;
	void *owner = r->owner;
	uint8_t copy[16], last[16];

	memcpy(copy, addr, sizeof(copy));
	race_cancel(r, last);
	fn(owner, err, fd, copy);
}

static void won(struct attempt *a)
{
	struct race *r = a->race;
	bool v4 = address_is_v4(a->addr);
	int fd = a->fd;

	if (lost.v4 == v4)
		lost.until = 0;
	for (struct attempt *b = r->list; b < a; b++) {
		if (address_is_v4(b->addr) == v4)
			continue;
		lost.v4 = !v4;
		lost.until = clock_now() + LOST_MS;
	}
	watch_del(&a->watch);
	a->fd = -1;
	finish(r, 0, fd, a->addr);
}

static void on_time(struct timer *t);

static void failed(struct attempt *a, int err)
{
	struct race *r = a->race;

	attempt_drop(a);
	r->live--;
	if (r->next < r->n)
		timer_set(r->px->loop, &r->timer, 0, on_time, r);
	else if (!r->live)
		finish(r, err, -1, a->addr);
}

static void on_writable(struct watch *w, uint32_t events)
{
	struct attempt *a = w->owner;
	socklen_t n = sizeof(int);
	int err = 0;

	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &err, &n))
		err = errno;
	if (err)
		failed(a, -err);
	else
		won(a);
}

static int dial_one(const struct attempt *a)
{
	uint16_t port = htons(a->race->port);
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = port };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = port };
	bool v4 = address_is_v4(a->addr);

	memcpy(&a4.sin_addr, a->addr + 12, 4);
	memcpy(&a6.sin6_addr, a->addr, 16);
	if (v4 ? connect(a->fd, (struct sockaddr *)&a4, sizeof(a4))
	       : connect(a->fd, (struct sockaddr *)&a6, sizeof(a6)))
		return -errno;
	return 0;
}

/* Told: now it may be dialled. */
static void on_told(void *owner, int err, uint64_t n)
{
	struct attempt *a = owner;
	struct race *r = a->race;
	int e;

	a->wait = NULL;
	if (err) {
		finish(r, -ENOLINK, -1, a->addr);
		return;
	}
	r->told = true;
	memcpy(r->last, a->addr, 16);
	e = dial_one(a);
	if (!e)
		won(a);
	else if (e != -EINPROGRESS)
		failed(a, e);
	else if (watch_add(r->px->loop, &a->watch, a->fd, EPOLLOUT, on_writable, a))
		die("out of memory for a dial's watch");
}

static void on_socket(void *owner, int fd)
{
	struct attempt *a = owner;
	struct race *r = a->race;
	struct record_wait *w;

	a->ask = NULL;
	if (fd < 0) {
		failed(a, fd);
		return;
	}
	a->fd = fd;
	/* May answer at once, and the race may be gone then. */
	w = told_dial(r->px, a->fd, &r->what, a->addr, r->port, on_told, a);
	if (w)
		a->wait = w;
}

static void launch(struct attempt *a)
{
	int family = address_is_v4(a->addr) ? AF_INET : AF_INET6, fd;
	struct race *r = a->race;

	r->live++;
	if (r->netns) {
		a->ask = sockets_get(r->px, r->netns, family, on_socket, a);
		return;
	}
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	on_socket(a, fd < 0 ? -errno : fd);
}

static void on_time(struct timer *t)
{
	struct race *r = t->owner;
	uint64_t now = clock_now(), left = r->deadline - now;
	struct attempt *a = r->list;

	if (now >= r->deadline) {
		while (a < &r->list[r->n - 1] && a->fd < 0)
			a++;
		finish(r, -ETIMEDOUT, -1, a->addr);
		return;
	}
	if (r->next < r->n)
		a = &r->list[r->next++];
	else
		a = NULL;
	timer_set(r->px->loop, t, r->next < r->n && left > STAGGER_MS ? STAGGER_MS : left, on_time,
		  r);
	if (a)
		launch(a);
}

struct race *race_start(struct proxy *px, const struct race_want *want, race_fn fn, void *owner)
{
	struct race *r = mem_new(sizeof(*r));

	r->px = px;
	r->port = want->port;
	r->netns = want->netns;
	r->what = want->what;
	r->deadline = clock_now() + want->ms;
	r->fn = fn;
	r->owner = owner;
	arrange(r, want->addrs, want->n);
	timer_set(px->loop, &r->timer, 0, on_time, r);
	return r;
}

void race_host(struct race *r, struct str host)
{
	r->what.host = host;
}
