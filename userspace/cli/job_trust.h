/* SPDX-License-Identifier: Apache-2.0 */
/* A registered job's CA for the steps that run on the host. */
#ifndef EGRET_CLI_JOB_TRUST_H
#define EGRET_CLI_JOB_TRUST_H

#include "base/bytes.h"

/* Writes ca.pem, bundle.pem and trust.p12 into folder (made when it is not there, absolute), and
 * adds the variables that name them, and placeholders, as lines NAME=VALUE at the end of env (NULL:
 * nowhere). -1, or an exit status and the sentence is written. */
int job_trust(const char *job, const char *folder, const char *env) MUST_CHECK;

#endif
