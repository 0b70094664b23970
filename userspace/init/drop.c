/* SPDX-License-Identifier: Apache-2.0 */
/* From root to the job's user, for good: capabilities, uid, socket families. Called last by main.c;
 * reads nothing. */
#include "init/init.h"

#include "base/families.h"
#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int drop_to(uid_t uid, gid_t gid, const gid_t *groups, size_t ngroups, char *why, size_t n)
{
	int r;

	capng_clear(CAPNG_SELECT_ALL);
	/* The bounding set first, while it is still allowed; the other sets go with the uid or by
	 * the last apply. */
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0) {
		snprintf(why, n, "the bounding set cannot be emptied");
		return -EPERM;
	}
	if (setgroups(ngroups, groups) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0) {
		r = -errno;
		snprintf(why, n, "cannot become uid %u: %s", (unsigned)uid, strerror(-r));
		return r;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
		r = -errno;
		snprintf(why, n, "no_new_privs: %s", strerror(-r));
		return r;
	}
	r = families_close(true, why, n);
	if (r < 0)
		return r;
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0 ||
	    capng_have_capabilities(CAPNG_SELECT_CAPS) > CAPNG_NONE) {
		snprintf(why, n, "capabilities could not be dropped");
		return -EPERM;
	}
	return 0;
}
