/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many sources in one sealed memfd: le32 magic, le32 count, then for each le32 kind, le32 size of
 * the name, le32 size of the text, the name, the text, without padding. Written by egretd, which
 * copies the texts from file to memfd and looks at none of their bytes; read by egret-compile,
 * which believes no number in it.
 */
#ifndef EGRET_POLICY_ARCHIVE_H
#define EGRET_POLICY_ARCHIVE_H

#include "policy/compile.h"

#define ARCHIVE_NAME_MAX 4096
#define ARCHIVE_ENTRY_MAX (12 + ARCHIVE_NAME_MAX)
#define ARCHIVE_SIZE_MAX (8u + COMPILE_SOURCES_MAX * ARCHIVE_ENTRY_MAX + COMPILE_BYTES_MAX)

struct archive_out {
	int fd; /* owned; -1 */
	uint32_t count;
	uint64_t size;	/* written so far */
	uint64_t texts; /* of these, what the compiler's bound counts */
};

int archive_begin(struct archive_out *a) MUST_CHECK;
/* Appends the regular file from its start to its end. 0; -EFBIG: larger than SOURCE_SIZE_MAX;
 * -ENOSPC: past COMPILE_BYTES_MAX in all; -E2BIG: past COMPILE_SOURCES_MAX; -ENAMETOOLONG; -ESTALE:
 * it was changed meanwhile; or what reading it failed with. After a failure the archive is only to
 * be ended with archive_out_done. */
int archive_add(struct archive_out *a, enum source_kind kind, struct str name, int fd) MUST_CHECK;
int archive_seal(struct archive_out *a, int *ret_fd) MUST_CHECK; /* takes the memfd out of a */
void archive_out_done(struct archive_out *a);

/* All of it or nothing. 0, names and texts pointing into bytes; *ret is to be freed. -EBADMSG. */
int archive_read(struct str bytes, struct source **ret, size_t *ret_n) MUST_CHECK;

#endif
