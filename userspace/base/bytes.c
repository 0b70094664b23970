/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte ranges, growing buffers, arenas and the way a process dies. Called by every room; it trusts
 * no byte that it is handed: lengths are given, never searched for, and each growth is held against
 * its limit with overflow in mind.
 */
#include "base/bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct str str_of(const char *s)
{
	return s ? (struct str){ s, strlen(s) } : (struct str){ "", 0 };
}

bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower((unsigned char)a.p[i]) != lower((unsigned char)b.p[i]))
			return false;
	return true;
}

bool str_starts(struct str a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.n >= n && (n == 0 || memcmp(a.p, prefix, n) == 0);
}

int str_u64(struct str s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EINVAL;
	for (size_t i = 0; i < s.n; i++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return -ERANGE;
	*ret = v;
	return 0;
}

struct str str_num(uint64_t v, char room[20])
{
	size_t at = 20;

	do
		room[--at] = (char)('0' + v % 10);
	while (v /= 10);
	return (struct str){ room + at, 20 - at };
}

void die(const char *fmt, ...)
{
	char raw[1024], line[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof(raw))
		n = sizeof(raw) - 1;
	text_escape(line, sizeof(line), (struct str){ raw, (size_t)n });
	/* dprintf needs no heap, which may be what is missing. */
	dprintf(STDERR_FILENO, "egret: %s\n", line);
	abort();
}

void *mem_new(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		die("out of memory: %zu bytes", size);
	return p;
}

char *mem_dup(struct str s)
{
	char *p;

	if (s.n == SIZE_MAX)
		die("out of memory: a string without end");
	p = malloc(s.n + 1);
	if (!p)
		die("out of memory: %zu bytes", s.n);
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

void buf_init(struct buf *b, size_t limit)
{
	*b = (struct buf){ .limit = limit };
}

void buf_done(struct buf *b)
{
	free(b->p);
	b->p = NULL;
	b->n = b->size = 0;
}

int buf_reserve(struct buf *b, size_t room)
{
	size_t need, size;
	char *p;

	if (room > b->limit || b->n > b->limit - room)
		return -EMSGSIZE;
	need = b->n + room;
	if (need <= b->size)
		return 0;
	size = b->size ? b->size : 256;
	while (size < need)
		size = size > b->limit / 2 ? b->limit : size * 2;
	p = realloc(b->p, size);
	if (!p)
		die("out of memory: %zu bytes", size);
	b->p = p;
	b->size = size;
	return 0;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
	int r = buf_reserve(b, n);

	if (r < 0)
		return r;
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	return 0;
}

int buf_add_str(struct buf *b, struct str s)
{
	return buf_add(b, s.p, s.n);
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	cleanup_free char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL; /* vasprintf leaves it undefined */
		die("out of memory: formatting");
	}
	return buf_add(b, text, (size_t)n);
}

void buf_consume(struct buf *b, size_t n)
{
	if (n >= b->n) {
		b->n = 0;
		return;
	}
	if (n)
		memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

struct str buf_str(const struct buf *b)
{
	return b->n ? (struct str){ b->p, b->n } : (struct str){ "", 0 };
}

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	_Alignas(16) char bytes[];
};

#define ARENA_BLOCK 4096u

void arena_init(struct arena *a, size_t limit)
{
	*a = (struct arena){ .limit = limit };
}

void arena_done(struct arena *a)
{
	struct arena_block *next;

	for (struct arena_block *b = a->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	a->blocks = NULL;
	a->used = 0;
}

/* Blocks are zeroed piece by piece: most of one is never touched. */
static void *arena_get(struct arena *a, size_t size)
{
	struct arena_block *b = a->blocks;
	size_t room;
	void *p;

	if (size > a->limit || a->used > a->limit - size)
		die("an arena of %zu bytes is full", a->limit);
	size = (size + 15) & ~(size_t)15;
	if (!b || b->size - b->used < size) {
		room = size > ARENA_BLOCK ? size : ARENA_BLOCK;
		b = malloc(sizeof(*b) + room);
		if (!b)
			die("out of memory: %zu bytes", sizeof(*b) + room);
		*b = (struct arena_block){ .next = a->blocks, .size = room };
		a->blocks = b;
	}
	p = b->bytes + b->used;
	b->used += size;
	a->used += size;
	return p;
}

void *arena_new(struct arena *a, size_t size)
{
	return memset(arena_get(a, size), 0, size);
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = arena_get(a, s.n + 1);

	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){ p, s.n };
}

void cleanup_free_p(void *pp)
{
	free(*(void **)pp);
}

void cleanup_close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

size_t text_escape(char *to, size_t size, struct str from)
{
	static const char hex[] = "0123456789abcdef";
	bool line_start = true;
	size_t n = 0;

	if (size == 0)
		return 0;
	for (size_t i = 0; i < from.n; i++) {
		unsigned char c = (unsigned char)from.p[i];
		bool command = line_start && c == ':' && i + 1 < from.n && from.p[i + 1] == ':';

		/* Runners trim blanks, and our own escapes may stand at the start of what they call
		 * a line. */
		line_start = c == '\n' || c == '\r' || (line_start && (c == ' ' || c == '\t'));
		if (c >= 0x20 && c < 0x7f && !command) {
			if (n + 1 >= size)
				break;
			to[n++] = (char)c;
		} else {
			if (n + 4 >= size)
				break;
			to[n++] = '\\';
			to[n++] = 'x';
			to[n++] = hex[c >> 4];
			to[n++] = hex[c & 15];
		}
	}
	to[n] = '\0';
	return n;
}
