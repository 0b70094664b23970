/* SPDX-License-Identifier: Apache-2.0 */
/* What a program printed: a credential. Called by exec.c and tests; pure. */
#ifndef EGRET_PROVIDER_EXEC_H
#define EGRET_PROVIDER_EXEC_H

#include "provider/provider.h"

/* 0 with value and expiry, or -errno with the sentence. */
int exec_answer(struct question *q, struct str printed, struct answer *ret) MUST_CHECK;

#endif
