/* SPDX-License-Identifier: Apache-2.0 */
/* The rule that would allow what an event says was refused, as a line of a policy. */
#ifndef EGRET_CLI_SUGGEST_H
#define EGRET_CLI_SUGGEST_H

#include "event/jsonread.h"

/* Would any rule have changed this reason? */
bool suggest_helps(struct str reason);
/* A reason's sentence for a person; "" when the word is none (a rule's id). */
const char *suggest_sentence(struct str word);
/* The proxy's own suggestion, else one made of what the event names. Printable. 0 or -errno;
 * nothing added when there is none. */
int suggest_line(const struct json_line *l, struct buf *to) MUST_CHECK;

#endif
