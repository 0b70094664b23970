/* SPDX-License-Identifier: Apache-2.0 */
/* A job as MSG_JOB shows it: to `egret job list`, `egret job show`, and to who started it. */
#include "egretd/job.h"
#include "egretd/walls.h"
#include "egretd/worker.h"

#include <stdio.h>

const char *job_state_name(enum job_state s)
{
	static const char *const names[] = { "starting", "starting", "running", "ending" };

	return names[s];
}

struct str job_fact_of(const struct job *j, const char *key)
{
	size_t i;

	for (i = 0; i < j->facts.n; i++)
		if (str_is(j->fact_list[i].key, key))
			return j->fact_list[i].value;
	return (struct str){ NULL, 0 };
}

static void put_member(const struct member *m, struct msg_out *out)
{
	static const char *const kinds[] = { "command", "worker", "container", "cgroup" };
	static const char *const trusts[] = { "none", "files only", "full" };
	char line[PLACE_ID_MAX + 96];

	snprintf(line, sizeof(line), "%s %s %s %s %s", kinds[m->kind], m->name,
		 m->net && m->net->served ? "served" : "refused", trusts[m->trust],
		 m->net && m->net->shared ? "host" : "own");
	msg_put_str(out, TAG_MEMBER, str_of(line));
}

static void put_walls(const struct job *j, struct msg_out *m)
{
	char text[WALLS_TEXT_MAX], *at = text, *word;

	walls_of_job(j, text);
	while ((word = strsep(&at, " ")) != NULL)
		if (word[0])
			msg_put_str(m, TAG_WALL, str_of(word));
}

void job_put(const struct job *j, struct msg_out *m)
{
	const struct member *at, *first = NULL;
	char fact[512], cgroup[2 * CGROUP_PATH_MAX];
	unsigned shown = 0;
	size_t i;

	msg_put_str(m, TAG_JOB_NAME, str_of(j->name));
	msg_put_str(m, TAG_STATE, str_of(job_state_name(j->state)));
	msg_put_str(m, TAG_NET, j->host_net ? STR("host") : STR("none"));
	msg_put_str(m, TAG_POLICY, j->policy_name);
	msg_put_str(m, TAG_DIGEST, j->policy_digest);
	msg_put_str(m, TAG_CONFINED, j->confined ? STR("confined") : STR("cooperative"));
	if (j->tier.n)
		msg_put_str(m, TAG_TIER, j->tier);
	msg_put_u64(m, TAG_ASSURANCE, j->facts.assurance);
	for (i = 0; i < j->facts.n; i++) {
		snprintf(fact, sizeof(fact), "%.*s=%.*s", STR_ARG(j->fact_list[i].key),
			 STR_ARG(j->fact_list[i].value));
		msg_put_str(m, TAG_FACT, str_of(fact));
	}
	put_walls(j, m);
	msg_put_u64(m, TAG_STARTED, j->started_us);
	/* The newest is first in the list; the job's own is the oldest. A frame has room for some.
	 */
	for (at = j->members; at; at = at->next) {
		first = at;
		if (shown++ < 64)
			put_member(at, m);
	}
	if (first)
		snprintf(cgroup, sizeof(cgroup), "%s/%s", j->d->cg.jobs_path, first->path);
	else
		snprintf(cgroup, sizeof(cgroup), "%s", j->d->cg.jobs_path);
	msg_put_str(m, TAG_CGROUP, str_of(cgroup));
	/* Where a job in the host's own mount namespace finds its CA. */
	if (j->worker || j->origin == JOB_OF_UNIT) {
		snprintf(cgroup, sizeof(cgroup), "%s/jobs/%s", j->d->config.run_dir.p, j->name);
		msg_put_str(m, TAG_RUN_DIR, str_of(cgroup));
	}
	msg_put_u64(m, TAG_UID, j->uid);
	if (j->init.pid > 0)
		msg_put_u64(m, TAG_PID, (uint64_t)j->init.pid);
	else if (j->worker)
		msg_put_u64(m, TAG_PID, (uint64_t)j->worker->pid);
	if (j->proxy.pid > 0)
		msg_put_u64(m, TAG_PROXY_PID, (uint64_t)j->proxy.pid);
	if (j->d->once)
		msg_put_u64(m, TAG_FLAGS, JOB_ONCE);
}
