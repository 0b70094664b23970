/* SPDX-License-Identifier: Apache-2.0 */
/* Placeholder keys for clients of AWS, from the address where they look for a container's. */
#ifndef EGRET_PROXY_KEYS_H
#define EGRET_PROXY_KEYS_H

#include "proxy/exchange.h"

/* Is it asked of 169.254.170.2, by a job that has such a credential? */
bool keys_asked(const struct session *s);
void keys_answer(struct session *s); /* the last call of its caller */

#endif
