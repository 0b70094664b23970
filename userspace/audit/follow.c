// SPDX-License-Identifier: Apache-2.0
/*
 * Who reads along: a descriptor that egretd passed on, of a person's command or a file. It gets
 * whole lines, in order. One that is slow is not waited for: what does not fit
 * limits.events_follow_bytes is not kept, and the follower ends with a `lost` line that says from
 * which number on it is blind. A regular file never lags. A terminal is refused: it can be stopped,
 * and others share its flags.
 */
#include "audit/audit.h"
#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define GATHER 32768u /* lines of one batch go out together, this much at a time */

enum follow_kind { FOLLOW_FILE, FOLLOW_PIPE, FOLLOW_SOCKET };

struct follower {
	struct follower *next, **list;
	struct audit *a;
	int fd;
	enum follow_kind kind;
	struct watch watch;
	struct buf due;
	uint64_t blind_from, blind; /* first number it did not get, and how many */
	bool ending;
};

static void follower_free(struct follower *f)
{
	struct follower **at = f->list;

	while (*at && *at != f)
		at = &(*at)->next;
	if (*at)
		*at = f->next;
	watch_del(&f->watch);
	close(f->fd);
	buf_done(&f->due);
	free(f);
}

/* Bytes taken, or -errno. Never waits. */
static ssize_t give(struct follower *f, const char *p, size_t n)
{
	ssize_t r;

	if (f->kind == FOLLOW_SOCKET)
		r = send(f->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (f->kind == FOLLOW_PIPE && !(fcntl(f->fd, F_GETFL) & O_NONBLOCK))
		return -EPERM; /* its reader made it one that could hold us */
	else
		r = write(f->fd, p, n);
	return r < 0 ? -errno : r;
}

static int last_line(struct follower *f)
{
	struct event e;
	struct event_place at = { .seq = f->blind_from,
				  .time_us = clock_wall_us(),
				  .node = str_of(f->a->node) };

	event_begin(&e, EVENT_LOST, VERDICT_NONE, REASON_LIMIT);
	event_text(&e, FIELD_MESSAGE, STR("this reader was too slow and gets no more lines"));
	event_num(&e, FIELD_LOST_COUNT, f->blind);
	event_text(&e, FIELD_LOST_WHERE, STR("follower"));
	f->blind = 0;
	return event_json(&f->due, &e, &at);
}

/* Gives what is due. False when the follower is gone. */
static bool flush(struct follower *f)
{
	for (;;) {
		while (f->due.n) {
			ssize_t r = give(f, f->due.p, f->due.n);

			if (r == -EINTR)
				continue;
			if (r == -EAGAIN) {
				watch_set(&f->watch, EPOLLOUT);
				return true;
			}
			if (r < 0) {
				if (r != -EPIPE && r != -ECONNRESET)
					log_warn("a reader of events is dropped: %s",
						 strerror((int)-r));
				follower_free(f);
				return false;
			}
			buf_consume(&f->due, (size_t)r);
		}
		if (!f->blind || last_line(f))
			break;
	}
	if (f->ending) {
		follower_free(f);
		return false;
	}
	if (f->kind != FOLLOW_FILE)
		watch_set(&f->watch, 0);
	return true;
}

static void on_follower(struct watch *w, uint32_t events)
{
	struct follower *f = w->owner;

	if (events & (EPOLLERR | EPOLLHUP))
		follower_free(f);
	else
		flush(f);
}

static int kind_of(int fd, enum follow_kind *ret)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && !isatty(fd)))
		*ret = FOLLOW_FILE;
	else if (S_ISFIFO(st.st_mode))
		*ret = FOLLOW_PIPE;
	else if (S_ISSOCK(st.st_mode))
		*ret = FOLLOW_SOCKET;
	else
		return -ENOTSUP;
	return 0;
}

int follow_add(struct audit *a, struct follower **list, int fd)
{
	cleanup_close int owned = fd;
	enum follow_kind kind;
	struct follower *f;
	int r = kind_of(owned, &kind), on = 1;

	if (!r && kind == FOLLOW_PIPE && ioctl(owned, FIONBIO, &on))
		r = -errno;
	if (r)
		return r;
	f = mem_new(sizeof(*f));
	f->a = a;
	f->list = list;
	f->kind = kind;
	/* The bound, and room behind it for the last word. */
	buf_init(&f->due, a->limits.events_follow_bytes + 2 * EVENT_LINE_MAX);
	if (kind != FOLLOW_FILE)
		r = watch_add(a->loop, &f->watch, owned, 0, on_follower, f);
	if (r) {
		buf_done(&f->due);
		free(f);
		return r;
	}
	f->fd = TAKE_FD(owned);
	f->next = *list;
	*list = f;
	return 0;
}

/* Still waiting for its reader? Then giving more is of no use. */
static bool lags(const struct follower *f)
{
	return f->kind != FOLLOW_FILE && f->watch.events & EPOLLOUT;
}

void follow_line(struct follower **list, struct str line, uint64_t seq)
{
	for (struct follower *f = *list, *next; f; f = next) {
		size_t limit = f->a->limits.events_follow_bytes;

		next = f->next;
		if (f->blind || f->ending) {
			f->blind += !!f->blind;
			continue;
		}
		/* Room is made before anybody is called slow. */
		if (f->due.n && !lags(f) && f->due.n + line.n > (limit < GATHER ? limit : GATHER) &&
		    !flush(f))
			continue;
		if (f->due.n + line.n > limit || buf_add_str(&f->due, line)) {
			f->blind_from = seq;
			f->blind = 1;
			f->ending = true;
			flush(f);
		}
	}
}

void follow_flush(struct follower **list)
{
	for (struct follower *f = *list, *next; f; f = next) {
		next = f->next;
		if (f->due.n && !lags(f))
			flush(f);
	}
}

void follow_end(struct follower **list)
{
	for (struct follower *f = *list, *next; f; f = next) {
		next = f->next;
		f->ending = true;
		flush(f);
	}
}

void follow_done(struct follower **list)
{
	while (*list)
		follower_free(*list);
}
