/* SPDX-License-Identifier: Apache-2.0 */
/* See archive.h. Called by egretd/library.c (writes) and compile/main.c (reads: every byte of it
 * may be anyone's). */
#include "policy/archive.h"
#include "policy/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARCHIVE_MAGIC 0x31524145u /* "EAR1" */

struct archive_head {
	uint32_t magic, count;
};
struct archive_entry {
	uint32_t kind, name_n, text_n;
};

static int write_at(int fd, const void *data, size_t n, uint64_t at)
{
	const char *p = data;

	while (n) {
		ssize_t k = pwrite(fd, p, n, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p += k;
		n -= (size_t)k;
		at += (uint64_t)k;
	}
	return 0;
}

int archive_begin(struct archive_out *a)
{
	int fd = memfd_create("egret-sources", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	*a = (struct archive_out){ .fd = fd, .size = sizeof(struct archive_head) };
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* From the file's start to `at`, by the kernel: no byte of it comes here. */
static int copy_text(struct archive_out *a, int fd, uint64_t at, size_t *ret_n)
{
	struct stat before, after;
	off_t from = 0;
	ssize_t k;

	if (fstat(fd, &before) < 0)
		return -errno;
	if (before.st_size < 0 || before.st_size > (off_t)SOURCE_SIZE_MAX)
		return -EFBIG;
	if ((uint64_t)before.st_size > COMPILE_BYTES_MAX - a->texts)
		return -ENOSPC;
	if (lseek(a->fd, (off_t)at, SEEK_SET) < 0)
		return -errno;
	while (from < before.st_size) {
		k = sendfile(a->fd, fd, &from, (size_t)(before.st_size - from));
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			return -ESTALE;
	}
	/* Half of what was and half of what is would be nobody's policy. */
	if (fstat(fd, &after) < 0)
		return -errno;
	if (!same_file(&before, &after))
		return -ESTALE;
	*ret_n = (size_t)before.st_size;
	return 0;
}

int archive_add(struct archive_out *a, enum source_kind kind, struct str name, int fd)
{
	struct archive_entry e = { .kind = (uint32_t)kind, .name_n = (uint32_t)name.n };
	size_t n;
	int r;

	if (a->count == COMPILE_SOURCES_MAX)
		return -E2BIG;
	if (name.n > ARCHIVE_NAME_MAX)
		return -ENAMETOOLONG;
	r = copy_text(a, fd, a->size + sizeof(e) + name.n, &n);
	if (r < 0)
		return r;
	e.text_n = (uint32_t)n;
	r = write_at(a->fd, &e, sizeof(e), a->size);
	if (r == 0)
		r = write_at(a->fd, name.p, name.n, a->size + sizeof(e));
	if (r < 0)
		return r;
	a->size += sizeof(e) + name.n + n;
	a->texts += n;
	a->count++;
	return 0;
}

int archive_seal(struct archive_out *a, int *ret_fd)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	struct archive_head h = { ARCHIVE_MAGIC, a->count };
	int r = write_at(a->fd, &h, sizeof(h), 0);

	if (r < 0)
		return r;
	if (fcntl(a->fd, F_ADD_SEALS, seals) < 0)
		return -errno;
	*ret_fd = a->fd;
	a->fd = -1;
	return 0;
}

void archive_out_done(struct archive_out *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

/* One entry off the front of what is left. */
static int read_entry(struct str *left, struct source *ret)
{
	struct archive_entry e;

	if (left->n < sizeof(e))
		return -EBADMSG;
	memcpy(&e, left->p, sizeof(e));
	*left = (struct str){ left->p + sizeof(e), left->n - sizeof(e) };
	if (e.kind > SOURCE_BASELINE || e.name_n > ARCHIVE_NAME_MAX || e.name_n > left->n ||
	    e.text_n > SOURCE_SIZE_MAX || e.text_n > left->n - e.name_n)
		return -EBADMSG;
	ret->kind = (enum source_kind)e.kind;
	ret->name = (struct str){ left->p, e.name_n };
	ret->text = (struct str){ left->p + e.name_n, e.text_n };
	*left = (struct str){ ret->text.p + e.text_n, left->n - e.name_n - e.text_n };
	return 0;
}

int archive_read(struct str bytes, struct source **ret, size_t *ret_n)
{
	cleanup_free struct source *sources = NULL;
	struct archive_head h;
	struct str left;

	if (bytes.n < sizeof(h) || bytes.n > ARCHIVE_SIZE_MAX)
		return -EBADMSG;
	memcpy(&h, bytes.p, sizeof(h));
	left = (struct str){ bytes.p + sizeof(h), bytes.n - sizeof(h) };
	if (h.magic != ARCHIVE_MAGIC || h.count > COMPILE_SOURCES_MAX ||
	    h.count > left.n / sizeof(struct archive_entry))
		return -EBADMSG;
	sources = mem_new((h.count + 1) * sizeof(*sources));
	for (uint32_t i = 0; i < h.count; i++)
		if (read_entry(&left, &sources[i]) < 0)
			return -EBADMSG;
	if (left.n)
		return -EBADMSG;
	*ret = TAKE_PTR(sources);
	*ret_n = h.count;
	return 0;
}
