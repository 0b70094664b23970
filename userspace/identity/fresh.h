/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the server of a key set says that it is good (RFC 9111). Called by main.c. Hostile
 * bytes: the head of its answer; what comes of it is held to bounds by egretd (keycache.h).
 */
#ifndef EGRET_IDENTITY_FRESH_H
#define EGRET_IDENTITY_FRESH_H

#include "base/bytes.h"

/* max-age less Age; 0 for no-store and no-cache. False: it does not say, or not in a form that can
 * be read. */
bool fresh_ms(struct str head, uint64_t *ret);

#endif
