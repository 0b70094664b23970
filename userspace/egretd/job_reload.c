// SPDX-License-Identifier: Apache-2.0
/*
 * After the installed policies were read anew: every running job whose policy is an installed one
 * is judged by what fits it now, requests and open tunnels alike. A job that no policy fits any
 * more is ended. Jobs that brought their own file keep it. Called by library.c.
 */
#include "egretd/job.h"

#include "egretd/adopt.h"
#include "egretd/direct.h"

#include "base/log.h"

#include <stdlib.h>
#include <unistd.h>

/* What job_select() fills. */
struct selected {
	int policies[JOB_POLICIES_MAX], creds;
	unsigned npolicies, nplaceholders;
	struct kernel_dial *dials;
	size_t ndials;
	struct direct *direct;
	struct str name, digest;
	bool opens_tls;
};

static struct selected take_out(struct job *j)
{
	struct selected s = { .creds = j->creds,
			      .npolicies = j->npolicies,
			      .nplaceholders = j->nplaceholders,
			      .dials = j->dials,
			      .ndials = j->ndials,
			      .direct = j->direct,
			      .opens_tls = j->opens_tls,
			      .name = j->policy_name,
			      .digest = j->policy_digest };
	int i;

	for (i = 0; i < JOB_POLICIES_MAX; i++) {
		s.policies[i] = j->policies[i];
		j->policies[i] = -1;
	}
	j->creds = -1;
	j->npolicies = j->nplaceholders = 0;
	j->dials = NULL;
	j->ndials = 0;
	j->direct = NULL;
	return s;
}

static void drop(struct daemon *d, struct selected *s)
{
	int i;

	for (i = 0; i < JOB_POLICIES_MAX; i++)
		if (s->policies[i] >= 0)
			close(s->policies[i]);
	if (s->creds >= 0)
		close(s->creds);
	free(s->dials);
	direct_drop(d, s->direct);
}

static int tell(struct job *j)
{
	struct msg_out m;
	unsigned i;
	int r = kernel_cage_set(j->d->kernel, j->proxy_cgroup_id, j->dials, j->ndials);

	if (r < 0)
		return r;
	msg_begin(&m, MSG_JOB_PEER, j->serial);
	msg_put_u64(&m, TAG_JOB, j->id);
	if (j->creds >= 0)
		msg_put_fd(&m, TAG_FD_CREDS, j->creds);
	r = service_send(&j->d->broker, &m);
	if (r < 0 || j->proxy.pid <= 0)
		return r; /* a proxy that is being started anew is told by its start */
	msg_begin(&m, MSG_PROXY_POLICY, 2);
	for (i = 0; i < j->npolicies; i++)
		msg_put_fd(&m, TAG_FD_POLICY, j->policies[i]);
	if (j->creds >= 0)
		msg_put_fd(&m, TAG_FD_CREDS, j->creds);
	r = msg_send(j->proxy.sock, &m);
	msg_out_done(&m);
	return r;
}

/* Its policy cannot be chosen anew. Who waits for a job that is being made is told. */
static void no_more(struct job *j, const char *why)
{
	if (j->state != JOB_RUNNING) {
		job_fail(j, why);
		return;
	}
	log_err("job %s: its policy is chosen anew: %s; the job is ended", j->name, why);
	j->exit_status = 125;
	job_end(j);
}

bool job_reselect(struct job *j)
{
	struct selected before = take_out(j);
	struct daemon *d = j->d; /* the job may be gone at the end */
	char why[WHY_MAX];
	bool goes_on = false;

	j->stale = false;
	if (job_select(j, why, sizeof(why)) < 0) {
		no_more(j, why);
	} else if (members_refresh(j) < 0) {
		no_more(j, "the kernel's table cannot be changed");
	} else {
		goes_on = true;
		if (before.opens_tls && !j->opens_tls)
			log_warn("job %s: its new policy passes TLS unopened; programs that run "
				 "keep "
				 "variables by which they trust the job's CA alone, and will not "
				 "trust "
				 "what is behind it until the job is started anew",
				 j->name);
		if (tell(j) < 0) {
			log_warn("job %s: its proxy is started anew to take the new policy",
				 j->name);
			child_kill(&j->proxy, SIGKILL);
		}
	}
	drop(d, &before);
	return goes_on;
}

void jobs_reload(struct daemon *d)
{
	struct job *j, *next;

	for (j = d->jobs; j; j = next) {
		next = j->next;
		if (j->own_policy)
			continue;
		if (j->state == JOB_RUNNING)
			job_reselect(j);
		else
			j->stale = true;
	}
	park_jobs(d);
}
