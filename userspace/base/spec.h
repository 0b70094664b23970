/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job's command is: arguments and environment, written by `egret run` into a memfd and read
 * only by egret-init inside the job. egretd passes the descriptor on unread.
 *
 *   le32 magic  le32 argc  le32 envc  then argc + envc NUL-terminated strings
 */
#ifndef EGRET_BASE_SPEC_H
#define EGRET_BASE_SPEC_H

#include "base/bytes.h"

#define SPEC_SIZE_MAX (4u << 20)
#define SPEC_STRINGS_MAX 65536

struct spec {
	char **argv; /* NULL-terminated; point into bytes */
	char **envp;
	char *bytes;
};

int spec_write(char *const argv[], char *const envp[], int *ret_fd) MUST_CHECK; /* sealed memfd */
int spec_read(int fd, struct spec *ret) MUST_CHECK; /* 0, -EBADMSG, -E2BIG */
void spec_done(struct spec *s);

#endif
