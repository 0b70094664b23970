/* SPDX-License-Identifier: Apache-2.0 */
/* What a value of a credential may be. */
#ifndef EGRET_PROXY_CREDS_FIT_H
#define EGRET_PROXY_CREDS_FIT_H

#include "base/limits.h"

/* Why not, in words; NULL: it is. */
const char *creds_unfit(struct str v, const struct limits *l);
/* Printable ASCII without blanks, and something of it. */
bool creds_plain(struct str s);

#endif
