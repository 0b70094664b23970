/* SPDX-License-Identifier: Apache-2.0 */
/* See fd.h. Called by egret-identity and egret-provider; looks at no byte. */
#include "base/fd.h"

#include <errno.h>
#include <unistd.h>

int fd_read(int fd, struct buf *to)
{
	off_t at = lseek(fd, 0, SEEK_SET);

	for (;;) {
		ssize_t k;

		if (buf_reserve(to, 1) < 0)
			return -EFBIG;
		k = at >= 0 ? pread(fd, to->p + to->n, to->size - to->n, at)
			    : read(fd, to->p + to->n, to->size - to->n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : 0;
		to->n += (size_t)k;
		if (at >= 0)
			at += k;
	}
}
