/* SPDX-License-Identifier: Apache-2.0 */
/* See identity.h. */
#include "egretd/identity.h"

#include <errno.h>
#include <stdio.h>

int identity_start(struct daemon *d, int token_fd, const struct config_identity *issuer,
		   const char *audience, identity_fn done, void *owner, struct identity **ret,
		   char *why, size_t n)
{
	snprintf(why, n, "egret-identity is not part of this build");
	return -ENOSYS;
}

void identity_cancel(struct identity *i)
{
}
