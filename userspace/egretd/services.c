/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit process and the broker: started before anything else, started anew when they die
 * (promise P6: requests wait for the audit process; leases that are out go on without the broker),
 * and told of all living jobs again then. Called by main.c; answers go to job.h and control.h.
 */
#include "egretd/adopt.h"
#include "egretd/control.h"
#include "egretd/files.h"
#include "egretd/job.h"
#include "egretd/override.h"
#include "egretd/provider.h"
#include "egretd/rekey.h"

#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define AGAIN_MS 20
#define AGAIN_MAX_SHIFT 6 /* 1.3 s: jobs are to be served again within 2 s of a crash */
#define EVENTS_WAITING_MAX 256
#define RENEW_MS 5000

/* Events of egretd itself that came while the audit process was away. */
static struct waiting_event {
	uint64_t job;
	size_t n;
	uint8_t *bytes;
} waiting[EVENTS_WAITING_MAX];
static unsigned nwaiting;

int service_send(struct service *s, struct msg_out *m)
{
	int r = -ENOTCONN;

	if (s->child.sock >= 0)
		r = msg_send(s->child.sock, m);
	if (r < 0)
		msg_out_done(m);
	return r;
}

static int send_event(struct daemon *d, uint64_t job, const void *p, size_t n)
{
	struct msg_out m;

	msg_begin(&m, MSG_EVENT, 0);
	if (job)
		msg_put_u64(&m, TAG_JOB, job);
	msg_put(&m, TAG_RECORD, p, n);
	return service_send(&d->audit, &m);
}

void daemon_event(struct daemon *d, uint64_t job, const struct event *e)
{
	if (d->audit.ready && send_event(d, job, e->bytes, e->n) == 0)
		return;
	if (nwaiting == EVENTS_WAITING_MAX) {
		log_err("an event of egretd was lost: the audit process has been away too long");
		return;
	}
	waiting[nwaiting].job = job;
	waiting[nwaiting].n = e->n;
	waiting[nwaiting].bytes = mem_new(e->n);
	memcpy(waiting[nwaiting].bytes, e->bytes, e->n);
	nwaiting++;
}

static void send_waiting(struct daemon *d)
{
	unsigned i;

	for (i = 0; i < nwaiting; i++) {
		if (send_event(d, waiting[i].job, waiting[i].bytes, waiting[i].n) < 0)
			log_err("an event of egretd was lost");
		free(waiting[i].bytes);
	}
	nwaiting = 0;
}

static void on_audit(struct daemon *d, struct msg_in *m)
{
	struct job *j = job_by_serial(d, m->id);
	struct str text;
	char shown[300];

	if (m->type == MSG_FAILED && msg_get_str(m, TAG_TEXT, PROTO_TEXT_MAX, &text) == 0) {
		text_escape(shown, sizeof(shown), text);
		log_err("egret-audit: %s", shown);
		if (j && j->state == JOB_MAKING)
			job_fail(j, shown);
	} else if (m->type == MSG_OK && j) {
		if (j->state == JOB_ENDING)
			job_drained(j);
		else
			job_answered(j, WAIT_AUDIT);
	}
}

static void on_broker(struct daemon *d, struct msg_in *m)
{
	struct job *j = job_by_serial(d, m->id);
	struct str record, text;
	char shown[300];
	uint64_t job = 0;

	switch (m->type) {
	case MSG_EVENT: /* handed on unread: the audit process checks its form */
		(void)!msg_get_u64(m, TAG_JOB, &job);
		if (msg_get(m, TAG_RECORD, &record) == 0 && record.n <= EVENT_SIZE_MAX &&
		    send_event(d, job, record.p, record.n) < 0)
			log_err("an event of egret-broker was lost: the audit process is away");
		break;
	case MSG_PROVIDER_WANT:
		provider_want(d, m);
		break;
	case MSG_PROVIDER_END:
		provider_end(d, m);
		break;
	case MSG_JOB_SEALED:
		rekey_job(d, m);
		break;
	case MSG_JOB_OPENED:
		if (j)
			job_broker_opened(j, m);
		break;
	case MSG_FAILED:
		if (!j) {
			control_broker_answer(d, m);
			break;
		}
		if (msg_get_str(m, TAG_TEXT, PROTO_TEXT_MAX, &text) < 0)
			text = STR("egret-broker failed");
		text_escape(shown, sizeof(shown), text);
		/* A job that runs goes on with what it has. */
		if (j->state == JOB_MAKING)
			job_fail(j, shown);
		else
			log_err("job %s: egret-broker: %s", j->name, shown);
		break;
	default:
		if (!j)
			control_broker_answer(d, m);
	}
}

