/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena in which secrets rest: locked, left out of dumps, empty in forked children, with a page
 * that cannot be touched on either side. The book of chunks is kept outside of it, so that a child
 * that finds the arena wiped can still free what it inherited. Used by the broker and the proxies;
 * first fit, because there are tens of chunks, not millions.
 */
#include "base/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK 16u

struct chunk {
	size_t at, n;
};

static struct {
	uint8_t *p;
	size_t size;
	struct chunk *chunks; /* in order of `at` */
	size_t count, room;
} arena;

void wipe(void *p, size_t n)
{
	if (n)
		explicit_bzero(p, n);
}

bool secret_eq(struct str a, struct str b)
{
	volatile unsigned char differs = 0;

	/* Each byte is looked at. Not OpenSSL's: its library is slow to load for programs that need
	 * nothing else of it, and egret-runc starts several times a container. */
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		differs |= (unsigned char)(a.p[i] ^ b.p[i]);
	return differs == 0;
}

/* Where it is touched, so that a large arena costs what is used of it. Emulators of the kernel
 * (valgrind, gVisor) may know the older call alone. */
static int lock(void *p, size_t size)
{
	return mlock2(p, size, MLOCK_ONFAULT) == 0 ? 0 : mlock(p, size);
}

int secret_arena_init(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), whole;
	uint8_t *p;
	int r;

	if (arena.p)
		return -EBUSY;
	if (size == 0 || size > SIZE_MAX / 2)
		return -EINVAL;
	size = (size + page - 1) / page * page;
	whole = size + 2 * page;
	p = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	if (mprotect(p + page, size, PROT_READ | PROT_WRITE) < 0 || lock(p + page, size) < 0 ||
	    madvise(p + page, size, MADV_DONTDUMP) < 0 ||
	    madvise(p + page, size, MADV_WIPEONFORK) < 0) {
		r = -errno;
		munmap(p, whole);
		return r;
	}
	arena.p = p + page;
	arena.size = size;
	return 0;
}

int secret_new(size_t n, struct secret *ret)
{
	size_t need, at = 0, i;

	if (n > arena.size)
		return -ENOMEM;
	need = (n ? n + CHUNK - 1 : CHUNK) / CHUNK * CHUNK;
	for (i = 0; i < arena.count; i++) {
		if (arena.chunks[i].at - at >= need)
			break;
		at = arena.chunks[i].at + arena.chunks[i].n;
	}
	if (arena.size - at < need)
		return -ENOMEM;
	if (arena.count == arena.room) {
		size_t room = arena.room ? arena.room * 2 : 64;
		struct chunk *c = reallocarray(arena.chunks, room, sizeof(*c));

		if (!c)
			die("out of memory: %zu secrets", room);
		arena.chunks = c;
		arena.room = room;
	}
	memmove(arena.chunks + i + 1, arena.chunks + i, (arena.count - i) * sizeof(struct chunk));
	arena.chunks[i] = (struct chunk){ at, need };
	arena.count++;
	memset(arena.p + at, 0, need);
	*ret = (struct secret){ arena.p + at, n };
	return 0;
}

int secret_dup(const void *p, size_t n, struct secret *ret)
{
	int r = secret_new(n, ret);

	if (r == 0 && n)
		memcpy(ret->p, p, n);
	return r;
}

void secret_done(struct secret *s)
{
	size_t at;

	if (!s->p)
		return;
	at = (size_t)(s->p - arena.p);
	for (size_t i = 0; i < arena.count; i++) {
		if (arena.chunks[i].at != at)
			continue;
		wipe(s->p, arena.chunks[i].n);
		arena.count--;
		memmove(arena.chunks + i, arena.chunks + i + 1,
			(arena.count - i) * sizeof(struct chunk));
		*s = (struct secret){ 0 };
		return;
	}
	die("a secret was freed that is not of the arena");
}
