/* SPDX-License-Identifier: Apache-2.0 */
/* See journal.h. Called by keep.c. What is read from disk is hostile until its tag is right. */
#include "broker/journal.h"

#include "broker/disk.h"
#include "broker/seal.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC "egretLJ1"
#define HEAD 24u
#define RECORD_HEAD 16u
#define FILE_MAX (256u << 20)
#define TEMP ".leases.new"

static uint32_t head_sum(const uint8_t head[RECORD_HEAD])
{
	return (uint32_t)crc32(0, head, RECORD_HEAD - 4);
}

/* What a box is bound to: this file, this place in it. */
static struct str bind_to(uint8_t aad[sizeof(((struct journal *)0)->id) + RECORD_HEAD],
			  const struct journal *j, const uint8_t head[RECORD_HEAD])
{
	memcpy(aad, j->id, sizeof(j->id));
	memcpy(aad + sizeof(j->id), head, RECORD_HEAD);
	return (struct str){ (const char *)aad, sizeof(j->id) + RECORD_HEAD };
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* One record at p: its whole size; 0: nothing more, *ret says why. */
static size_t read_one(struct journal *j, const uint8_t *p, size_t left, journal_fn record,
		       void *owner, enum journal_found *ret)
{
	uint8_t aad[sizeof(j->id) + RECORD_HEAD];
	struct secret open;
	struct msg_in m;
	size_t n;
	int r;

	*ret = left ? JOURNAL_TORN : JOURNAL_GOOD;
	if (left < RECORD_HEAD)
		return 0;
	if (le_get(p + 12, 4) != head_sum(p) || le_get(p + 4, 8) != j->seq + 1) {
		*ret = all_zero(p + RECORD_HEAD, left - RECORD_HEAD) ? JOURNAL_TORN : JOURNAL_BAD;
		return 0;
	}
	n = le_get(p, 4);
	if (n > MSG_SIZE_MAX + SEAL_OVER) {
		*ret = JOURNAL_BAD;
		return 0;
	}
	if (n > left - RECORD_HEAD)
		return 0;
	r = seal_open(&j->key, bind_to(aad, j, p), p + RECORD_HEAD, n, &open);
	if (r == -EBADMSG && j->old.n)
		r = seal_open(&j->old, bind_to(aad, j, p), p + RECORD_HEAD, n, &open);
	if (r < 0) {
		/* The last one, or with nothing written behind it. */
		if (!all_zero(p + RECORD_HEAD + n, left - RECORD_HEAD - n))
			*ret = JOURNAL_BAD;
		return 0;
	}
	if (msg_parse(open.p, open.n, &m) < 0) {
		*ret = JOURNAL_BAD;
		n = 0;
	} else {
		j->seq++;
		record(owner, &m);
		n += RECORD_HEAD;
	}
	secret_done(&open);
	return n;
}

static int put_aside(struct journal *j)
{
	close(j->fd);
	j->fd = -1;
	j->size = j->seq = 0;
	return renameat(j->dir, JOURNAL_NAME, j->dir, JOURNAL_DAMAGED) < 0 ? -errno : 0;
}

int journal_open(struct journal *j, journal_fn record, void *owner, enum journal_found *ret,
		 char *why, size_t size)
{
	cleanup_free char *bytes = NULL;
	const uint8_t *p;
	size_t n = 0, at = HEAD, step;
	int r;

	*ret = JOURNAL_GOOD;
	j->fd = -1;
	if (j->dir < 0)
		return 0;
	j->fd = openat(j->dir, JOURNAL_NAME, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	if (j->fd < 0 && errno == ENOENT)
		return 0;
	r = j->fd < 0 ? -errno : disk_read(j->fd, FILE_MAX, &bytes, &n);
	if (r == -EMSGSIZE)
		r = -EFBIG;
	p = (const uint8_t *)bytes;
	if (r < 0) {
		snprintf(why, size, "the journal of leases cannot be read: %s", strerror(-r));
		return r;
	}
	if (n >= HEAD && !memcmp(p, MAGIC, 8)) {
		memcpy(j->id, p + 8, sizeof(j->id));
		while ((step = read_one(j, p + at, n - at, record, owner, ret)))
			at += step;
	} else {
		*ret = n < HEAD || all_zero(p + HEAD, n - HEAD) ? JOURNAL_TORN : JOURNAL_BAD;
		at = 0;
	}
	if (*ret == JOURNAL_BAD) {
		snprintf(
			why, size,
			"the journal of leases is damaged at byte %zu of %zu: leases that were "
			"written behind it are not known any more, and end when they expire; it is "
			"kept as " JOURNAL_DAMAGED,
			at, n);
		r = put_aside(j);
		if (r < 0)
			snprintf(why, size, "the damaged journal of leases cannot be put aside: %s",
				 strerror(-r));
		return r;
	}
	if (*ret == JOURNAL_TORN && at == 0) { /* not even its head was written */
		close(j->fd);
		j->fd = -1;
		return unlinkat(j->dir, JOURNAL_NAME, 0) < 0 ? -errno : 0;
	}
	if (*ret == JOURNAL_TORN && ftruncate(j->fd, (off_t)at) < 0) {
		r = -errno;
		snprintf(why, size, "the end of the journal of leases cannot be cut off: %s",
			 strerror(-r));
		return r;
	}
	j->size = at;
	return 0;
}

static int begin(struct journal *j, const char *name)
{
	uint8_t head[HEAD];
	int r;

	if (j->dir < 0)
		return -ENOENT;
	memcpy(head, MAGIC, 8);
	if (RAND_bytes(head + 8, sizeof(j->id)) != 1)
		return -EIO;
	j->fd = openat(j->dir, name, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       0600);
	if (j->fd < 0)
		return -errno;
	r = disk_write(j->fd, head, sizeof(head));
	if (r < 0) {
		close(j->fd);
		j->fd = -1;
		unlinkat(j->dir, name, 0);
		return r;
	}
	memcpy(j->id, head + 8, sizeof(j->id));
	j->seq = 0;
	j->size = HEAD;
	j->fresh = true;
	return 0;
}

int journal_append(struct journal *j, struct msg_out *m)
{
	uint8_t aad[sizeof(j->id) + RECORD_HEAD];
	cleanup_free uint8_t *record = NULL;
	struct str frame;
	size_t n;
	int r = j->broken ? -EIO : msg_bytes(m, &frame);

	if (r == 0 && j->fd < 0)
		r = begin(j, JOURNAL_NAME);
	if (r < 0) {
		msg_out_done(m);
		return r;
	}
	n = frame.n + SEAL_OVER;
	record = mem_new(RECORD_HEAD + n);
	le_set(record, n, 4);
	le_set(record + 4, j->seq + 1, 8);
	le_set(record + 12, head_sum(record), 4);
	r = seal_box(&j->key, bind_to(aad, j, record), frame.p, frame.n, record + RECORD_HEAD);
	msg_out_done(m);
	if (r == 0)
		r = disk_write(j->fd, record, RECORD_HEAD + n);
	if (r < 0) {
		j->broken = ftruncate(j->fd, (off_t)j->size) < 0;
		return r;
	}
	j->seq++;
	j->size += RECORD_HEAD + n;
	return 0;
}

int journal_sync(struct journal *j)
{
	if (j->fd < 0)
		return 0;
	if (fdatasync(j->fd) < 0 || (j->fresh && fsync(j->dir) < 0))
		return -errno;
	j->fresh = false;
	return 0;
}

int journal_rewrite(struct journal *j, int (*write)(void *owner, struct journal *to), void *owner)
{
	struct journal to = { .dir = j->dir, .fd = -1, .key = j->key, .old = j->old };
	int r;

	if (j->dir < 0)
		return 0;
	if (unlinkat(j->dir, TEMP, 0) < 0 && errno != ENOENT)
		return -errno;
	r = begin(&to, TEMP);
	if (r == 0)
		r = write(owner, &to);
	if (r == 0 && fsync(to.fd) < 0)
		r = -errno;
	if (r == 0 && renameat(j->dir, TEMP, j->dir, JOURNAL_NAME) < 0)
		r = -errno;
	if (r < 0) {
		if (to.fd >= 0)
			close(to.fd);
		unlinkat(j->dir, TEMP, 0);
		return r;
	}
	if (j->fd >= 0)
		close(j->fd);
	*j = to;
	return journal_sync(j);
}

void journal_done(struct journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
	secret_done(&j->key);
	secret_done(&j->old);
}