static void on_message(struct watch *w, uint32_t events)
{
	struct service *s = w->owner;
	struct msg_in m;
	int r = msg_recv(w->fd, &m);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		watch_del(w);
		child_kill(&s->child, SIGKILL);
		return;
	}
	if (s == &s->d->audit)
		on_audit(s->d, &m);
	else
		on_broker(s->d, &m);
	msg_in_done(&m);
}

static int tell_audit(struct daemon *d)
{
	cleanup_close int events = -1, lost = -1;
	struct msg_out m;
	int r = kernel_events_fd(d->kernel, &events);

	if (r == 0)
		r = kernel_lost_fd(d->kernel, &lost);
	if (r < 0)
		return r;
	msg_begin(&m, MSG_AUDIT_START, 1);
	msg_put_fd(&m, TAG_FD_LOG, d->log_fd);
	msg_put_fd(&m, TAG_FD_KERNEL_EVENTS, events);
	msg_put_fd(&m, TAG_FD_KERNEL_LOST, lost);
	msg_put_u64(&m, TAG_FLAGS, d->config.audit_sync_each ? AUDIT_SYNC_EACH : 0);
	msg_put_str(&m, TAG_NODE, str_of(d->node));
	return service_send(&d->audit, &m);
}

static int tell_broker(struct daemon *d)
{
	struct msg_out m;
	unsigned i;

	msg_begin(&m, MSG_BROKER_START, 1);
	msg_put_u64(&m, TAG_FLAGS, d->config.ca_root ? BROKER_CA_ROOT : 0);
	msg_put_fd(&m, TAG_FD_STORE_KEY, d->store_key);
	if (d->store_key_next >= 0)
		msg_put_fd(&m, TAG_FD_STORE_KEY_NEXT, d->store_key_next);
	if (d->store_dir >= 0)
		msg_put_fd(&m, TAG_FD_STORE_DIR, d->store_dir);
	for (i = 0; i < d->nroots; i++)
		msg_put_fd(&m, TAG_FD_ROOTS, d->roots[i]);
	return service_send(&d->broker, &m);
}

static void on_ended(struct watch *w, uint32_t events);
static void on_again(struct timer *t);

static int start(struct service *s, char *why, size_t n)
{
	struct daemon *d = s->d;
	bool audit = s == &d->audit;
	struct child_plan plan = { .program = audit ? "egret-audit" : "egret-broker",
				   .cgroup_dir = audit ? d->cg.audit : d->cg.broker,
				   .uid = audit ? d->config.uid_audit : d->config.uid_broker };
	int r;

	plan.gid = plan.uid;
	/* The store key is read once by each broker: from its start, whoever read it before. */
	if (!audit && d->store_key >= 0)
		(void)!lseek(d->store_key, 0, SEEK_SET);
	if (!audit)
		plan.park = d->park;
	r = 0;
	if (s->child.pid <= 0) {
		r = child_start(&plan, &s->child, why, n);
		if (r < 0)
			return r;
		r = audit ? tell_audit(d) : tell_broker(d);
		s->fresh = true;
	}
	if (r == 0)
		r = watch_add(d->loop, &s->sock, s->child.sock, EPOLLIN, on_message, s);
	if (r == 0)
		r = watch_add(d->loop, &s->ended, s->child.pidfd, EPOLLIN, on_ended, s);
	if (r < 0) {
		snprintf(why, n, "%s cannot be told what to do: %s", plan.program, strerror(-r));
		return r;
	}
	s->ready = true;
	if (!audit && s->fresh)
		files_tell(d);
	adopt_note_services(d);
	return 0;
}

/* Everything that lives is told again to a service that was started anew. */
static void tell_jobs(struct service *s)
{
	struct daemon *d = s->d;
	struct job *j;
	struct msg_out m;

	for (j = d->jobs; j; j = j->next) {
		if (j->state == JOB_CHOOSING)
			continue;
		if (s == &d->audit) {
			if (j->ring.data >= 0 && job_ask_audit(j) < 0)
				log_err("job %s: the audit process cannot be told of it", j->name);
			continue;
		}
		if (job_ask_broker(j) < 0 || j->proxy.pid <= 0)
			continue;
		msg_begin(&m, MSG_PROXY_BROKER, 1);
		msg_put_fd(&m, TAG_FD_BROKER, j->broker_pair);
		if (msg_send(j->proxy.sock, &m) == 0) {
			close(j->broker_pair);
			j->broker_pair = -1;
		}
	}
	if (s == &d->audit) {
		send_waiting(d);
		return;
	}
	msg_begin(&m, MSG_JOBS_TOLD, 0);
	if (service_send(s, &m) < 0)
		log_err("egret-broker cannot be told that it knows all jobs");
	rekey_again(d);
}

