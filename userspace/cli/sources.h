/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON files that a command line names, opened with the caller's rights, and the files that a
 * policy includes. */
#ifndef EGRET_CLI_SOURCES_H
#define EGRET_CLI_SOURCES_H

#include "base/bytes.h"

#define SOURCES_MAX 24 /* what goes along with one message to egretd */

struct source_file {
	int fd; /* -1: read and closed */
	char name[1024];
	const char *kind; /* "policy", "include", "credential" */
};

struct source_list {
	struct source_file *at;
	unsigned n, room;
	unsigned max; /* 0: SOURCES_MAX */
};

/* -1: done; else an exit status, and the sentence is written. */
int sources_policy(struct source_list *l, const char *file);
int sources_credential(struct source_list *l, const char *file);
void sources_done(struct source_list *l); /* idempotent */
#define cleanup_sources __attribute__((cleanup(sources_done)))

#endif
