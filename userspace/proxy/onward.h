/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a head goes on, whichever wire it came by and whichever it goes out by: fields that are
 * refused, spent or added here. What ends at a hop is http/fields.h's, and left out by who writes.
 */
#ifndef EGRET_PROXY_ONWARD_H
#define EGRET_PROXY_ONWARD_H

#include "proxy/request.h"

/* false: *f says why. */
bool onward_request(struct head *h, struct request_fault *f);
/* An answer, interim ones too: takes out what would lead the client elsewhere, adds Date. */
void onward_answer(struct head *h, struct arena *a);
/* "Sun, 06 Nov 1994 08:49:37 GMT": now. Static, good until the next call. */
struct str onward_date(void);

#endif
