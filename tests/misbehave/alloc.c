/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxy whose memory ends, for tests/e2e/alloc.sh: linked over the real one (ld --wrap), never
 * into a product. With each connection that it accepts, one allocation fails, the Nth from then;
 * N grows by a step each time. Its own functions stand before libc's for all libraries, OpenSSL's
 * and nghttp2's too. N outlives the process in a file beside the program, mapped before the jail.
 */
#include "proxy/conn.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);
void __real_conn_start(struct proxy *px, uint64_t netns, int fd, const struct egret_record *record);
void __wrap_conn_start(struct proxy *px, uint64_t netns, int fd, const struct egret_record *record);

/* As the test writes and reads it: three numbers of 8 bytes. */
static volatile struct {
	uint64_t step; /* 0: nothing fails */
	uint64_t nth;
	uint64_t failed; /* so many did */
} * state;
static uint64_t left; /* allocations until the one that fails; 0: not now */

__attribute__((constructor)) static void begin(void)
{
	char path[PATH_MAX + 8];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
	int fd;

	if (n <= 0)
		return;
	snprintf(path + n, 8, ".alloc");
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if ((void *)state == MAP_FAILED)
		state = NULL;
	close(fd);
}

void __wrap_conn_start(struct proxy *px, uint64_t netns, int fd, const struct egret_record *record)
{
	if (state && state->step) {
		state->nth += state->step;
		left = state->nth;
	}
	__real_conn_start(px, netns, fd, record);
}

static int fails(void)
{
	if (!left || --left)
		return 0;
	state->failed++;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}

void *memalign(size_t align, size_t n)
{
	return fails() ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **ret, size_t align, size_t n)
{
	void *p = memalign(align, n);

	if (!p)
		return ENOMEM;
	*ret = p;
	return 0;
}

void *aligned_alloc(size_t align, size_t n)
{
	return memalign(align, n);
}
