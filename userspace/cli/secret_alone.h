/* SPDX-License-Identifier: Apache-2.0 */
/* A broker of one's own on the store, for `egret secret` where no daemon runs. */
#ifndef EGRET_CLI_SECRET_ALONE_H
#define EGRET_CLI_SECRET_ALONE_H

#include "base/bytes.h"
#include <sys/types.h>

struct secret_alone {
	pid_t pid; /* 0: not started */
	int sock;
};

/* 0 and a broker that answers MSG_SECRET_*; or -errno with a sentence (-EPERM, -EINVAL: the store's
 * key or folder is not in order). */
int secret_alone_open(const char *state_dir, struct secret_alone *ret, char *why,
		      size_t size) MUST_CHECK;
void secret_alone_close(struct secret_alone *a); /* asks it to end, and waits */

#endif
