/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking egret-compile what an engine's files say of a container: whose labels it carries, which
 * networks and ports it has, and whether it could leave its job. One short-lived process without
 * privileges a question; egretd opens the files and reads none of their bytes (P5). Names and
 * labels in the answer are still an image's or a workflow's words: bounded, without control
 * characters, and believed only where docs/man/egretd.8 says so.
 */
#ifndef EGRET_EGRETD_INSPECT_H
#define EGRET_EGRETD_INSPECT_H

#include "egretd/daemon.h"

#define INSPECTED_LIST_MAX 64

struct inspected_list {
	struct str at[INSPECTED_LIST_MAX];
	unsigned n;
};

struct inspected_port {
	bool six; /* at ::1, else at 127.0.0.1 */
	uint16_t host, container;
};

struct inspected {
	struct arena arena; /* all strings; each ends in NUL */
	struct str name, image;
	struct inspected_list labels;	/* "key=value"; a key once */
	struct inspected_list networks; /* names */
	struct inspected_list aliases;	/* its names on them */
	struct inspected_port ports[INSPECTED_LIST_MAX];
	unsigned nports;
	uint64_t flags; /* INSPECT_* */
};

struct inspect;
/* ok is NULL on failure, and text says why. Lent until done returns. */
typedef void (*inspect_fn)(void *owner, int err, const char *text, const struct inspected *ok);

/* config.v2.json and hostconfig.json of docker; both descriptors are borrowed until this returns.
 * 0: done will be called once, never from inside. Else -errno and why. */
int inspect_start(struct daemon *d, int config_fd, int host_fd, inspect_fn done, void *owner,
		  struct inspect **ret, char *why, size_t why_n) MUST_CHECK;
void inspect_cancel(struct inspect *i); /* done is not called; accepts NULL */

/* The value of a label; NULL if there is none. */
const char *inspected_label(const struct inspected *i, const char *key);
/* An answer of egret-compile, checked: 0 or -EBADMSG. Free with inspected_done. */
int inspected_open(const struct msg_in *m, struct inspected *ret) MUST_CHECK;
void inspected_done(struct inspected *i);

#endif
