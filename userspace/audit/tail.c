// SPDX-License-Identifier: Apache-2.0
/*
 * Reads the end of the log when the process starts, with pread only. The lines are our own, but the
 * disk may have torn the last one, so they are read as strictly as any others, and what is no line
 * is passed over. From the last 1 MiB come: the number to go on from; the highest record number of
 * each job, so that a record that was appended but not acknowledged before a crash is not appended
 * twice (a batch is acknowledged before the next is begun and holds at most AUDIT_BATCH_BYTES, so
 * that much is enough).
 */
#include "audit/audit.h"
#include "event/jsonread.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW (1u << 20)
#define WINDOW_MAX (64u << 20)

static int read_at(int fd, char *to, size_t n, off_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = pread(fd, to + done, n - done, at + (off_t)done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r ? -errno : -EIO;
		done += (size_t)r;
	}
	return 0;
}

static void add_entry(struct tail *t, size_t *room, struct str job, uint64_t n, uint64_t seq)
{
	struct tail_entry *e;

	if (job.n >= sizeof(e->job))
		return;
	if (t->nentries == *room) {
		*room = *room ? *room * 2 : 256;
		e = reallocarray(t->entries, *room, sizeof(*e));
		if (!e)
			die("out of memory: %zu lines of the log", *room);
		t->entries = e;
	}
	e = &t->entries[t->nentries++];
	memset(e, 0, sizeof(*e));
	memcpy(e->job, job.p, job.n);
	e->n = n;
	e->seq = seq;
}

static void look_at(struct tail *t, size_t *room, struct json_line *l, struct str line)
{
	uint64_t seq, n;
	struct str job;

	if (json_line_read(l, line) || !json_num(l, "seq", &seq) || seq <= t->seq)
		return;
	t->seq = seq;
	job = json_text(l, "job.id");
	if (job.n && json_num(l, "job.n", &n))
		add_entry(t, room, job, n, seq);
	if (str_is(json_text(l, "lost.where"), "kernel") && json_num(l, "lost.total", &n))
		t->kernel_lost = n;
}

static void look(struct tail *t, const char *p, size_t n, bool from_start)
{
	struct json_line *l = json_line_new();
	size_t at = 0, room = 0;

	if (!from_start) {
		const char *first = memchr(p, '\n', n);

		at = first ? (size_t)(first - p) + 1 : n;
	}
	while (at < n) {
		const char *end = memchr(p + at, '\n', n - at);

		if (!end) {
			uint64_t before = t->seq;

			/* Only its newline may be missing: then it is whole, and its number is
			 * taken. */
			look_at(t, &room, l, (struct str){ p + at, n - at });
			t->unended = true;
			t->torn = t->seq == before ? n - at : 0;
			break;
		}
		look_at(t, &room, l, (struct str){ p + at, (size_t)(end - p) - at });
		at = (size_t)(end - p) + 1;
	}
	json_line_free(l);
}

int tail_read(int log, struct tail *ret)
{
	struct stat st;

	if (fstat(log, &st))
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		*ret = (struct tail){ 0 };
		return 0;
	}
	for (uint64_t window = WINDOW; window <= WINDOW_MAX; window *= 4) {
		uint64_t size = (uint64_t)st.st_size, n = size < window ? size : window;
		cleanup_free char *p = mem_new((size_t)n + 1);
		struct tail t = { 0 };
		int r = read_at(log, p, (size_t)n, (off_t)(size - n));

		if (r)
			return r;
		look(&t, p, (size_t)n, n == size);
		/* A torn first line, and nothing else, is a log that starts. */
		if (t.seq || (n == size && (!n || t.torn == n))) {
			*ret = t;
			return 0;
		}
		tail_done(&t);
		if (n == size)
			break;
	}
	return -EBADMSG;
}

void tail_done(struct tail *t)
{
	free(t->entries);
	*t = (struct tail){ 0 };
}

uint64_t tail_highest(const struct tail *t, const char *job)
{
	uint64_t n = 0;

	for (size_t i = 0; i < t->nentries; i++)
		if (!strcmp(t->entries[i].job, job) && t->entries[i].n > n)
			n = t->entries[i].n;
	return n;
}

uint64_t tail_seq(const struct tail *t, const char *job, uint64_t n)
{
	for (size_t i = t->nentries; i > 0; i--)
		if (t->entries[i - 1].n == n && !strcmp(t->entries[i - 1].job, job))
			return t->entries[i - 1].seq;
	return 0;
}
