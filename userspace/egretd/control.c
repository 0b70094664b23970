/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See control.h. Who asks is established once, when the connection is accepted (authority.c); a
 * frame of another form ends the connection. What needs an admin says so in words.
 */
#include "egretd/control.h"

#include "egretd/client.h"
#include "egretd/container.h"
#include "egretd/handover.h"
#include "egretd/job.h"
#include "egretd/override.h"
#include "egretd/walls.h"
#include "egretd/worker.h"

#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define IDLE_MS 300
#define CONTROL_QUEUE 4096 /* cut to net.core.somaxconn */
#define ACCEPT_AGAIN_MS 100
#define ADMIN_BUFFER \
	(16 << 20)	  /* 4,000 jobs with facts and members; the kernel takes what is used */
#define CLIENTS_A_USER 32 /* of one uid that is not root's: nobody keeps the others out */

struct client *client_new(struct daemon *d, int fd)
{
	struct client *c = mem_new(sizeof(*c));

	c->d = d;
	c->who.pidfd = -1;
	c->watch.fd = fd;
	c->next = d->clients;
	d->clients = c;
	d->nclients++;
	return c;
}

void client_free(struct client *c)
{
	struct client **at;

	c->gone = true;
	watch_del(&c->watch);
	if (c->watch.fd >= 0)
		close(c->watch.fd);
	c->watch.fd = -1;
	if (c->job) {
		struct job *j = c->job;

		/* Its `egret run` is gone: so is the reason for the job. */
		c->job = NULL;
		j->client = NULL;
		job_fail(j, "the egret run that started it is gone");
	}
	jobs_client_gone(c->d, c);
	containers_client_gone(c->d, c);
	handover_client_gone(c->d, c);
	if (c->reloading)
		return; /* the answer to the reload frees it */
	for (at = &c->d->clients; *at != c; at = &(*at)->next)
		;
	*at = c->next;
	c->d->nclients--;
	caller_done(&c->who);
	daemon_check_idle(c->d);
	free(c);
}

void client_send(struct client *c, struct msg_out *m)
{
	if (c->gone) {
		msg_out_done(m);
		return;
	}
	if (msg_send(c->watch.fd, m) < 0) {
		msg_out_done(m);
		/* Not freed here: the caller of this may still hold it. The watch sees the end at
		 * once. */
		shutdown(c->watch.fd, SHUT_RDWR);
	}
}

void client_failed(struct client *c, uint32_t question, int err, const char *why)
{
	struct msg_out m;

	msg_begin(&m, MSG_FAILED, question);
	msg_put_u64(&m, TAG_CODE, (uint64_t)(uint32_t)-err);
	msg_put_str(&m, TAG_TEXT, str_of(why));
	client_send(c, &m);
}

static void client_ok(struct client *c, uint32_t question)
{
	struct msg_out m;

	msg_begin(&m, MSG_OK, question);
	client_send(c, &m);
}

void client_owns(struct client *c, struct job *j)
{
	c->job = j;
}

static bool may_see(const struct client *c, const struct job *j)
{
	const struct job *in = c->who.job[0] ? job_by_name(c->d, str_of(c->who.job)) : NULL;

	if (!c->who.in_job)
		return c->who.audits || c->who.uid == j->caller_uid;
	if (!strcmp(c->who.job, j->name))
		return true;
	/* Who registered it, in the runner's own unit and in no job: hooks that come later. */
	return (!c->who.job[0] || (in && in->origin == JOB_OF_UNIT)) && j->worker &&
	       c->who.uid == j->caller_uid && !strcmp(c->who.place.unit, j->worker->unit);
}

/* Auditors see all jobs; whose job it is may end it. */
static bool may_change(const struct client *c, const struct job *j)
{
	return may_see(c, j) && (c->who.admin || c->who.in_job || c->who.uid == j->caller_uid);
}

static void send_jobs(struct client *c, uint32_t question)
{
	struct job *j;
	struct msg_out m;

	for (j = c->d->jobs; j; j = j->next) {
		if (!may_see(c, j))
			continue;
		msg_begin(&m, MSG_JOB, question);
		job_put(j, &m);
		client_send(c, &m);
	}
	msg_begin(&m, MSG_END, question);
	client_send(c, &m);
}

