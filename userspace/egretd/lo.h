/* SPDX-License-Identifier: Apache-2.0 */
/* The loopback device of the caller's network namespace: netns.c's own room. */
#ifndef EGRET_EGRETD_LO_H
#define EGRET_EGRETD_LO_H

#include "base/bytes.h"

/* Up, with both addresses ("a.b.c.d/len", "x::y/len") beside 127.0.0.1 and ::1. A namespace without
 * IPv6 gets no IPv6 address. 0 or -errno. */
int lo_up(const char *addr4, const char *addr6) MUST_CHECK;

#endif
