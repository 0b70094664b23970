// SPDX-License-Identifier: Apache-2.0
/*
 * A job's lines, read again out of the log and given to one reader: `egret summary` in a job's last
 * hook, which may not open root's log. egretd decided that the reader may see this job; the socket
 * is the reader's, so nothing is ever waited for on it. Lines are picked by the name that this
 * process wrote into them itself (a quote inside a job's own text is escaped, so no text of a job
 * looks like it). A block of the log a turn: rings have theirs in between.
 */
#include "audit/audit.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK (256u << 10)
#define BACK_MAX (256u << 20) /* so much of the log is looked through */
#define REPLAYS_MAX 64u

struct replay {
	struct replay *next;
	struct audit *a;
	struct watch watch;
	int fd;
	off_t at, end;
	char mark[100];	 /* how the job's lines begin their "job" */
	struct buf read; /* from the log: whole lines and the start of one */
	struct buf due;	 /* for the reader */
};

static void replay_free(struct replay *p)
{
	struct replay **at = &p->a->replays;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->a->nreplays--;
	watch_del(&p->watch);
	close(p->fd);
	buf_done(&p->read);
	buf_done(&p->due);
	free(p);
}

/* 0, or -errno. */
static int pick(struct replay *p)
{
	const char *from = p->read.p, *end = from + p->read.n, *line;

	for (; from < end; from = line + 1) {
		line = memchr(from, '\n', (size_t)(end - from));
		if (!line)
			break;
		if (memmem(from, (size_t)(line - from), p->mark, strlen(p->mark)) &&
		    buf_add(&p->due, from, (size_t)(line - from) + 1))
			return -EMSGSIZE;
	}
	buf_consume(&p->read, (size_t)(from - p->read.p));
	return 0;
}

static int next_block(struct replay *p)
{
	size_t n = p->end - p->at < (off_t)BLOCK ? (size_t)(p->end - p->at) : BLOCK;
	ssize_t got;

	if (buf_reserve(&p->read, n))
		return -EMSGSIZE; /* a line longer than any of ours */
	do {
		got = pread(p->a->log, p->read.p + p->read.n, n, p->at);
	} while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got ? -errno : -EIO;
	p->read.n += (size_t)got;
	p->at += got;
	return pick(p);
}

static void on_room(struct watch *w, uint32_t events)
{
	struct replay *p = w->owner;
	ssize_t r;

	if (events & (EPOLLERR | EPOLLHUP)) {
		replay_free(p);
		return;
	}
	if (!p->due.n && (p->at >= p->end || next_block(p))) {
		replay_free(p);
		return;
	}
	if (!p->due.n)
		return;
	r = send(p->fd, p->due.p, p->due.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (r < 0 && errno != EAGAIN && errno != EINTR)
		replay_free(p);
	else if (r > 0)
		buf_consume(&p->due, (size_t)r);
}

int replay_start(struct audit *a, const char *job, uint64_t from, int fd)
{
	cleanup_close int owned = fd;
	struct replay *p;
	struct stat st, log;
	int r;

	if (fstat(owned, &st) || fstat(a->log, &log))
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	if (!S_ISREG(log.st_mode))
		return -ENOTSUP;
	if (a->nreplays >= REPLAYS_MAX)
		return -EBUSY;
	p = mem_new(sizeof(*p));
	p->a = a;
	p->end = log.st_size;
	p->at = (off_t)from < p->end ? (off_t)from : p->end;
	if (p->end - p->at > (off_t)BACK_MAX)
		p->at = p->end - (off_t)BACK_MAX;
	snprintf(p->mark, sizeof(p->mark), ",\"job\":{\"id\":\"%s\"", job);
	buf_init(&p->read, BLOCK + EVENT_LINE_MAX);
	buf_init(&p->due, BLOCK + EVENT_LINE_MAX);
	r = watch_add(a->loop, &p->watch, owned, EPOLLOUT, on_room, p);
	if (r) {
		free(p);
		return r;
	}
	p->fd = TAKE_FD(owned);
	p->next = a->replays;
	a->replays = p;
	a->nreplays++;
	return 0;
}

void replays_done(struct audit *a)
{
	while (a->replays)
		replay_free(a->replays);
}
