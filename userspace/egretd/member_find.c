/* SPDX-License-Identifier: Apache-2.0 */
/* See member.h: whose member is it, by name, by path, by cgroup. */
#include "egretd/job.h"
#include "egretd/member.h"

struct member *member_by_name(struct daemon *d, const char *name, struct job **ret_job)
{
	struct job *j;
	struct member *m;

	for (j = d->jobs; j; j = j->next)
		for (m = j->members; m; m = m->next)
			if (!strcmp(m->name, name)) {
				if (ret_job)
					*ret_job = j;
				return m;
			}
	return NULL;
}

struct member *member_by_path(struct daemon *d, struct str path)
{
	struct member *m, *found = NULL;
	struct job *j;
	size_t best = 0;

	while (path.n && path.p[0] == '/') {
		path.p++;
		path.n--;
	}
	for (j = d->jobs; j; j = j->next)
		for (m = j->members; m; m = m->next) {
			size_t n = strlen(m->path);

			if (n > best && str_starts(path, m->path) &&
			    (path.n == n || path.p[n] == '/')) {
				found = m;
				best = n;
			}
		}
	return found;
}

struct member *member_by_cgroup(struct daemon *d, uint64_t id)
{
	struct member *m;
	struct job *j;

	for (j = d->jobs; j; j = j->next)
		for (m = j->members; m; m = m->next)
			if (m->cgroup_id == id)
				return m;
	return NULL;
}
