/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second step: everything a job needs before its command may run. The cgroup is registered
 * without EGRET_CG_READY, so that nothing in it can connect until the proxy serves. Proxy, broker
 * and audit process are asked at the same time; job_answered() counts.
 */
#include "egretd/job.h"

#include "egretd/files.h"

#include "egretd/adopt.h"
#include "egretd/container.h"
#include "egretd/control.h"
#include "egretd/dialling.h"
#include "egretd/share.h"
#include "egretd/unit.h"
#include "egretd/worker.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAKE_MS 15000
#define DIAL_SLACK_MS 15000 /* to the record of the request that a dial is for */

static void on_late(struct timer *t)
{
	struct job *j = t->owner;
	char why[160];

	snprintf(why, sizeof(why),
		 "the job was not ready within %d s: no answer from%s%s%s%s; egret doctor may say "
		 "more",
		 MAKE_MS / 1000, j->waiting & WAIT_PROXY ? " egret-proxy" : "",
		 j->waiting & WAIT_BROKER ? " egret-broker" : "",
		 j->waiting & WAIT_AUDIT ? " egret-audit" : "",
		 j->waiting & WAIT_INIT ? " egret-init" : "");
	job_fail(j, why);
}

/* The command's own cgroup and namespace. Other jobs get members later, or have their worker's. */
static int make_command(struct job *j, char *why, size_t n)
{
	struct net *net = NULL;
	struct member *m = NULL;
	int r = member_add(j, MEMBER_COMMAND, j->name, j->name, true, NULL, &m, why, n);

	if (r == 0)
		r = net_of(j, j->host_net ? NETNS_SHARED : NETNS_NEW, -1, &net, why, n);
	if (r < 0)
		return r;
	member_net(m, net);
	m->trust = MEMBER_TRUST_FULL;
	return 0;
}

static int make_cage(struct job *j, char *why, size_t n)
{
	struct daemon *d = j->d;
	int r = cgroup_make(d->cg.proxies, j->name, &j->proxy_cgroup, &j->proxy_cgroup_id);

	if (r < 0) {
		snprintf(why, n, "no cgroup for the job's proxy below %s: %s", d->cg.own_path,
			 strerror(-r));
		return r;
	}
	r = share_set(j->proxy_cgroup, d->cg.shares, d->config.limits.proxy_memory);
	if (r < 0) {
		snprintf(why, n, "the share of the job's proxy cannot be written below %s: %s",
			 d->cg.own_path, strerror(-r));
		return r;
	}
	r = kernel_cage_set(d->kernel, j->proxy_cgroup_id, j->dials, j->ndials);
	if (r == 0)
		r = dialling_make(j);
	if (r < 0)
		snprintf(why, n, "the kernel's tables cannot take the job: %s", strerror(-r));
	return r;
}

