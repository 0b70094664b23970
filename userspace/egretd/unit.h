/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed units whose unregistered traffic has a policy ("unregistered": "policy:NAME"): each such
 * unit's cgroup is a job of its own as long as it is there, under the jobs that are registered out
 * of it. Found by inotify on the slices; until its job is ready the unit is refused, as everything
 * unknown.
 */
#ifndef EGRET_EGRETD_UNIT_H
#define EGRET_EGRETD_UNIT_H

#include "egretd/job.h"

int units_open(struct daemon *d, char *why, size_t n) MUST_CHECK;
void units_close(struct daemon *d);
/* The member of a unit's job: its cgroup, in the host's network namespace. */
int unit_make(struct job *j, char *why, size_t n) MUST_CHECK;
/* The entry of the managed unit that this path below the slice is in; NULL. */
const struct config_managed *unit_entry(const struct daemon *d, struct str path);

#endif
