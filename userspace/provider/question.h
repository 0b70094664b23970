/* SPDX-License-Identifier: Apache-2.0 */
/* A question as it comes from the broker, and its answer. Called by serve.c and tests; the bytes
 * are the broker's. */
#ifndef EGRET_PROVIDER_QUESTION_H
#define EGRET_PROVIDER_QUESTION_H

#include "base/msg.h"
#include "provider/provider.h"

/* 0; -EBADMSG: the broker asked in another form. Everything is copied. question_done in each case.
 */
int question_open(const struct msg_in *m, struct question *ret) MUST_CHECK;
void question_done(struct question *q);
/* The row of `providers`; NULL. */
const struct provider_ops *question_ops(const struct question *q);
void answer_put(struct msg_out *m, const struct answer *a);

#endif
