/* SPDX-License-Identifier: Apache-2.0 */
/* What `egret policy check`, `explain` and `test` share: compiled files, one decision, and how they
 * are printed. */
#ifndef EGRET_CLI_VERB_POLICY_H
#define EGRET_CLI_VERB_POLICY_H

#include "cli/cli.h"
#include "policy/compile.h"

struct policy_set {
	struct compiled compiled;
	struct source *sources;
	char **names;
	struct buf *texts;
	size_t n;
};

#define FACTS_MAX 32
struct job_facts {
	struct fact list[FACTS_MAX];
	size_t n;
};
/* "key=value" with a key that `for` knows. false with the sentence written. */
bool job_fact_add(struct job_facts *f, struct str text);

/* Loads the files, what they include, and compiles. 0; 2 with the errors on stderr (unless quiet).
 * Free in each case. */
int policy_set_open(struct policy_set *s, const char *const *files, size_t n, bool quiet);
void policy_set_done(struct policy_set *s);
/* The image for these facts; without facts the policy's own. 0; -ENOENT, -ENOTUNIQ, or -EINVAL when
 * there is none. */
int policy_set_pick(const struct policy_set *s, const struct job_facts *f, struct policy *ret);

struct decision {
	struct verdict verdict;
	bool passed_through; /* not opened: tls://, tcp:// or direct */
	bool direct;	     /* by no proxy, where the job has a link */
	const char *why;     /* a target or host that is refused before any rule; NULL */
	char suggest[2048];  /* the line that would allow it; "" if none */
};
/* request: "POST https://host:port/path?query", "GIT-PUSH https://host/repo refs/heads/main",
 * "tls://host:port", "tcp://host:port", "udp://address:port". 0, or -EINVAL with a sentence in why.
 */
int policy_decide(const struct policy *p, struct str request, struct decision *ret,
		  const char **why);

void out_json(struct str s); /* a JSON string, with its quotes */
void out_text(struct str s); /* escaped for a terminal */

int policy_explain(int argc, char **argv);
int policy_test(int argc, char **argv);

#endif