static void answer_status(struct client *c, uint32_t question)
{
	struct msg_out m;

	msg_begin(&m, MSG_STATUS, question);
	status_put(c->d, &m);
	client_send(c, &m);
	send_jobs(c, question);
}

/* With STATUS_TRY the walls are tried first: for who may take egretd's time. */
static void ask_status(struct client *c, struct msg_in *m)
{
	uint64_t flags = 0;

	(void)!msg_get_u64(m, TAG_FLAGS, &flags);
	if (!(flags & STATUS_TRY)) {
		answer_status(c, m->id);
	} else if (!c->who.admin) {
		client_failed(c, m->id, -EPERM,
			      "the walls are tried for root on the host: use sudo");
	} else if (walls_now(c->d) < 0) {
		client_failed(c, m->id, -EAGAIN, "the walls cannot be tried now: try again");
	} else {
		c->try_question = m->id;
		c->trying = true;
	}
}

void control_walls_tried(struct daemon *d)
{
	struct client *c;

	for (c = d->clients; c; c = c->next) {
		if (!c->trying || c->gone)
			continue;
		c->trying = false;
		answer_status(c, c->try_question);
	}
}

static struct job *named_job(struct client *c, struct msg_in *m)
{
	struct str name;
	struct job *j =
		msg_get_str(m, TAG_JOB_NAME, 64, &name) == 0 ? job_by_name(c->d, name) : NULL;

	if (!j || !may_see(c, j)) {
		client_failed(c, m->id, -ENOENT,
			      "no such job runs here: egret job list shows those that do");
		return NULL;
	}
	return j;
}

static struct job *own_job(struct client *c, struct msg_in *m)
{
	struct job *j = named_job(c, m);

	if (j && !may_change(c, j)) {
		client_failed(c, m->id, -EPERM,
			      "it is another's job, and auditors change nothing: use sudo");
		return NULL;
	}
	return j;
}

void client_event(struct client *c, enum event_kind kind, const char *what, struct str name)
{
	struct event e;
	char text[PROTO_NAME_MAX + 64];

	snprintf(text, sizeof(text), "%s%s%.*s", what, name.n ? " " : "", STR_ARG(name));
	event_begin(&e, kind, VERDICT_NONE, REASON_NONE);
	event_num(&e, FIELD_PROCESS_PID, (uint64_t)c->who.pid);
	event_text(&e, FIELD_PROCESS_COMM, str_of(c->who.comm));
	event_num(&e, FIELD_PROCESS_UID, c->who.uid);
	event_text(&e, FIELD_MESSAGE, str_of(text));
	daemon_event(c->d, 0, &e);
}

static void on_reloaded(void *owner, int err, const char *text)
{
	struct client *c = owner;

	c->reloading = false;
	if (c->gone) {
		client_free(c);
		return;
	}
	if (err < 0)
		client_failed(c, c->reload_question, err, text);
	else
		client_ok(c, c->reload_question);
}

static void answer_signal(struct client *c, struct msg_in *m)
{
	struct job *j = own_job(c, m);
	uint64_t sig;

	if (!j)
		return;
	if (j != c->job || msg_get_u64(m, TAG_CODE, &sig) < 0 || sig == 0 || sig > 64) {
		client_failed(c, m->id, -EPERM,
			      "signals go only to the command that this connection started");
		return;
	}
	child_kill(&j->init, (int)sig);
	client_ok(c, m->id);
}

/* A job's own lines of the log: for who may see the job. Read and picked by the audit process. */
static void answer_events(struct client *c, struct msg_in *m)
{
	struct job *j = named_job(c, m);
	cleanup_close int fd = -1;
	struct msg_out out;

	if (!j)
		return;
	if (msg_take_fd(m, TAG_FD_FOLLOW, &fd) < 0) {
		client_failed(c, m->id, -EBADMSG, "no socket came with the question");
		return;
	}
	msg_begin(&out, MSG_EVENTS, 0);
	msg_put_u64(&out, TAG_JOB, j->id);
	msg_put_fd(&out, TAG_FD_FOLLOW, fd);
	if (service_send(&c->d->audit, &out) < 0)
		client_failed(c, m->id, -EAGAIN,
			      "egret-audit is being started anew: try again in a moment");
	else
		client_ok(c, m->id);
}

