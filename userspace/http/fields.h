/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which fields go on: the one table of what belongs to a hop, what may stand behind a body, and
 * what a Connection field may name. Called by the codecs that write and by the proxy's rooms; pure.
 */
#ifndef EGRET_HTTP_FIELDS_H
#define EGRET_HTTP_FIELDS_H

#include "http/head.h"

/* Does the field end at this hop, whatever Connection says? Framing and Host are among them: who
 * writes a head says those anew. The name in lower case. */
bool field_is_hop(struct str name);
/* May it stand in a trailer section? Not what frames, routes, authorises or changes a message (RFC
 * 9110 6.5.1): a reader that merges trailers into the head would take it for the head's. */
bool field_is_trailer(struct str name);
/* Does one of the head's Connection fields name it? */
bool field_named(const struct head *h, struct str name);
/* Does Connection name only what may be dropped? What frames, authorises or routes a request is not
 * the sender's to strip. */
bool fields_connection_ok(const struct head *h, struct str *ret_bad);
/* Without regard to case, and with '_' for '-': CGI and its heirs (WSGI, PHP) make one variable of
 * both. */
bool field_is_alike(struct str name, const char *lower);

#endif
