/* SPDX-License-Identifier: Apache-2.0 */
/* How many requests had a credential: counted here, told to the broker once a second and at the
 * end. */
#ifndef EGRET_PROXY_USES_H
#define EGRET_PROXY_USES_H

#include "proxy/proxy.h"

struct uses;
struct uses *uses_new(struct proxy *px, int n); /* of n credentials, by index */
void uses_add(struct uses *u, int index);
void uses_free(struct uses *u); /* tells what is left; accepts NULL */

#endif
