/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a CI system says of its job to a hook on the host: facts for `egret job register`. Used by
 * job_register.c. SECURITY: only what the runner says is taken, never what a workflow may set; what
 * cannot be told that way is left out or said to be unknown, so that it fits no policy by mistake.
 */
#ifndef EGRET_CLI_CI_FACTS_H
#define EGRET_CLI_CI_FACTS_H

#include "base/bytes.h"

#include <sys/types.h>

#define CI_FACTS_MAX 24
#define CI_LABEL_MAX 256

struct ci_facts {
	char *list[CI_FACTS_MAX]; /* "key=value" */
	unsigned n;
	char container_label[CI_LABEL_MAX]; /* what its containers carry; "": not known */
};

enum ci_provider { CI_GITHUB, CI_GITLAB, CI_BUILDKITE, CI_JENKINS, CI_GENERIC, CI_PROVIDERS };

/* -1, or CI_PROVIDERS when there is no such word. */
enum ci_provider ci_provider_of(const char *word);
const char *ci_provider_name(enum ci_provider p);
/* Reads the environment and the files that it names. worker: 0 when none is known. -1, or an exit
 * status and the sentence is written. */
int ci_facts_read(enum ci_provider p, pid_t worker, struct ci_facts *ret);
void ci_facts_done(struct ci_facts *f);

/* A fact of a known value; an empty one is none, one that is too long is left out and said. */
void ci_fact(struct ci_facts *f, const char *key, struct str value);
void ci_fact_env(struct ci_facts *f, const char *key, const char *variable);

/* ci_github.c */
/* Whether the event's code comes from another repository: "true", "false", "unknown". text is the
 * webhook's body; hostile strings are in it. */
const char *ci_github_fork(struct str text);
/* The label that the runner gives its containers: the first six digits of SHA-256 over its
 * `.runner` file, as it computes it (no byte order mark, in lower case). 0; -EILSEQ: the file is
 * not ASCII. */
int ci_github_label(struct str text, char to[7]) MUST_CHECK;
void ci_github(struct ci_facts *f, pid_t worker);

/* ci_gitlab.c: out of the job response that the runner got from the server. 0; -EBADMSG. */
int ci_gitlab_facts(struct ci_facts *f, struct str text) MUST_CHECK;
int ci_gitlab(struct ci_facts *f); /* -1, or an exit status */
/* "group/project" of a clone address, without user, password, host and ".git". n = 0 when it is
 * none. */
struct str ci_repo_of(struct str url);

/* A regular file of at most `most` bytes, read whole. 0 or -errno. */
int ci_read_file(const char *path, size_t most, struct buf *to) MUST_CHECK;

#endif
