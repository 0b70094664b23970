/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Break-glass: for a time that is said before, an administrator lets jobs of one repository do what
 * their installed policy refuses, and it is recorded as would_deny (mode audit). The end stands in
 * the policy's image that the proxy has, so that it ends whatever becomes of egretd. An egretd that
 * is started anew knows of none: what runs has it until its end, what begins does not.
 */
#ifndef EGRET_EGRETD_OVERRIDE_H
#define EGRET_EGRETD_OVERRIDE_H

#include "egretd/control.h"

#include "egretd/client.h"

#define OVERRIDE_TTL_MAX_MS (24ull * 3600 * 1000)

/* MSG_OVERRIDE: answers itself. */
void override_ask(struct client *c, struct msg_in *m);
/* Until when jobs of this repository are judged so (wall, us); 0: they are not. */
uint64_t override_until(const struct daemon *d, struct str repo);
void override_status(const struct daemon *d, struct msg_out *m); /* lines of `egret status` */
void overrides_close(struct daemon *d);

#endif
