/* SPDX-License-Identifier: Apache-2.0 */
/* Which folders, sockets and devices of the host let a container that holds them leave its job.
 * Called by container.c with paths that a workflow may have written. */
#ifndef EGRET_COMPILE_MOUNTS_H
#define EGRET_COMPILE_MOUNTS_H

#include "base/bytes.h"

/* INSPECT_ENGINE_SOCKET(_FILE) and INSPECT_DEVICES for a mount of this path of the host; 0 for a
 * volume's name. Judged by the words of the path: where a part of it is a link on the host, nobody
 * sees it here. */
uint64_t mount_flags(struct str source);
bool device_is_harmless(struct str path);

#endif
