/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Break-glass: for a time that is said before, an administrator lets jobs of one repository do what
 * their installed policy refuses, and it is recorded as would_deny (mode audit). Whose job is that
 * repository's is for its CI server to say, where the configuration names one to be asked; else for
 * the runner, never for the job. The end stands in the policy's image that the proxy has, so that
 * it comes whatever becomes of egretd; what is in force lies in state_dir/overrides, so that an
 * egretd that is started anew goes on with it.
 */
#ifndef EGRET_EGRETD_OVERRIDE_H
#define EGRET_EGRETD_OVERRIDE_H

#include "egretd/control.h"

#include "egretd/client.h"

/* MSG_OVERRIDE: answers itself. */
void override_ask(struct client *c, struct msg_in *m);
/* Until when a job of this repository, as said with this assurance, is judged so (clock_boot_us());
 * 0: it is not. */
uint64_t override_until(const struct daemon *d, struct str repo, enum assurance said);
void override_status(const struct daemon *d, struct msg_out *m); /* lines of `egret status` */
/* At the start: what an earlier egretd left. A file that cannot be read is none, and is told. */
void overrides_open(struct daemon *d);
void overrides_close(struct daemon *d); /* they go on */

#endif
