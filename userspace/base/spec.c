/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's command in a memfd. Written by `egret run`; read by egret-init inside the job, which
 * trusts none of it: the file is copied once, then the copy is checked.
 */
#include "base/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPEC_MAGIC 0x31435045u /* "EPC1" */
#define SPEC_HEAD 12u

static void set32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int add_list(struct buf *b, char *const list[], uint32_t *ret_count)
{
	uint32_t count = 0;

	for (; list && list[count]; count++) {
		if (count >= SPEC_STRINGS_MAX ||
		    buf_add(b, list[count], strlen(list[count]) + 1) < 0)
			return -E2BIG;
	}
	*ret_count = count;
	return 0;
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t r = write(fd, p, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

int spec_write(char *const argv[], char *const envp[], int *ret_fd)
{
	uint8_t head[SPEC_HEAD] = { 0 };
	uint32_t argc = 0, envc = 0;
	cleanup_close int fd = -1;
	struct buf b;
	int r;

	buf_init(&b, SPEC_SIZE_MAX);
	r = buf_add(&b, head, sizeof(head));
	if (r == 0)
		r = add_list(&b, argv, &argc);
	if (r == 0)
		r = add_list(&b, envp, &envc);
	if (r == 0 && argc + envc > SPEC_STRINGS_MAX)
		r = -E2BIG;
	if (r == 0 && argc == 0)
		r = -EINVAL;
	if (r < 0)
		goto out;
	set32((uint8_t *)b.p, SPEC_MAGIC);
	set32((uint8_t *)b.p + 4, argc);
	set32((uint8_t *)b.p + 8, envc);
	fd = memfd_create("egret-spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		r = -errno;
	if (r == 0)
		r = write_all(fd, b.p, b.n);
	if (r == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
out:
	buf_done(&b);
	return r;
}

/* Fills list with count strings from *p on; false when they do not all end before `end`. */
static bool take_list(char **list, uint32_t count, char **p, const char *end)
{
	for (uint32_t i = 0; i < count; i++) {
		char *nul = memchr(*p, 0, (size_t)(end - *p));

		if (!nul)
			return false;
		list[i] = *p;
		*p = nul + 1;
	}
	return true;
}

int spec_read(int fd, struct spec *ret)
{
	struct spec s = { 0 };
	uint32_t argc, envc;
	struct stat st;
	size_t size, n = 0;
	char *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > (off_t)SPEC_SIZE_MAX)
		return -E2BIG;
	if (st.st_size < (off_t)SPEC_HEAD)
		return -EBADMSG;
	size = (size_t)st.st_size;
	s.bytes = mem_new(size);
	while (n < size) {
		ssize_t r = pread(fd, s.bytes + n, size - n, (off_t)n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			goto bad;
		n += (size_t)r;
	}
	argc = get32((uint8_t *)s.bytes + 4);
	envc = get32((uint8_t *)s.bytes + 8);
	if (get32((uint8_t *)s.bytes) != SPEC_MAGIC || argc == 0 || argc > SPEC_STRINGS_MAX ||
	    envc > SPEC_STRINGS_MAX - argc)
		goto bad;
	s.argv = mem_new((argc + 1) * sizeof(char *));
	s.envp = mem_new((envc + 1) * sizeof(char *));
	p = s.bytes + SPEC_HEAD;
	if (!take_list(s.argv, argc, &p, s.bytes + size) ||
	    !take_list(s.envp, envc, &p, s.bytes + size) || p != s.bytes + size)
		goto bad;
	*ret = s;
	return 0;
bad:
	spec_done(&s);
	return -EBADMSG;
}

void spec_done(struct spec *s)
{
	free(s->argv);
	free(s->envp);
	free(s->bytes);
	*s = (struct spec){ 0 };
}
