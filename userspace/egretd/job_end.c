/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last step: processes killed, proxy drained, events read to the last one, then everything of
 * the job removed. job_end() is called again by each thing that it waits for, and goes on where it
 * stands.
 */
#include "egretd/job.h"

#include "egretd/adopt.h"
#include "egretd/compile.h"
#include "egretd/container.h"
#include "egretd/control.h"
#include "egretd/direct.h"
#include "egretd/identity.h"
#include "egretd/worker.h"

#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROXY_MS 2000
#define DRAIN_MS 3000

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void job_free(struct job *j)
{
	struct daemon *d = j->d;
	struct job **at;
	int i;

	timer_del(&j->late);
	timer_del(&j->linger);
	timer_del(&j->proxy_again);
	watch_del(&j->proxy_sock);
	watch_del(&j->proxy_ended);
	watch_del(&j->init_sock);
	watch_del(&j->init_ended);
	child_end(&j->init);
	child_end(&j->proxy);
	worker_release(j);
	members_done(j, 1000);
	job_files_remove(j);
	(void)!kernel_job_forget(d->kernel, j->id);
	if (j->proxy_cgroup >= 0) {
		(void)!kernel_cage_del(d->kernel, j->proxy_cgroup_id);
		(void)!kernel_dialler_del(d->kernel, j->proxy_cgroup_id);
	}
	close_fd(&j->proxy_cgroup);
	(void)!cgroup_remove(d->cg.proxies, j->name);
	ring_fds_done(&j->ring);
	for (i = 0; i < 3; i++)
		close_fd(&j->stdio[i]);
	for (i = 0; i < JOB_POLICIES_MAX; i++)
		close_fd(&j->policies[i]);
	close_fd(&j->spec);
	close_fd(&j->status);
	close_fd(&j->follow);
	close_fd(&j->creds);
	close_fd(&j->names);
	close_fd(&j->ca);
	close_fd(&j->bundle);
	close_fd(&j->p12);
	close_fd(&j->broker_pair);
	library_close(&j->own);
	tokens_done(&j->tokens);
	free(j->dials);
	direct_drop(d, j->direct);
	for (at = &d->jobs; *at != j; at = &(*at)->next)
		;
	*at = j->next;
	d->njobs--;
	arena_done(&j->arena);
	free(j);
	daemon_check_idle(d);
}

static void over(struct job *j)
{
	struct msg_out m;

	if (j->client && j->origin == JOB_OF_RUN) {
		msg_begin(&m, MSG_JOB_ENDED, j->question);
		msg_put_str(&m, TAG_JOB_NAME, str_of(j->name));
		msg_put_u64(&m, TAG_CODE, (uint64_t)(uint32_t)j->exit_status);
		client_owns(j->client, NULL);
		client_send(j->client, &m);
	}
	job_free(j);
}

static void on_drain_late(struct timer *t)
{
	struct job *j = t->owner;

	log_warn("job %s: the audit process did not read the last events in time; they stay in the "
		 "ring until it does",
		 j->name);
	over(j);
}

void job_drained(struct job *j)
{
	if (j->draining)
		over(j);
}

/* The proxy has ended: its ring grows no more. */
static void drain(struct job *j)
{
	struct event e;
	struct msg_out m;

	event_begin(&e, EVENT_JOB_END, VERDICT_NONE, REASON_NONE);
	if (j->exit_status >= 0) /* a command that an earlier egretd started has told its status to
				    `egret run` alone */
		event_num(&e, FIELD_EXIT_STATUS, (uint64_t)j->exit_status);
	msg_begin(&m, MSG_JOB_CLOSE, j->serial);
	msg_put_u64(&m, TAG_JOB, j->id);
	(void)!service_send(&j->d->broker, &m);
	daemon_event(j->d, j->id, &e);
	msg_begin(&m, MSG_RING_CLOSE, j->serial);
	msg_put_u64(&m, TAG_JOB, j->id);
	timer_set(j->d->loop, &j->late, DRAIN_MS, on_drain_late, j);
	if (service_send(&j->d->audit, &m) < 0)
		log_warn("job %s: ended while the audit process is away", j->name);
}

static void on_proxy_late(struct timer *t)
{
	struct job *j = t->owner;

	child_kill(&j->proxy, SIGKILL);
	child_kill(&j->init, SIGKILL);
}

void job_end(struct job *j)
{
	bool first = j->state != JOB_ENDING;

	if (first) {
		j->state = JOB_ENDING;
		park_jobs(j->d);
		timer_del(&j->late);
		timer_del(&j->proxy_again);
		containers_job_over(j, "its job is over");
		(void)!members_refresh(j); /* ending: no member is ready any more */
		worker_release(j);
		members_kill(j);
		timer_set(j->d->loop, &j->late, PROXY_MS, on_proxy_late, j);
		proxy_stop(j);
	}
	/* The ends of the proxy and of the command come back here; later calls find it done. */
	if (j->proxy.pid > 0 || j->init.pid > 0 || j->draining)
		return;
	j->draining = true;
	drain(j);
}

static void on_linger(struct timer *t)
{
	job_end(t->owner);
}

void job_linger(struct job *j)
{
	if (j->origin == JOB_OF_ENGINE && j->state == JOB_RUNNING && !j->members)
		timer_set(j->d->loop, &j->linger, j->d->config.limits.job_linger_ms, on_linger, j);
}

void job_member_left(struct job *j, struct member *m)
{
	bool worker = m && m->kind == MEMBER_WORKER;

	if (j->state == JOB_ENDING || (m && m->kind == MEMBER_COMMAND))
		return; /* its end is told otherwise */
	if (worker && j->worker)
		j->worker->member = NULL;
	if (m)
		member_remove(m);
	park_jobs(j->d);
	if (worker && j->state == JOB_RUNNING)
		job_end(j);
	else if (j->origin == JOB_OF_UNIT)
		job_end(j);
	else
		job_linger(j);
}

void job_fail(struct job *j, const char *why)
{
	bool told = false;

	/* Once: whose room it is has gone on by the time that a job which is ending fails again. */
	if (j->tell)
		snprintf(j->tell, j->tell_n, "%s", why);
	j->tell = NULL;
	if (j->client && j->state != JOB_RUNNING && j->state != JOB_ENDING) {
		client_failed(j->client, j->question, -EINVAL, why);
		told = true;
		if (j->origin == JOB_OF_RUN)
			client_owns(j->client, NULL);
		j->client = NULL;
	}
	/* The egretd of one `egret run` shares its terminal. */
	if (!told || !j->d->once)
		log_warn("job %s: %s", j->name, why);
	compile_cancel(j->compile);
	identity_cancel(j->identity);
	j->compile = NULL;
	j->identity = NULL;
	containers_job_over(j, why);
	if (j->state == JOB_CHOOSING) {
		job_free(j);
		return;
	}
	j->exit_status = 125;
	if (j->proxy_cgroup < 0) {
		job_free(j);
		return;
	}
	job_end(j);
}
