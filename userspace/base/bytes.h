/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte ranges, growing buffers and arenas: the three ways egret holds bytes.
 *
 *  struct str   borrowed range, never owns, need not end in NUL
 *  struct buf   owned, growing up to a limit set at init (a peer can never make it larger)
 *  struct arena owned, a request's or a load's memory: freed whole
 *
 * Out of memory ends the process (die): every size that a peer drives has a limit, so running out
 * means that the host is full, and a dead process refuses (promise P6).
 */
#ifndef EGRET_BASE_BYTES_H
#define EGRET_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct str {
	const char *p;
	size_t n;
};

#define STR(lit) ((struct str){ (lit), sizeof(lit) - 1 })
/* For printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).n, (s).p

struct str str_of(const char *nul_terminated);
bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII only */
/* Here, so that the length of a literal is known where it is compared. */
static inline bool str_is(struct str a, const char *nul_terminated)
{
	size_t n = strlen(nul_terminated);

	return a.n == n && (n == 0 || memcmp(a.p, nul_terminated, n) == 0);
}
bool str_starts(struct str a, const char *prefix);
/* Decimal, whole range, no sign, no leading blank. 0, -EINVAL or -ERANGE. */
int str_u64(struct str s, uint64_t *ret) MUST_CHECK;
/* v in decimal, somewhere in room: for where printf would be a part of a request's cost. */
struct str str_num(uint64_t v, char room[20]);

/* Memory that cannot be had ends the process. Free with free(). */
void *mem_new(size_t size);  /* zeroed */
char *mem_dup(struct str s); /* NUL-terminated copy */
_Noreturn void die(const char *fmt, ...) PRINTF_LIKE(1, 2);

struct buf {
	char *p;
	size_t n;     /* bytes in use */
	size_t size;  /* bytes allocated */
	size_t limit; /* never grows past this */
};

void buf_init(struct buf *b, size_t limit);
void buf_done(struct buf *b); /* also on a zeroed buf */
/* All appenders: 0, or -EMSGSIZE when the limit would be passed; then nothing was added. */
int buf_add(struct buf *b, const void *p, size_t n) MUST_CHECK;
int buf_add_str(struct buf *b, struct str s) MUST_CHECK;
int buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
int buf_reserve(struct buf *b, size_t room) MUST_CHECK; /* room free bytes after p + n */
void buf_consume(struct buf *b, size_t n);		/* drops n bytes from the front */
struct str buf_str(const struct buf *b);

struct arena {
	struct arena_block *blocks;
	size_t used;
	size_t limit; /* passing it ends the process: callers check sizes before */
};

void arena_init(struct arena *a, size_t limit);
void arena_done(struct arena *a);
void *arena_new(struct arena *a, size_t size);	     /* zeroed, 16-byte aligned */
struct str arena_str(struct arena *a, struct str s); /* copy, with a NUL behind */

/* Scope-owned things. */
void cleanup_free_p(void *pp);
void cleanup_close_p(int *fd);
#define cleanup_free __attribute__((cleanup(cleanup_free_p)))
#define cleanup_close __attribute__((cleanup(cleanup_close_p)))
#define TAKE_PTR(p)                         \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})
#define TAKE_FD(fd)                \
	({                         \
		int taken_ = (fd); \
		(fd) = -1;         \
		taken_;            \
	})

/* Printable ASCII only: every other byte becomes \xNN, and a line that starts a "::" workflow
 * command gets its first colon escaped. What a peer wrote passes through here before it reaches a
 * terminal or a log. Always ends in NUL, cut at size - 1. Returns the length written. */
size_t text_escape(char *to, size_t size, struct str from);

#endif
