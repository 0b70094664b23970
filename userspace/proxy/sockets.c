// SPDX-License-Identifier: Apache-2.0
/* Sockets of other network namespaces, as asked of their sources: see sockets.h. Answers come in
 * the order of the questions. */
#include "proxy/sockets.h"

#include "base/log.h"
#include "base/msg.h"
#include "base/proto.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define AT_ONCE 32   /* questions under way at one source */
#define GONE_MS 1000 /* egretd says first that the namespace is gone, where it is */

struct source;
struct socket_ask {
	struct source *source; /* NULL: it has failed, fn is told by the timer */
	struct socket_ask *next;
	int family;
	bool sent;
	struct timer fail;
	socket_fn fn; /* NULL: given up, while it was under way */
	void *owner;
};

struct source {
	struct source *next;
	struct proxy *px;
	uint64_t netns;
	int fd; /* -1: it is gone */
	struct watch watch;
	struct timer gone;
	struct socket_ask *first; /* the oldest; those under way first */
	unsigned sent;
};

static struct source *sources;

static struct source *find(uint64_t netns)
{
	struct source *s = sources;

	while (s && s->netns != netns)
		s = s->next;
	return s;
}

uint64_t sockets_from(uint64_t netns)
{
	return find(netns) ? netns : 0;
}

static void on_fail(struct timer *t)
{
	struct socket_ask *a = t->owner;
	socket_fn fn = a->fn;
	void *owner = a->owner;

	free(a);
	fn(owner, -ENETDOWN);
}

static void fail_later(struct proxy *px, struct socket_ask *a)
{
	a->source = NULL;
	timer_set(px->loop, &a->fail, 0, on_fail, a);
}

static void drop_all(struct source *s)
{
	struct socket_ask *a;

	watch_del(&s->watch);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->sent = 0;
	while ((a = s->first)) {
		s->first = a->next;
		if (a->fn)
			fail_later(s->px, a);
		else
			free(a);
	}
}

static void on_gone(struct timer *t)
{
	struct source *s = t->owner;

	log_err("the source of sockets of a network namespace has ended: so does the proxy");
	loop_stop(s->px->loop, 1);
}

static void lose(struct source *s)
{
	drop_all(s);
	timer_set(s->px->loop, &s->gone, GONE_MS, on_gone, s);
}

static int ask_one(const struct source *s, const struct socket_ask *a)
{
	struct msg_out m;
	int r;

	msg_begin(&m, MSG_SOCKET_GET, 0);
	msg_put_u64(&m, TAG_INDEX, (uint64_t)a->family);
	r = msg_send(s->fd, &m);
	msg_out_done(&m);
	return r;
}

static void ask_more(struct source *s)
{
	for (struct socket_ask *a = s->first; a && s->fd >= 0 && s->sent < AT_ONCE; a = a->next) {
		if (a->sent)
			continue;
		if (ask_one(s, a)) {
			lose(s);
			return;
		}
		a->sent = true;
		s->sent++;
	}
}

static void answered(struct source *s, int fd)
{
	struct socket_ask *a = s->first;
	socket_fn fn = a->fn;
	void *owner = a->owner;

	s->first = a->next;
	s->sent--;
	free(a);
	ask_more(s);
	if (fn)
		fn(owner, fd);
	else if (fd >= 0)
		close(fd);
}

static void on_answer(struct watch *w, uint32_t events)
{
	struct source *s = w->owner;
	uint64_t code = EIO;
	struct msg_in m;
	int fd = -1, r = msg_recv(w->fd, &m);

	if (r == -EAGAIN)
		return;
	if (r || !s->first || !s->first->sent) {
		if (!r)
			msg_in_done(&m);
		lose(s);
		return;
	}
	if (m.type == MSG_OK)
		r = msg_take_fd(&m, TAG_FD_DIAL, &fd);
	else if (!msg_get_u64(&m, TAG_CODE, &code) && code && code < 4096)
		r = -(int)code;
	else
		r = -EIO;
	msg_in_done(&m);
	answered(s, r ? r : fd);
}

int sockets_add(struct proxy *px, uint64_t netns, int fd)
{
	struct source *s = mem_new(sizeof(*s));
	int r;

	s->px = px;
	s->netns = netns;
	s->fd = fd;
	r = watch_add(px->loop, &s->watch, fd, EPOLLIN, on_answer, s);
	if (r) {
		free(s);
		return r;
	}
	s->next = sources;
	sources = s;
	return 0;
}

void sockets_close(uint64_t netns)
{
	struct source **at = &sources, *s;

	while ((s = *at) && s->netns != netns)
		at = &s->next;
	if (!s)
		return;
	*at = s->next;
	timer_del(&s->gone);
	drop_all(s);
	free(s);
}

struct socket_ask *sockets_get(struct proxy *px, uint64_t netns, int family, socket_fn fn,
			       void *owner)
{
	struct source *s = find(netns);
	struct socket_ask *a = mem_new(sizeof(*a)), **at;

	a->family = family;
	a->fn = fn;
	a->owner = owner;
	if (!s || s->fd < 0) {
		fail_later(px, a);
		return a;
	}
	a->source = s;
	for (at = &s->first; *at; at = &(*at)->next)
		;
	*at = a;
	ask_more(s);
	return a;
}

void sockets_cancel(struct socket_ask *a)
{
	struct socket_ask **at;

	if (!a)
		return;
	if (a->sent && a->source) {
		a->fn = NULL;
		return;
	}
	timer_del(&a->fail);
	if (a->source) {
		for (at = &a->source->first; *at != a; at = &(*at)->next)
			;
		*at = a->next;
	}
	free(a);
}