static int make_memory(struct job *j, char *why, size_t n)
{
	int r = ring_create(j->d->config.limits.ring_bytes, &j->ring);

	if (r == 0) {
		j->names = memfd_create("egret-names", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		r = j->names < 0 ? -errno : 0;
	}
	if (r < 0)
		snprintf(why, n, "no memory for the job's ring: %s", strerror(-r));
	return r;
}

int job_ask_audit(struct job *j)
{
	const struct limits *l = &j->d->config.limits;
	struct msg_out m;
	char fact[512];
	size_t i;

	msg_begin(&m, MSG_RING_OPEN, j->serial);
	msg_put_u64(&m, TAG_JOB, j->id);
	msg_put_str(&m, TAG_JOB_NAME, str_of(j->name));
	msg_put_fd(&m, TAG_FD_RING, j->ring.data);
	msg_put_fd(&m, TAG_FD_RING_ACK, j->ring.ack);
	msg_put_fd(&m, TAG_FD_RING_WAKE, j->ring.wake);
	msg_put_fd(&m, TAG_FD_RING_SPACE, j->ring.space);
	msg_put_u64(&m, TAG_ASSURANCE, j->facts.assurance);
	msg_put_u64(&m, TAG_PROXY_CGROUP, j->proxy_cgroup_id);
	msg_put_u64(&m, TAG_TIME,
		    l->connect_ms + l->handshake_ms + l->ring_wait_ms + DIAL_SLACK_MS);
	for (i = 0; i < j->facts.n; i++) {
		snprintf(fact, sizeof(fact), "%.*s=%.*s", STR_ARG(j->fact_list[i].key),
			 STR_ARG(j->fact_list[i].value));
		msg_put_str(&m, TAG_FACT, str_of(fact));
	}
	if (j->follow >= 0)
		msg_put_fd(&m, TAG_FD_FOLLOW, j->follow);
	return service_send(&j->d->audit, &m);
}

/* The pair between a proxy and the broker: the broker gets its end now, the proxy's is kept until
 * the proxy is told. */
int job_ask_broker(struct job *j)
{
	struct msg_out m;
	int pair[2], r = msg_pair(pair);

	if (r < 0)
		return r;
	msg_begin(&m, MSG_JOB_OPEN, j->serial);
	msg_put_u64(&m, TAG_JOB, j->id);
	msg_put_str(&m, TAG_JOB_NAME, str_of(j->name));
	msg_put_fd(&m, TAG_FD_PEER, pair[1]);
	if (j->creds >= 0)
		msg_put_fd(&m, TAG_FD_CREDS, j->creds);
	tokens_put(&j->tokens, &m);
	if (j->sealed.n)
		msg_put(&m, TAG_SEALED, j->sealed.p, j->sealed.n);
	r = service_send(&j->d->broker, &m);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	if (j->broker_pair >= 0)
		close(j->broker_pair);
	j->broker_pair = pair[0];
	return 0;
}

void job_broker_opened(struct job *j, struct msg_in *m)
{
	struct str sealed;
	int ca = -1, bundle = -1, p12 = -1;

	if (msg_get(m, TAG_SEALED, &sealed) < 0 || msg_take_fd(m, TAG_FD_CA, &ca) < 0 ||
	    msg_take_fd(m, TAG_FD_BUNDLE, &bundle) < 0 || msg_take_fd(m, TAG_FD_P12, &p12) < 0) {
		job_fail(j, "egret-broker's answer is not complete");
	} else if (!j->sealed.n) {
		j->sealed = arena_str(&j->arena, sealed);
		j->ca = TAKE_FD(ca);
		j->bundle = TAKE_FD(bundle);
		j->p12 = TAKE_FD(p12);
		job_answered(j, WAIT_BROKER);
	}
	if (ca >= 0)
		close(ca);
	if (bundle >= 0)
		close(bundle);
	if (p12 >= 0)
		close(p12);
}

void job_make(struct job *j)
{
	char why[WHY_MAX] = "";
	int r;

	j->state = JOB_MAKING;
	timer_set(j->d->loop, &j->late, MAKE_MS, on_late, j);
	r = make_cage(j, why, sizeof(why));
	if (r == 0)
		r = make_memory(j, why, sizeof(why));
	/* The broker makes the job's CA while the namespace is made and the proxy starts. */
	if (r == 0)
		files_job(j);
	if (r == 0)
		r = job_ask_broker(j);
	if (r == 0)
		r = job_ask_audit(j);
	if (r == 0 && j->origin == JOB_OF_RUN)
		r = make_command(j, why, sizeof(why));
	if (r == 0 && j->origin == JOB_OF_UNIT)
		r = unit_make(j, why, sizeof(why));
	if (r == 0 && j->worker)
		r = worker_make(j, why, sizeof(why));
	if (r == 0)
		r = proxy_start(j, why, sizeof(why));
	if (r < 0) {
		job_fail(j, why[0] ? why
				   : "egret-broker or egret-audit is being started anew: try again "
				     "in a moment");
		return;
	}
	j->waiting = WAIT_PROXY | WAIT_BROKER | WAIT_AUDIT;
}

void job_answered(struct job *j, unsigned wait)
{
	j->waiting &= ~wait;
	if (j->state != JOB_MAKING || j->waiting)
		return;
	/* The proxy has the policy of before; nothing of the job runs yet. */
	if (j->stale && wait != WAIT_INIT && !job_reselect(j))
		return;
	if (wait == WAIT_INIT) {
		job_running(j);
	} else if (j->origin == JOB_OF_RUN) {
		job_start_command(j);
	} else {
		job_start_event(j);
		job_running(j);
	}
}

void job_running(struct job *j)
{
	char why[WHY_MAX] = "";
	struct msg_out m;
	int r = j->worker || j->origin == JOB_OF_UNIT ? job_files_lay(j) : 0;

	timer_del(&j->late);
	if (r < 0) {
		snprintf(why, sizeof(why), "the job's CA files cannot be written to %s: %s",
			 j->d->config.run_dir.p, strerror(-r));
		job_fail(j, why);
		return;
	}
	if (j->worker && worker_take(j, why, sizeof(why)) < 0) {
		job_fail(j, why);
		return;
	}
	j->state = JOB_RUNNING;
	park_jobs(j->d);
	if (j->client) {
		msg_begin(&m, MSG_JOB, j->question);
		job_put(j, &m);
		client_send(j->client, &m);
		/* The job of a runner outlives who registered it. */
		if (j->origin != JOB_OF_RUN)
			j->client = NULL;
	}
	containers_job_ready(j);
	job_linger(j);				 /* its first container may never come to be */
	if (j->stale && j->state == JOB_RUNNING) /* since its command was started */
		(void)job_reselect(j);
}
