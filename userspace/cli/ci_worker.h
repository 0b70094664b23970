/* SPDX-License-Identifier: Apache-2.0 */
/* Which process is a CI job's worker: an ancestor of the hook that registers it. */
#ifndef EGRET_CLI_CI_WORKER_H
#define EGRET_CLI_CI_WORKER_H

#include "base/bytes.h"

#include <sys/types.h>

/* "none" (*ret 0), "parent", a pid, "github" (the Runner.Worker above), "buildkite" (the agent's
 * bootstrap above). 0; -EINVAL: no such word; -ESRCH: there is none above this process. */
int ci_worker_find(const char *how, pid_t *ret) MUST_CHECK;

#endif
