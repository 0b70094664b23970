/* SPDX-License-Identifier: Apache-2.0 */
/* Public suffixes ("com", "co.uk", "github.io"), by libpsl's built-in list. Called by verify.c. */
#ifndef EGRET_PROXY_SUFFIX_H
#define EGRET_PROXY_SUFFIX_H

#include "base/bytes.h"

/* Is this canonical name a public suffix? A name of one label always is. */
bool suffix_is_public(struct str name);

#endif
