/* SPDX-License-Identifier: Apache-2.0 */
/* What this host has of what egret needs: reading checks only, nothing is loaded or changed. For
 * `egret doctor` and for egretd's start. */
#ifndef EGRET_EGRETD_PROBE_H
#define EGRET_EGRETD_PROBE_H

#include "base/bytes.h"

#define PROBE_TEXT_MAX 320
#define PROBES_MAX 16

struct probe {
	const char *name; /* "kernel", "root", "btf", "cgroup2", "bpffs", "capabilities", ... */
	bool ok;
	bool required;		       /* egretd cannot start without it */
	char sentence[PROBE_TEXT_MAX]; /* what was found; when not ok, what to do */
};

size_t probe_all(struct probe to[PROBES_MAX]);
/* 0, or -errno with the sentence of the first required check that failed. For egretd, before
 * kernel_open. */
int probe_required(char *why, size_t size) MUST_CHECK;

#endif
