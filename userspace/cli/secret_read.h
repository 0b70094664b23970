/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a secret's value from the person or pipe that gives it; verb_secret.c alone calls it. */
#ifndef EGRET_CLI_SECRET_READ_H
#define EGRET_CLI_SECRET_READ_H

#include "base/secret.h"

/* From stdin; on a terminal without echo, twice. One newline at the end is dropped. 0, or -errno
 * with a sentence. */
int secret_read(struct str name, struct secret *ret, char *why, size_t size) MUST_CHECK;

#endif
