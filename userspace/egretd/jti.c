/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See jti.h. A record is 48 bytes: SHA-256 of issuer, NUL and jti; le64 expiry (wall, s); the first
 * 8 bytes of the SHA-256 of those 40. A torn end is cut off at the next start: its job never went
 * on.
 */
#include "egretd/jti.h"

#include "policy/sha256.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct record {
	uint8_t digest[32];
	uint64_t expires; /* le */
	uint8_t check[8];
};
_Static_assert(sizeof(struct record) == 48, "as it lies on disk");

struct jti {
	int fd; /* append */
	unsigned n;
	struct record *all; /* JTI_MAX of them */
	char path[4200];
};

static void check_of(const struct record *r, uint8_t to[8])
{
	uint8_t d[32];

	sha256(r, offsetof(struct record, check), d);
	memcpy(to, d, 8);
}

static struct record record_of(struct str issuer, struct str jti, uint64_t expires)
{
	struct record r = { .expires = htole64(expires) };
	struct buf b;

	buf_init(&b, 4096);
	if (buf_add(&b, issuer.p, issuer.n) < 0 || buf_add(&b, "", 1) < 0 ||
	    buf_add(&b, jti.p, jti.n) < 0)
		die("a token name longer than its check allows");
	sha256(b.p, b.n, r.digest);
	buf_done(&b);
	check_of(&r, r.check);
	return r;
}

static void drop_expired(struct jti *j, uint64_t now)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < j->n; i++)
		if (le64toh(j->all[i].expires) + 60 > now) /* the leeway of its check */
			j->all[kept++] = j->all[i];
	j->n = kept;
}

static int load(struct jti *j, char *why, size_t n)
{
	int fd = open(j->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t check[8];
	ssize_t r = 0;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0) {
		snprintf(why, n, "%s: %s", j->path, strerror(errno));
		return -EIO;
	}
	while (j->n < JTI_MAX) {
		r = read(fd, &j->all[j->n], sizeof(j->all[0]));
		if (r != (ssize_t)sizeof(j->all[0]))
			break;
		check_of(&j->all[j->n], check);
		if (memcmp(check, j->all[j->n].check, 8)) {
			close(fd);
			snprintf(why, n,
				 "%s is damaged: tokens could be used twice. Move it away if none "
				 "of "
				 "its tokens can be good any more",
				 j->path);
			return -EBADMSG;
		}
		j->n++;
	}
	close(fd);
	return r < 0 ? -EIO : 0;
}

/* Whole beside its place, synced, renamed; then opened for what comes. */
static int rewrite(struct jti *j)
{
	cleanup_close int fd = -1;
	char fresh[sizeof(j->path) + 8];
	size_t size = j->n * sizeof(j->all[0]);

	snprintf(fresh, sizeof(fresh), "%s.new", j->path);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_APPEND, 0600);
	if (fd < 0)
		return -errno;
	if ((size && write(fd, j->all, size) != (ssize_t)size) || fsync(fd) < 0 ||
	    rename(fresh, j->path) < 0)
		return errno ? -errno : -EIO;
	cleanup_close_p(&j->fd);
	j->fd = TAKE_FD(fd);
	return 0;
}

int jti_open(const char *state_dir, uint64_t now, struct jti **ret, char *why, size_t n)
{
	struct jti *j = mem_new(sizeof(*j));
	int r;

	j->fd = -1;
	j->all = mem_new(JTI_MAX * sizeof(j->all[0]));
	snprintf(j->path, sizeof(j->path), "%s/jti", state_dir);
	r = load(j, why, n);
	if (r == 0) {
		drop_expired(j, now);
		r = rewrite(j);
		if (r < 0)
			snprintf(why, n, "%s cannot be written: %s", j->path, strerror(-r));
	}
	if (r < 0) {
		jti_close(j);
		return r;
	}
	*ret = j;
	return 0;
}

void jti_close(struct jti *j)
{
	if (!j)
		return;
	cleanup_close_p(&j->fd);
	free(j->all);
	free(j);
}

int jti_take(struct jti *j, struct str issuer, struct str jti, uint64_t expires, uint64_t now,
	     char *why, size_t n)
{
	struct record r = record_of(issuer, jti, expires);

	if (expires > now + JTI_DAYS_MAX * 86400ull) {
		snprintf(why, n, "the token is good for more than %u days (exp)", JTI_DAYS_MAX);
		return -EINVAL;
	}
	for (unsigned i = 0; i < j->n; i++)
		if (!memcmp(j->all[i].digest, r.digest, sizeof(r.digest))) {
			snprintf(why, n, "this token was used before (jti)");
			return -EEXIST;
		}
	if (j->n == JTI_MAX) {
		drop_expired(j, now);
		if (j->n == JTI_MAX || rewrite(j) < 0) {
			snprintf(why, n, "%u tokens that are still good are kept already", JTI_MAX);
			return -ENOSPC;
		}
	}
	errno = 0;
	if (write(j->fd, &r, sizeof(r)) != (ssize_t)sizeof(r) || fdatasync(j->fd) < 0) {
		int err = errno ? errno : ENOSPC;

		snprintf(why, n,
			 "%s cannot be written: %s; a token is taken only when its use is on "
			 "record",
			 j->path, strerror(err));
		(void)!rewrite(j); /* without half a record, if the disk lets it */
		return -err;
	}
	j->all[j->n++] = r;
	return 0;
}
