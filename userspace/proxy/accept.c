// SPDX-License-Identifier: Apache-2.0
/*
 * Accepting: see accept.h. A connection is served only if the kernel programs left a record on its
 * socket that names this job: what got to the listener in another way is reset. Out of descriptors,
 * the listeners rest for a moment; they are level-triggered and would spin.
 */
#include "proxy/accept.h"

#include "proxy/conn.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCH 32 /* accepted in one go, before other sockets get their turn */
#define REST_MS 100
#define NOTE_MS 1000 /* one limit.hit event in this time */

struct listener {
	struct listener *next;
	struct proxy *px;
	struct watch watch;
	int fd;
	uint64_t netns;
};

static struct {
	struct listener *first; /* of every network namespace */
	struct timer rest, note;
	uint64_t refused; /* since the last limit.hit event */
} door;

static void on_listener(struct watch *w, uint32_t events);

static int lookup(int map, int fd, struct egret_record *ret)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_fd = (uint32_t)map;
	a.key = (uintptr_t)&fd;
	a.value = (uintptr_t)ret;
	return syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &a, sizeof(a)) ? -errno : 0;
}

/* The record is put on the socket when its handshake ends. In theory accept can be faster: a call
 * that takes the socket's lock waits for that. */
static int find_record(const struct proxy *px, int fd, struct egret_record *ret)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);
	int r;

	r = lookup(px->records, fd, ret);
	if (r == -ENOENT && !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n))
		r = lookup(px->records, fd, ret);
	if (r)
		return r;
	return ret->job == px->job && ret->proto == IPPROTO_TCP ? 0 : -EPERM;
}

static void no_record(struct proxy *px, int fd)
{
	struct event e;

	record_begin(px, &e, EVENT_CONNECT, VERDICT_DENY, REASON_NO_RECORD, NULL, NULL, STR(""));
	record_note(px, &e);
	conn_reset(fd);
}

static void on_note(struct timer *t)
{
	struct proxy *px = t->owner;
	struct event e;

	if (!door.refused)
		return;
	record_begin(px, &e, EVENT_LIMIT_HIT, VERDICT_DENY, REASON_LIMIT, NULL, NULL, STR(""));
	event_text(&e, FIELD_MESSAGE, STR("limits.connections: connections were reset"));
	event_num(&e, FIELD_LOST_COUNT, door.refused);
	record_note(px, &e);
	door.refused = 0;
}

static void too_many(struct proxy *px, int fd)
{
	conn_reset(fd);
	door.refused++;
	if (!door.note.loop)
		timer_set(px->loop, &door.note, NOTE_MS, on_note, px);
}

static void serve(struct proxy *px, uint64_t netns, int fd)
{
	struct egret_record record = { 0 };

	if (px->connections >= px->limits.connections) {
		too_many(px, fd);
		return;
	}
	if (find_record(px, fd, &record)) {
		no_record(px, fd);
		return;
	}
	conn_start(px, netns, fd, &record);
}

static void on_rested(struct timer *t)
{
	struct proxy *px = t->owner;

	for (struct listener *l = door.first; l; l = l->next)
		if (!l->watch.loop &&
		    watch_add(px->loop, &l->watch, l->fd, EPOLLIN, on_listener, l))
			timer_set(px->loop, &door.rest, REST_MS, on_rested, px);
}

static void rest(struct proxy *px)
{
	for (struct listener *l = door.first; l; l = l->next)
		watch_del(&l->watch);
	timer_set(px->loop, &door.rest, REST_MS, on_rested, px);
}

static void on_listener(struct watch *w, uint32_t events)
{
	struct listener *l = w->owner;
	struct proxy *px = l->px;
	int fd;

	for (int i = 0; i < BATCH && w->loop; i++) {
		fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			serve(px, l->netns, fd);
		} else if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) {
			continue;
		} else if (errno == EAGAIN) {
			return;
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			rest(px);
			return;
		} else {
			/* The listener itself is of no use any more: so are we. */
			loop_stop(px->loop, 1);
			return;
		}
	}
}

int accept_add(struct proxy *px, uint64_t netns, int fd)
{
	int flags = fcntl(fd, F_GETFL), on = 1;
	struct listener *l;
	int r;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	/* What is accepted has it from the listener. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	l = mem_new(sizeof(*l));
	l->px = px;
	l->fd = fd;
	l->netns = netns;
	if (!door.rest.loop) {
		r = watch_add(px->loop, &l->watch, fd, EPOLLIN, on_listener, l);
		if (r) {
			free(l);
			return r;
		}
	}
	l->next = door.first;
	door.first = l;
	return 0;
}

static struct listener *listener_close(struct listener *l)
{
	struct listener *next = l->next;

	watch_del(&l->watch);
	close(l->fd);
	free(l);
	return next;
}

void accept_close(uint64_t netns)
{
	struct listener **at = &door.first;

	while (*at) {
		if ((*at)->netns == netns)
			*at = listener_close(*at);
		else
			at = &(*at)->next;
	}
}

void accept_stop(void)
{
	timer_del(&door.rest);
	while (door.first)
		door.first = listener_close(door.first);
	if (door.refused)
		on_note(&door.note);
	timer_del(&door.note);
}
