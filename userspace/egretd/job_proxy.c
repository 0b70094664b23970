/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's proxy: started with duplicates of the job's listeners under a uid of its own in the cage,
 * told everything in one message, and started anew when it dies. While there is none, the kernel
 * refuses the job's connections (promise P6).
 */
#include "egretd/job.h"

#include "egretd/adopt.h"
#include "egretd/hostaddr.h"
#include "egretd/share.h"

#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AGAIN_MS 50
#define AGAIN_MAX_MS 5000
#define WAITING_MS 100 /* for what it needs: the broker, which died too, or the programs' links */
#define STEADY_FAILURES 20 /* in a row, without once being ready: the job is ended */
#define LOCAL_ADDRS_MAX 128

static void put_list(struct msg_out *m, uint16_t tag, const struct config_list *l)
{
	unsigned i;

	for (i = 0; i < l->n; i++)
		msg_put_str(m, tag, l->at[i]);
}

static void put_local(struct msg_out *m)
{
	uint8_t(*addrs)[16] = NULL;
	char text[HOSTADDR_TEXT_MAX];
	size_t n = 0, i;

	/* The cage knows them all, also the ones that do not fit here. */
	if (hostaddr_list(&addrs, &n) < 0)
		return;
	for (i = 0; i < n && i < LOCAL_ADDRS_MAX; i++) {
		hostaddr_text(addrs[i], text);
		msg_put_str(m, TAG_LOCAL_ADDR, str_of(text));
	}
	free(addrs);
}

static void put_fd(struct msg_out *m, uint16_t tag, int fd)
{
	if (fd >= 0)
		msg_put_fd(m, tag, fd);
}

static int tell(struct job *j)
{
	const struct config *c = &j->d->config;
	cleanup_close int records = -1;
	char text[96];
	struct msg_out m;
	unsigned i;
	int r = kernel_accepted_fd(j->d->kernel, &records);

	if (r < 0)
		return r;
	msg_begin(&m, MSG_PROXY_START, 1);
	msg_put_u64(&m, TAG_JOB, j->id);
	msg_put_u64(&m, TAG_FLAGS, c->audit_sync_each ? PROXY_SYNC_EACH : 0);
	for (i = 0; i < j->npolicies; i++)
		msg_put_fd(&m, TAG_FD_POLICY, j->policies[i]);
	put_fd(&m, TAG_FD_CREDS, j->creds);
	msg_put_fd(&m, TAG_FD_RING, j->ring.data);
	msg_put_fd(&m, TAG_FD_RING_ACK, j->ring.ack_ro);
	msg_put_fd(&m, TAG_FD_RING_WAKE, j->ring.wake);
	msg_put_fd(&m, TAG_FD_RING_SPACE, j->ring.space);
	msg_put_fd(&m, TAG_FD_RECORDS, records);
	msg_put_fd(&m, TAG_FD_BROKER, j->broker_pair);
	msg_put_fd(&m, TAG_FD_NAMES, j->names);
	for (i = 0; i < j->d->nroots; i++)
		msg_put_fd(&m, TAG_FD_ROOTS, j->d->roots[i]);
	put_list(&m, TAG_NAMESERVER, &c->nameservers);
	put_list(&m, TAG_HOSTS, &c->hosts);
	put_list(&m, TAG_ALLOW_PRIVATE, &c->allow_private);
	if (c->upstream_proxy.n)
		msg_put_str(&m, TAG_PARENT, c->upstream_proxy);
	put_list(&m, TAG_NO_PROXY, &c->no_proxy);
	put_list(&m, TAG_SEARCH, &c->search);
	put_list(&m, TAG_SYNTHETIC, &c->synthetic);
	put_local(&m);
	for (i = 0; i < limit_rows_n; i++) {
		uint64_t value;

		memcpy(&value, (const char *)&c->limits + limit_rows[i].offset, sizeof(value));
		if (value == limit_rows[i].def)
			continue;
		snprintf(text, sizeof(text), "%s=%llu", limit_rows[i].key,
			 (unsigned long long)value);
		msg_put_str(&m, TAG_LIMIT, str_of(text));
	}
	r = msg_send(j->proxy.sock, &m);
	if (r == 0) {
		close(j->broker_pair);
		j->broker_pair = -1;
	}
	return r;
}