static void answer_upgrade(struct client *c, uint32_t question)
{
	char why[WHY_MAX];
	int r = -EPERM;

	if (!c->who.admin)
		snprintf(why, sizeof(why), "egretd is upgraded by root on the host: use sudo");
	else {
		client_event(c, EVENT_ADMIN_UPGRADE, "upgrade", STR(""));
		r = handover_begin(c->d, c, question, why, sizeof(why));
	}
	if (r < 0)
		client_failed(c, question, r, why);
}

static bool answer(struct client *c, struct msg_in *m)
{
	struct job *j;

	switch (m->type) {
	case MSG_STATUS:
		ask_status(c, m);
		return true;
	case MSG_JOB_LIST:
		send_jobs(c, m->id);
		return true;
	case MSG_JOB_SHOW:
		j = named_job(c, m);
		if (j) {
			struct msg_out out;

			msg_begin(&out, MSG_JOB, m->id);
			job_put(j, &out);
			client_send(c, &out);
		}
		return true;
	case MSG_JOB_END:
		j = own_job(c, m);
		if (j) {
			/* From inside: who asks lives on with the worker, to report. */
			if (j->worker && !strcmp(c->who.job, j->name))
				j->worker->spare = c->who.pid;
			client_event(c, EVENT_ADMIN_JOB, "ended", str_of(j->name));
			/* Answered when what was left of it is killed: what the caller starts next
			 * is no part of that. */
			if (j->state == JOB_RUNNING)
				job_end(j);
			else
				job_fail(j, "it was ended by egret job end");
			client_ok(c, m->id);
		}
		return true;
	case MSG_RUN:
		if (c->job)
			client_failed(c, m->id, -EBUSY, "this connection has a job already");
		else
			job_run(c->d, c, &c->who, m);
		return true;
	case MSG_REGISTER_BEGIN:
		job_register_begin(c->d, c, &c->who, m, c->nonce);
		return true;
	case MSG_REGISTER:
		job_register(c->d, c, &c->who, m, c->nonce);
		c->nonce[0] = 0; /* good once */
		return true;
	case MSG_ATTACH:
		container_attach(c->d, c, &c->who, m);
		return true;
	case MSG_PREPARE:
		container_prepare(c->d, c, &c->who, m);
		return true;
	case MSG_JOIN:
		container_join(c->d, c, &c->who, m);
		return true;
	case MSG_TRUST:
		j = own_job(c, m);
		if (j && j->state != JOB_RUNNING) {
			client_failed(c, m->id, -EAGAIN, "the job does not run yet, or no more");
		} else if (j) {
			struct msg_out out;

			msg_begin(&out, MSG_PREPARED, m->id);
			job_put_trust(j, &out);
			client_send(c, &out);
		}
		return true;
	case MSG_EVENTS:
		answer_events(c, m);
		return true;
	case MSG_SIGNAL:
		answer_signal(c, m);
		return true;
	case MSG_SECRET_SET:
	case MSG_SECRET_LIST:
	case MSG_SECRET_REMOVE:
	case MSG_SECRET_REKEY:
	case MSG_CA_ROOT:
	case MSG_LEASE_LIST:
	case MSG_LEASE_REVOKE:
		client_to_broker(c, m);
		return true;
	case MSG_OVERRIDE:
		override_ask(c, m);
		return true;
	case MSG_RELOAD:
		if (!c->who.admin || c->reloading) {
			client_failed(c, m->id, -EPERM,
				      "policies are read again for root on the host only, one "
				      "reload at a time");
			return true;
		}
		client_event(c, EVENT_ADMIN_POLICY, "reload", STR(""));
		c->reload_question = m->id;
		c->reloading = true;
		library_reload(c->d, on_reloaded, c);
		return true;
	case MSG_UPGRADE:
		answer_upgrade(c, m->id);
		return true;
	default:
		return false;
	}
}

void client_ready(struct watch *w, uint32_t events)
{
	struct client *c = w->owner;
	struct msg_in m;
	int r = msg_recv(w->fd, &m);
	bool known;

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		client_free(c);
		return;
	}
	known = answer(c, &m);
	msg_in_done(&m);
	if (!known)
		client_free(c);
}

