/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overrides that are in force, as they lie on disk (state_dir/overrides), so that one goes on and
 * ends when its time is over whatever becomes of egretd. Called by override.c. The file is root's
 * own; a damaged one is no override at all.
 */
#ifndef EGRET_EGRETD_OVERRIDE_FILE_H
#define EGRET_EGRETD_OVERRIDE_FILE_H

#include "base/bytes.h"

#define OVERRIDES_MAX 32u
#define OVERRIDE_REPO_MAX 256u
#define OVERRIDE_REASON_MAX 256u
#define OVERRIDE_BOOT_MAX 40u
#define OVERRIDE_TTL_MAX_MS (24ull * 3600 * 1000)

struct override_kept {
	uint64_t begun_us, until_us; /* wall, as it was when it began */
	uint64_t ends_us;	     /* of the clock that counts from boot, suspended time too */
	uint32_t uid, pid;
	uint32_t least;		      /* enum assurance: who must have said a job's repository */
	char boot[OVERRIDE_BOOT_MAX]; /* which boot that was */
	char comm[16];		      /* of who asked */
	char repo[OVERRIDE_REPO_MAX + 1], reason[OVERRIDE_REASON_MAX + 1];
};

/* One line of printable ASCII, not empty. */
bool override_text(struct str s, size_t max);
/* How much longer, in us; 0: it is over. In one boot the wall clock is not asked, so that setting
 * it changes nothing; after another it is all there is: one that is before the begin ends it, too.
 */
uint64_t override_left(const struct override_kept *k, const char *boot, uint64_t boot_us,
		       uint64_t wall_us);
/* All of them, in place of what the file had. 0 or -errno. */
int overrides_write(const char *path, const struct override_kept *all, unsigned n) MUST_CHECK;
/* At most OVERRIDES_MAX; no file is none. 0, or -errno and a sentence. */
int overrides_read(const char *path, struct override_kept *all, unsigned *ret, char *why,
		   size_t n) MUST_CHECK;

#endif