int proxy_services(struct job *j)
{
	struct msg_out m;
	unsigned i;
	int r;

	if (!j->proxy_up)
		return 0; /* told when it is */
	msg_begin(&m, MSG_PROXY_SERVICES, 0);
	for (i = 0; i < j->nservices; i++)
		msg_put_str(&m, TAG_SERVICE, j->services[i]);
	r = msg_send(j->proxy.sock, &m);
	msg_out_done(&m);
	return r;
}

/* Every namespace there is has its listeners served. */
static void served(struct job *j)
{
	j->proxy_failures = 0;
	if (j->state == JOB_MAKING) {
		job_answered(j, WAIT_PROXY);
	} else if (j->state == JOB_RUNNING) {
		log_info("job %s: its proxy serves", j->name);
		park_jobs(j->d);
	}
}

static void on_message(struct watch *w, uint32_t events)
{
	struct job *j = w->owner;
	struct msg_in m;
	struct str text;
	char shown[300];
	int r = msg_recv(w->fd, &m);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		watch_del(w); /* the end is told by the pidfd; a frame of another form ends the
				 proxy */
		child_kill(&j->proxy, SIGKILL);
		return;
	}
	if (m.type == MSG_PROXY_READY) {
		j->proxy_up = true;
		if (nets_listen(j) < 0 || proxy_services(j) < 0)
			child_kill(&j->proxy, SIGKILL);
		else if (!j->nets)
			served(j);
	} else if (m.type == MSG_OK) {
		if (nets_answered(j, m.id, true, "") && nets_served(j))
			served(j);
	} else if (m.type == MSG_FAILED && msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text) == 0) {
		text_escape(shown, sizeof(shown), text);
		log_err("job %s: egret-proxy: %s", j->name, shown);
		if (j->state == JOB_MAKING) {
			msg_in_done(&m);
			job_fail(j, shown);
			return;
		}
		/* A namespace that it cannot serve stays refused; a policy that it cannot take is
		 * taken by another that starts with it. */
		if (!nets_answered(j, m.id, false, shown))
			child_kill(&j->proxy, SIGKILL);
	} else {
		child_kill(&j->proxy, SIGKILL);
	}
	msg_in_done(&m);
}

static void on_again(struct timer *t);

/* Was it the kernel, since its memory was at its bound? */
static void tell_killed(struct job *j)
{
	uint64_t killed = share_killed(j->proxy_cgroup);
	struct event e;

	if (killed > j->proxy_killed) {
		log_warn("job %s: its proxy reached limits.proxy_memory", j->name);
		event_begin(&e, EVENT_LIMIT_HIT, VERDICT_NONE, REASON_LIMIT);
		event_text(&e, FIELD_MESSAGE,
			   STR("limits.proxy_memory: the job's proxy was ended and is started "
			       "anew"));
		daemon_event(j->d, j->id, &e);
	}
	j->proxy_killed = killed;
}

static void on_ended(struct watch *w, uint32_t events)
{
	struct job *j = w->owner;
	int status = 0;
	unsigned wait;

	if (!child_reap(&j->proxy, &status))
		return;
	watch_del(&j->proxy_sock);
	watch_del(&j->proxy_ended);
	child_done(&j->proxy);
	if (j->state == JOB_ENDING) {
		job_end(j);
		return;
	}
	j->proxy_up = false;
	nets_unserved(j);
	tell_killed(j);
	log_warn("job %s: egret-proxy ended with status %d; the job is refused until a new one "
		 "serves",
		 j->name, status);
	if (++j->proxy_failures > STEADY_FAILURES) {
		job_fail(j, "its proxy cannot be kept running; the log says why");
		return;
	}
	wait = AGAIN_MS << (j->proxy_failures > 7 ? 7 : j->proxy_failures - 1);
	timer_set(j->d->loop, &j->proxy_again, wait > AGAIN_MAX_MS ? AGAIN_MAX_MS : wait, on_again,
		  j);
}

