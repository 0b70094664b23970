/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See override_file.h. The file: 16 bytes of magic, then records of one size, each with the first 8
 * bytes of its SHA-256 behind it. Written whole beside its place, synced, renamed.
 */
#include "egretd/override_file.h"

#include "policy/policy.h"
#include "policy/sha256.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[16] = "egret overrides1";

struct record { /* little endian */
	uint64_t begun_us, until_us, ends_us;
	uint32_t uid, pid, least, none;
	char boot[OVERRIDE_BOOT_MAX], comm[16];
	char repo[OVERRIDE_REPO_MAX + 8], reason[OVERRIDE_REASON_MAX + 8];
	uint8_t check[8];
};
_Static_assert(sizeof(struct record) == 24 + 16 + 40 + 16 + 264 + 264 + 8, "as it lies on disk");

bool override_text(struct str s, size_t max)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return s.n > 0 && s.n <= max;
}

uint64_t override_left(const struct override_kept *k, const char *boot, uint64_t boot_us,
		       uint64_t wall_us)
{
	if (!strcmp(k->boot, boot))
		return k->ends_us > boot_us ? k->ends_us - boot_us : 0;
	if (wall_us < k->begun_us || wall_us >= k->until_us)
		return 0;
	return k->until_us - wall_us;
}

static void check_of(const struct record *r, uint8_t to[8])
{
	uint8_t d[32];

	sha256(r, offsetof(struct record, check), d);
	memcpy(to, d, 8);
}

static void put(const struct override_kept *k, struct record *r)
{
	*r = (struct record){ .begun_us = htole64(k->begun_us),
			      .until_us = htole64(k->until_us),
			      .ends_us = htole64(k->ends_us),
			      .uid = htole32(k->uid),
			      .pid = htole32(k->pid),
			      .least = htole32(k->least) };
	memcpy(r->boot, k->boot, sizeof(r->boot));
	memcpy(r->comm, k->comm, sizeof(r->comm));
	snprintf(r->repo, sizeof(r->repo), "%s", k->repo);
	snprintf(r->reason, sizeof(r->reason), "%s", k->reason);
	check_of(r, r->check);
}

static int write_all(int fd, const void *bytes, size_t n)
{
	errno = 0;
	if (write(fd, bytes, n) != (ssize_t)n)
		return errno ? -errno : -ENOSPC;
	return 0;
}

static int sync_folder(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	cleanup_close int fd = -1;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 0, path);
	fd = open(*folder ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int overrides_write(const char *path, const struct override_kept *all, unsigned n)
{
	cleanup_close int fd = -1;
	char fresh[PATH_MAX];
	struct record rec;
	int r;

	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.new", path) >= sizeof(fresh))
		return -ENAMETOOLONG;
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, magic, sizeof(magic));
	for (unsigned i = 0; i < n && r == 0; i++) {
		put(&all[i], &rec);
		r = write_all(fd, &rec, sizeof(rec));
	}
	if (r == 0 && (fsync(fd) < 0 || rename(fresh, path) < 0))
		r = -errno;
	return r == 0 ? sync_folder(path) : r;
}

static bool ends_within(const char *text, size_t n)
{
	return memchr(text, 0, n) != NULL;
}

static int take(const struct record *r, struct override_kept *k)
{
	uint8_t check[8];

	check_of(r, check);
	if (memcmp(check, r->check, 8) || !ends_within(r->boot, sizeof(r->boot)) ||
	    !ends_within(r->comm, sizeof(r->comm)) || !ends_within(r->repo, sizeof(r->repo)) ||
	    !ends_within(r->reason, sizeof(r->reason)) ||
	    !override_text(str_of(r->repo), OVERRIDE_REPO_MAX) ||
	    !override_text(str_of(r->reason), OVERRIDE_REASON_MAX))
		return -EBADMSG;
	*k = (struct override_kept){ .begun_us = le64toh(r->begun_us),
				     .until_us = le64toh(r->until_us),
				     .ends_us = le64toh(r->ends_us),
				     .uid = le32toh(r->uid),
				     .pid = le32toh(r->pid),
				     .least = le32toh(r->least) };
	if (k->until_us < k->begun_us || k->until_us - k->begun_us > OVERRIDE_TTL_MAX_MS * 1000 ||
	    (k->least != ASSURANCE_RUNNER && k->least != ASSURANCE_SIGNED))
		return -EBADMSG;
	memcpy(k->boot, r->boot, sizeof(k->boot));
	memcpy(k->comm, r->comm, sizeof(k->comm));
	memcpy(k->repo, r->repo, strlen(r->repo));
	memcpy(k->reason, r->reason, strlen(r->reason));
	return 0;
}

static int read_file(int fd, struct override_kept *all, unsigned *ret)
{
	char head[sizeof(magic)];
	struct record rec;
	struct stat st;
	unsigned n = 0;
	ssize_t got;
	int r = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return -EPERM;
	if (read(fd, head, sizeof(head)) != (ssize_t)sizeof(head) ||
	    memcmp(head, magic, sizeof(magic)))
		return -EBADMSG;
	while (r == 0 && (got = read(fd, &rec, sizeof(rec))) > 0) {
		if (got != (ssize_t)sizeof(rec) || n == OVERRIDES_MAX)
			return -EBADMSG;
		r = take(&rec, &all[n++]);
	}
	if (r == 0)
		*ret = n;
	return r;
}

int overrides_read(const char *path, struct override_kept *all, unsigned *ret, char *why, size_t n)
{
	cleanup_close int fd =
		open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0 && errno == ENOENT) {
		*ret = 0;
		return 0;
	}
	r = fd < 0 ? -errno : read_file(fd, all, ret);
	if (r < 0)
		snprintf(why, n, "%s: %s", path,
			 r == -EBADMSG ? "it is damaged"
			 : r == -EPERM ? "others than egretd could have written it"
				       : strerror(-r));
	return r;
}