static unsigned clients_of(const struct daemon *d, uid_t uid)
{
	const struct client *c;
	unsigned n = 0;

	for (c = d->clients; c; c = c->next)
		n += c->who.uid == uid;
	return n;
}

static void on_accept_again(struct timer *t)
{
	struct daemon *d = t->owner;

	watch_set(&d->control_watch, EPOLLIN);
}

static void on_accept(struct watch *w, uint32_t events)
{
	struct daemon *d = w->owner;
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *c;
	char why[WHY_MAX];
	int r;

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			/* Out of descriptors or memory: look again soon, not at once for ever. */
			watch_set(w, 0);
			timer_set(d->loop, &d->accept_again, ACCEPT_AGAIN_MS, on_accept_again, d);
		}
		return;
	}
	if (d->nclients >= d->config.limits.control_clients) {
		close(fd);
		return;
	}
	c = client_new(d, fd);
	r = caller_of(d, fd, &c->who, why, sizeof(why));
	if (r == 0 && c->who.uid != 0 && d->nclients > d->config.limits.control_clients * 3 / 4) {
		snprintf(why, sizeof(why),
			 "egretd has too many connections; the last ones are kept for root");
		r = -EBUSY;
	}
	if (r == 0 && c->who.uid != 0 && clients_of(d, c->who.uid) > CLIENTS_A_USER) {
		snprintf(why, sizeof(why), "uid %u has %d connections already",
			 (unsigned)c->who.uid, CLIENTS_A_USER);
		r = -EBUSY;
	}
	if (r < 0)
		client_failed(c, 0, r, why);
	/* A list of all jobs or leases goes out at once, and these see as many as there are. */
	else if (c->who.admin || c->who.audits)
		(void)!setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){ ADMIN_BUFFER },
				  sizeof(int));
	if (r < 0 || watch_add(d->loop, &c->watch, fd, EPOLLIN, client_ready, c) < 0)
		client_free(c);
}

int control_open(struct daemon *d, char *why, size_t n)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int r;

	if (d->control >= 0) { /* the one before this egretd made it, and its queue goes on */
		r = kernel_guard_control(d->kernel, d->control);
		if (r < 0) {
			snprintf(why, n, "the kernel cannot be told of the control socket: %s",
				 strerror(-r));
			return r;
		}
		return watch_add(d->loop, &d->control_watch, d->control, EPOLLIN, on_accept, d);
	}
	if ((size_t)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/control.sock",
			     d->config.run_dir.p) >= sizeof(sa.sun_path)) {
		snprintf(why, n, "run_dir %s is too long for a socket in it (107 bytes)",
			 d->config.run_dir.p);
		return -ENAMETOOLONG;
	}
	(void)unlink(sa.sun_path); /* run_dir is locked by this process: what is there is of a dead
				      egretd */
	d->control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->control < 0 || kernel_guard_control(d->kernel, d->control) < 0 ||
	    bind(d->control, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    chmod(sa.sun_path, 0666) < 0 || listen(d->control, CONTROL_QUEUE) < 0) {
		r = -errno;
		snprintf(why, n, "the control socket %s cannot be made: %s", sa.sun_path,
			 strerror(-r));
		return r;
	}
	/* Everybody may connect; what they may ask is decided by authority.c. */
	return watch_add(d->loop, &d->control_watch, d->control, EPOLLIN, on_accept, d);
}

void control_close(struct daemon *d)
{
	char path[4200];

	timer_del(&d->accept_again);
	watch_del(&d->control_watch);
	if (d->control >= 0)
		close(d->control);
	d->control = -1;
	snprintf(path, sizeof(path), "%s/control.sock", d->config.run_dir.p);
	(void)unlink(path);
	while (d->clients) {
		d->clients->reloading = false;
		client_free(d->clients);
	}
}

static void on_idle(struct timer *t)
{
	struct daemon *d = t->owner;

	if (!d->njobs && !d->nclients)
		daemon_stop(d, 0);
}

void daemon_check_idle(struct daemon *d)
{
	if (d->stopping && !d->njobs)
		loop_stop(d->loop, 0);
	else if (d->once && !d->njobs && !d->nclients && !d->idle.loop)
		timer_set(d->loop, &d->idle, IDLE_MS, on_idle, d);
}