static void on_again(struct timer *t)
{
	struct job *j = t->owner;
	char why[WHY_MAX];

	/* Born where all stands still, it would keep egretd's locks until it is let go. */
	if (j->d->links_down || (j->broker_pair < 0 && job_ask_broker(j) < 0)) {
		timer_set(j->d->loop, &j->proxy_again, WAITING_MS, on_again, j);
		return;
	}
	if (proxy_start(j, why, sizeof(why)) < 0) {
		log_err("job %s: %s", j->name, why);
		timer_set(j->d->loop, &j->proxy_again, AGAIN_MAX_MS, on_again, j);
	}
}

/* A uid that no other living proxy has: never two jobs' proxies at once under one. */
static int pick_uid(const struct job *me, uid_t *ret)
{
	static unsigned next; /* round robin, so that a uid rests a while after its job */
	unsigned tries;

	for (tries = 0; tries < CONFIG_PROXY_UIDS; tries++) {
		uid_t uid = me->d->config.uid_proxy_first + next;
		const struct job *j;

		next = (next + 1) % CONFIG_PROXY_UIDS;
		for (j = me->d->jobs; j; j = j->next)
			if (j->proxy_uid == uid)
				break;
		if (!j) {
			*ret = uid;
			return 0;
		}
	}
	return -EUSERS;
}

int proxy_start(struct job *j, char *why, size_t n)
{
	struct child_plan plan = { .program = "egret-proxy",
				   .cgroup_dir = j->proxy_cgroup,
				   .arg = j->name };
	int r = 0;

	if (!j->proxy_uid)
		r = pick_uid(j, &j->proxy_uid);
	if (r < 0) {
		snprintf(why, n, "no uid is left for another proxy");
		return r;
	}
	plan.uid = j->proxy_uid;
	plan.gid = j->proxy_uid;
	r = child_start(&plan, &j->proxy, why, n);
	if (r < 0)
		return r;
	r = tell(j);
	if (r == 0)
		r = watch_add(j->d->loop, &j->proxy_sock, j->proxy.sock, EPOLLIN, on_message, j);
	if (r == 0)
		r = watch_add(j->d->loop, &j->proxy_ended, j->proxy.pidfd, EPOLLIN, on_ended, j);
	if (r < 0) {
		snprintf(why, n, "egret-proxy cannot be told of its job: %s", strerror(-r));
		watch_del(&j->proxy_sock);
		child_kill(&j->proxy, SIGKILL);
	}
	return r;
}

void proxy_taken_up(struct job *j)
{
	j->proxy_killed = share_killed(j->proxy_cgroup); /* told by the egretd of then */
	if (j->proxy.pid > 0 &&
	    watch_add(j->d->loop, &j->proxy_sock, j->proxy.sock, EPOLLIN, on_message, j) == 0 &&
	    watch_add(j->d->loop, &j->proxy_ended, j->proxy.pidfd, EPOLLIN, on_ended, j) == 0) {
		/* It reads what it accepts from a table that is gone (the pins were taken away
		 * while no egretd ran): another one takes its place. */
		if (!kernel_reused(j->d->kernel))
			child_kill(&j->proxy, SIGKILL);
		return;
	}
	nets_unserved(j);
	timer_set(j->d->loop, &j->proxy_again, 1, on_again, j);
}

void proxy_stop(struct job *j)
{
	struct msg_out m;

	timer_del(&j->proxy_again);
	if (j->proxy.pid <= 0)
		return;
	msg_begin(&m, MSG_STOP, 0);
	if (msg_send(j->proxy.sock, &m) < 0)
		child_kill(&j->proxy, SIGKILL);
}
