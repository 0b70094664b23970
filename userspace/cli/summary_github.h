/* SPDX-License-Identifier: Apache-2.0 */
/* Refusals as workflow commands of GitHub Actions. */
#ifndef EGRET_CLI_SUMMARY_GITHUB_H
#define EGRET_CLI_SUMMARY_GITHUB_H

#include "cli/tally.h"

/* Of a sorted tally. 0 or -EMSGSIZE. */
int summary_github(struct buf *to, const struct tally *t) MUST_CHECK;

#endif
