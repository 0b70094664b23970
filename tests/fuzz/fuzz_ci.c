/* SPDX-License-Identifier: Apache-2.0 */
/* What hooks read: an event's file, a job response, a clone address, a cgroup file. A fact is one
 * line "key=value", a job's name is one. */
#include "cli/ci_facts.h"
#include "cli/own_job.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str text = { (const char *)data, n };
	const char *fork = ci_github_fork(text);
	struct ci_facts f = { .n = 0 };
	struct str repo = ci_repo_of(text);
	char name[32], label[7];

	if (strcmp(fork, "true") && strcmp(fork, "false") && strcmp(fork, "unknown"))
		abort();
	if (ci_gitlab_facts(&f, text) == 0)
		for (unsigned i = 0; i < f.n; i++)
			if (!strchr(f.list[i], '='))
				abort();
	ci_facts_done(&f);
	if (repo.n && (repo.p < text.p || repo.p + repo.n > text.p + text.n))
		abort();
	if (own_job_of(text, name, sizeof(name)) &&
	    strspn(name + 2, "0123456789abcdef") != strlen(name) - 2)
		abort();
	(void)!ci_github_label(text, label);
	return 0;
}
