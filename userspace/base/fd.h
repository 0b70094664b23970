/* SPDX-License-Identifier: Apache-2.0 */
/* A descriptor's bytes, for processes that are given them and open nothing themselves. */
#ifndef EGRET_BASE_FD_H
#define EGRET_BASE_FD_H

#include "base/bytes.h"

/* A file from its start, as others may hold the same descriptor; a pipe as it comes. Added to `to`:
 * 0, -EFBIG when its limit would be passed, or -errno. */
int fd_read(int fd, struct buf *to) MUST_CHECK;

#endif
