/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where container engines listen: whoever reaches one of these sockets can start a container as it
 * likes. One table for who judges a container (compile), a runner's user (egretd) and who hides a
 * socket (oci). Pure.
 */
#ifndef EGRET_BASE_ENGINES_H
#define EGRET_BASE_ENGINES_H

#include "base/bytes.h"
#include <sys/types.h>

/* Absolute, without links (/var/run is /run); NULL ends it. */
extern const char *const engine_sockets[];
/* Is the last part of this path a name that an engine gives its socket, wherever it lies? */
bool engine_socket_named(const char *path);

#endif