static void on_ended(struct watch *w, uint32_t events)
{
	struct service *s = w->owner;
	unsigned shift;
	int status = 0;

	if (!child_reap(&s->child, &status))
		return;
	s->ready = false;
	watch_del(&s->sock);
	watch_del(&s->ended);
	child_done(&s->child);
	if (s == &s->d->broker)
		providers_broker_gone(s->d);
	if (s->d->stopping)
		return;
	if (s->renewing) {
		log_info("egret-%s has ended; the new one is started", s->name);
		timer_set(s->d->loop, &s->again, 0, on_again, s);
		return;
	}
	log_err("egret-%s ended with status %d; it is started anew", s->name, status);
	shift = s->failures < AGAIN_MAX_SHIFT ? s->failures++ : AGAIN_MAX_SHIFT;
	timer_set(s->d->loop, &s->again, (uint64_t)AGAIN_MS << shift, on_again, s);
}

static void on_steady(struct timer *t)
{
	((struct service *)t->owner)->failures = 0;
}

static void on_again(struct timer *t)
{
	struct service *s = t->owner;
	char why[WHY_MAX];

	if (start(s, why, sizeof(why)) < 0) {
		log_err("%s", why);
		timer_set(s->d->loop, &s->again, (uint64_t)AGAIN_MS << AGAIN_MAX_SHIFT, on_again,
			  s);
		return;
	}
	tell_jobs(s);
	timer_set(s->d->loop, &s->again, 10000, on_steady, s);
	if (s->renewing) {
		s->renewing = false;
		services_renew(s->d);
	}
}

/* Whether the file of its program is another one than it was started from. */
static bool is_outdated(const struct service *s)
{
	char path[PATH_MAX + 32];
	struct stat runs, lies;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)s->child.pid);
	if (s->fresh || stat(path, &runs) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/egret-%s", child_folder(), s->name);
	return stat(path, &lies) == 0 && (runs.st_dev != lies.st_dev || runs.st_ino != lies.st_ino);
}

static void on_renew_late(struct timer *t)
{
	struct service *s = t->owner;

	log_warn("egret-%s does not end; it is killed", s->name);
	child_kill(&s->child, SIGKILL);
}

/* Rings hold what comes meanwhile, and leases that are out are used; callers wait. */
static bool renew(struct service *s)
{
	struct msg_out m;

	if (!s->ready || !is_outdated(s))
		return false;
	control_pause(s->d);
	s->renewing = true;
	timer_set(s->d->loop, &s->again, RENEW_MS, on_renew_late, s);
	s->ready = false; /* events of egretd itself wait from now on */
	msg_begin(&m, MSG_STOP, 0);
	if (service_send(s, &m) < 0)
		child_kill(&s->child, SIGTERM);
	return true;
}

void services_renew(struct daemon *d)
{
	if (!renew(&d->audit) && !renew(&d->broker))
		control_resume(d);
}

void services_tell_jobs(struct daemon *d)
{
	if (d->broker.fresh)
		tell_jobs(&d->broker);
	else
		rekey_again(d);
	if (d->audit.fresh)
		tell_jobs(&d->audit);
}

int services_start(struct daemon *d, char *why, size_t n)
{
	int r;

	d->audit.d = d->broker.d = d;
	d->audit.name = "audit";
	d->broker.name = "broker";
	r = adopt_services(d, why, n);
	if (r < 0)
		return r;
	r = start(&d->audit, why, n);
	if (r == 0)
		r = start(&d->broker, why, n);
	if (r == 0)
		files_changed(d);
	return r;
}

static void stop(struct service *s)
{
	struct msg_out m;
	int i, status;

	timer_del(&s->again);
	watch_del(&s->sock);
	watch_del(&s->ended);
	if (s->child.pid > 0) {
		msg_begin(&m, MSG_STOP, 0);
		if (service_send(s, &m) < 0)
			child_kill(&s->child, SIGTERM);
		for (i = 0; i < 200 && !child_reap(&s->child, &status); i++)
			usleep(10000);
		child_kill(&s->child, SIGKILL);
		(void)child_reap(&s->child, &status);
	}
	child_done(&s->child);
}

void services_stop(struct daemon *d)
{
	if (d->broker.d)
		stop(&d->broker);
	providers_stop(d);
	files_close(d);
	overrides_close(d);
	if (d->audit.d)
		stop(&d->audit);
}
