// SPDX-License-Identifier: Apache-2.0
/*
 * Reads line files for the verbs (cli/lines.h). A log of any size: blocks of 256 KiB, never the
 * whole. What a line holds is not looked at here.
 */
#include "cli/lines.h"
#include "cli/cli.h"
#include "event/json.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK (256u << 10)

struct lines {
	int fd, notify;
	char *path; /* NULL for stdin */
	bool file;
	struct buf buf;
	size_t used;   /* bytes of buf handed out */
	bool skipping; /* inside a line that is too long */
	uint64_t too_long;
};

int lines_open(const char *path, struct lines **ret)
{
	cleanup_close int fd = !strcmp(path, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
						  : open(path, O_RDONLY | O_CLOEXEC);
	struct lines *l;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	l = lines_take(TAKE_FD(fd));
	l->file = S_ISREG(st.st_mode);
	l->path = strcmp(path, "-") ? mem_dup(str_of(path)) : NULL;
	*ret = l;
	return 0;
}

struct lines *lines_take(int fd)
{
	struct lines *l = mem_new(sizeof(*l));

	l->fd = fd;
	l->notify = -1;
	buf_init(&l->buf, EVENT_LINE_MAX + BLOCK);
	return l;
}

struct lines *lines_free(struct lines *l)
{
	if (!l)
		return NULL;
	close(l->fd);
	if (l->notify >= 0)
		close(l->notify);
	buf_done(&l->buf);
	free(l->path);
	free(l);
	return NULL;
}

bool lines_is_file(const struct lines *l)
{
	return l->file;
}

uint64_t lines_too_long(const struct lines *l)
{
	return l->too_long;
}

/* 1 more bytes, 0 end, -errno. */
static int fill(struct lines *l)
{
	ssize_t r;

	buf_consume(&l->buf, l->used);
	l->used = 0;
	if (l->buf.n >= EVENT_LINE_MAX) {
		if (!l->skipping)
			l->too_long++;
		l->skipping = true;
		l->buf.n = 0;
	}
	if (buf_reserve(&l->buf, BLOCK))
		return -EMSGSIZE;
	do {
		r = read(l->fd, l->buf.p + l->buf.n, BLOCK);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	l->buf.n += (size_t)r;
	return r > 0;
}

int lines_next(struct lines *l, bool whole, struct str *ret)
{
	for (;;) {
		size_t n = l->buf.n - l->used;
		char *from = n ? l->buf.p + l->used : NULL;
		char *end = n ? memchr(from, '\n', n) : NULL;
		int r;

		if (end) {
			bool skipped = l->skipping;

			l->used += (size_t)(end - from) + 1;
			l->skipping = false;
			if (skipped)
				continue;
			*ret = (struct str){ from, (size_t)(end - from) };
			return 1;
		}
		r = fill(l);
		if (r < 0)
			return r;
		if (r)
			continue;
		if (whole || !l->buf.n || l->skipping)
			return 0;
		*ret = buf_str(&l->buf);
		l->used = l->buf.n;
		return 1;
	}
}

static int read_at(int fd, char *to, size_t n, off_t at)
{
	while (n) {
		ssize_t r = pread(fd, to, n, at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r ? -errno : -EIO;
		to += r;
		at += r;
		n -= (size_t)r;
	}
	return 0;
}

/* Calls fn for the whole lines in p[0..n), last first; *ret_head is where the first newline is:
 * what lies before belongs to an earlier block. */
static bool each_back(const char *p, size_t n, size_t *ret_head,
		      bool (*fn)(void *owner, struct str line), void *owner)
{
	size_t end = n;

	while (end) {
		const char *nl = memrchr(p, '\n', end - 1);
		size_t from = nl ? (size_t)(nl - p) + 1 : 0;

		if (!nl) {
			*ret_head = end;
			return true;
		}
		if (!fn(owner, (struct str){ p + from, end - 1 - from }))
			return false;
		end = from;
	}
	*ret_head = 0;
	return true;
}

int lines_back(struct lines *l, bool (*fn)(void *owner, struct str line), void *owner)
{
	cleanup_free char *p = mem_new(BLOCK + EVENT_LINE_MAX);
	struct stat st;
	size_t held = 0; /* the end of an earlier line, at the front of p: its bytes follow the
			    block read next */
	off_t at;
	bool first = true;

	if (fstat(l->fd, &st))
		return -errno;
	/* Bytes behind the last newline are a line that is being written. */
	at = st.st_size;
	if (lseek(l->fd, at, SEEK_SET) < 0)
		return -errno;
	while (at > 0) {
		size_t n = at > BLOCK ? BLOCK : (size_t)at, head;
		int r;

		memmove(p + n, p, held);
		at -= (off_t)n;
		r = read_at(l->fd, p, n, at);
		if (r)
			return r;
		n += held;
		if (first) {
			char *last = memrchr(p, '\n', n);

			if (lseek(l->fd, last ? at + (last + 1 - p) : at, SEEK_SET) < 0)
				return -errno;
			n = last ? (size_t)(last + 1 - p) : 0;
			first = !last;
		}
		if (!each_back(p, n, &head, fn, owner))
			return 0;
		held = head;
		if (held > EVENT_LINE_MAX) {
			l->too_long++;
			held = 0;
		}
	}
	if (held)
		fn(owner, (struct str){ p, held - 1 });
	return 0;
}

/* Another file under our path, or ours was cut: begin that one. */
static int reopen(struct lines *l)
{
	struct stat ours, there;
	int fd;

	if (!l->path || !l->file || fstat(l->fd, &ours) || stat(l->path, &there))
		return 0;
	if (ours.st_ino == there.st_ino && ours.st_dev == there.st_dev &&
	    there.st_size >= lseek(l->fd, 0, SEEK_CUR))
		return 0;
	fd = open(l->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(l->fd);
	l->fd = fd;
	l->buf.n = l->used = 0;
	if (l->notify >= 0)
		close(l->notify);
	l->notify = -1;
	return 0;
}

int lines_wait(struct lines *l, int wait_ms)
{
	struct pollfd p = { .fd = l->fd, .events = POLLIN };
	char drop[4096];

	if (!l->file)
		return poll(&p, 1, wait_ms) < 0 && errno != EINTR ? -errno : 0;
	if (l->notify < 0) {
		l->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		/* Without inotify the time-out alone looks. */
		if (l->notify >= 0 &&
		    inotify_add_watch(l->notify, l->path, IN_MODIFY | IN_MOVE_SELF) >= 0)
			return reopen(l); /* what came before the watch is there to read now */
	}
	p.fd = l->notify;
	if (poll(&p, 1, wait_ms) < 0 && errno != EINTR)
		return -errno;
	if (l->notify >= 0 && read(l->notify, drop, sizeof(drop)) < 0 && errno != EAGAIN)
		return -errno;
	return reopen(l);
}

const char *lines_log(void)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/events.ndjson", cli_state_dir());
	return path;
}
