/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue towards egretd, for answers and events. It reads nothing. control.c flushes it when the
 * socket takes bytes again.
 */
#include "broker/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct outbox_item {
	struct outbox_item *next;
	struct msg_out m; /* its descriptors are ours */
};

void outbox_init(struct outbox *o, int fd)
{
	*o = (struct outbox){ .fd = fd };
	o->last = &o->first;
}

static void drop(struct outbox *o, struct msg_out *m)
{
	msg_out_done(m);
	o->lost++;
}

static void item_free(struct outbox_item *i, const int *fds, unsigned nfds)
{
	for (unsigned k = 0; k < nfds; k++)
		close(fds[k]);
	msg_out_done(&i->m);
	free(i);
}

bool outbox_flush(struct outbox *o)
{
	while (o->first) {
		struct outbox_item *i = o->first;
		int fds[MSG_FDS_MAX];
		unsigned nfds = i->m.nfds;
		int r;

		memcpy(fds, i->m.fds, sizeof(fds));
		r = o->fd < 0 ? -EPIPE : msg_send(o->fd, &i->m);
		if (r == -EAGAIN)
			return false;
		if (r < 0)
			o->lost++;
		o->first = i->next;
		if (!o->first)
			o->last = &o->first;
		o->count--;
		item_free(i, fds, nfds);
	}
	return true;
}

void outbox_send(struct outbox *o, struct msg_out *m)
{
	struct outbox_item *i;

	if (o->fd < 0 || o->count >= OUTBOX_MAX) {
		drop(o, m);
		return;
	}
	if (!o->first) {
		int r = msg_send(o->fd, m);

		if (r != -EAGAIN) {
			if (r < 0)
				o->lost++;
			return;
		}
	}
	i = mem_new(sizeof(*i));
	for (unsigned k = 0; k < m->nfds; k++) {
		int fd = fcntl(m->fds[k], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			while (k--)
				close(m->fds[k]);
			free(i);
			m->nfds = 0;
			drop(o, m);
			return;
		}
		m->fds[k] = fd;
	}
	i->m = *m;
	*m = (struct msg_out){ 0 };
	*o->last = i;
	o->last = &i->next;
	o->count++;
	if (o->watch)
		watch_set(o->watch, EPOLLIN | EPOLLOUT);
}

void outbox_done(struct outbox *o)
{
	o->fd = -1;
	outbox_flush(o);
}
