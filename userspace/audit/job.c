// SPDX-License-Identifier: Apache-2.0
/*
 * One ring a job: opened and closed by egretd's word, read a bounded number of records a turn. What
 * a ring holds is written by a proxy that may be taken over: it speaks for its own job only (the
 * name, the facts and the number come from here), and not in egretd's voice. A ring that breaks the
 * form is not read again; its proxy's requests then wait and are refused.
 */
#include "audit/audit.h"
#include "base/log.h"
#include "event/rows.h"
#include <errno.h>
#include <stdlib.h>

struct audit_job *job_find(struct audit *a, uint64_t id)
{
	for (struct audit_job *j = a->jobs; j; j = j->next)
		if (j->id == id)
			return j;
	return NULL;
}

static void on_wake(struct watch *w, uint32_t events)
{
	struct audit_job *j = w->owner;

	ring_wake_clear(j->ring);
	j->ready = true;
	batch_turn(j->a);
}

static int open_ring(struct audit_job *j, struct msg_in *m)
{
	cleanup_close int data = -1, ack = -1, wake = -1, space = -1;
	int r = msg_take_fd(m, TAG_FD_RING, &data);

	if (!r)
		r = msg_take_fd(m, TAG_FD_RING_ACK, &ack);
	if (!r)
		r = msg_take_fd(m, TAG_FD_RING_WAKE, &wake);
	if (!r)
		r = msg_take_fd(m, TAG_FD_RING_SPACE, &space);
	if (!r)
		r = ring_reader_open(TAKE_FD(data), TAKE_FD(ack), TAKE_FD(wake), TAKE_FD(space),
				     &j->ring);
	return r;
}

static int read_facts(struct audit_job *j, const struct msg_in *m)
{
	/* In the order of enum assurance (policy/policy.h). */
	static const char *const words[] = { "unverified", "runner", "signed" };
	struct str facts[MSG_FIELDS_MAX], name;
	size_t at = 0, n = 0;
	uint64_t assurance;
	int r;

	r = msg_get_str(m, TAG_JOB_NAME, sizeof(j->name) - 1, &name);
	if (r)
		return r;
	memcpy(j->name, name.p, name.n);
	r = msg_get_u64(m, TAG_ASSURANCE, &assurance);
	if (r || assurance >= ARRAY_SIZE(words))
		return r ? r : -EBADMSG;
	(void)!msg_get_u64(m, TAG_PROXY_CGROUP, &j->dials.cgroup);
	(void)!msg_get_u64(m, TAG_TIME, &j->dials.bound_ms);
	while (n < ARRAY_SIZE(facts) && msg_each(m, TAG_FACT, &at, &facts[n]))
		n++;
	return event_job_json(&j->json, name, facts, n, str_of(words[assurance]));
}

static void add_followers(struct audit *a, struct audit_job *j, struct msg_in *m)
{
	struct str field;
	size_t at = 0;
	int fd, r;

	while (msg_each(m, TAG_FD_FOLLOW, &at, &field)) {
		if (msg_take_fd_of(m, field, &fd))
			continue;
		r = follow_add(a, &j->followers, fd);
		if (r)
			log_warn("job %s: a reader of events is refused: %s", j->name,
				 strerror(-r));
	}
}

static void job_free(struct audit_job *j)
{
	if (j->a->cursor == j)
		j->a->cursor = NULL;
	watch_del(&j->wake);
	j->ring = ring_reader_free(j->ring);
	follow_done(&j->followers);
	buf_done(&j->json);
	dials_free(&j->dials);
	free(j);
}

/* What the log has of this ring although it was not acknowledged: a batch at most. More than that
 * is another ring of the same name. */
static void find_skip(struct audit_job *j)
{
	uint64_t highest = tail_highest(&j->a->tail, j->name);

	if (highest > j->n && highest - j->n <= AUDIT_BATCH)
		j->skip = highest;
}

int job_open(struct audit *a, struct msg_in *m)
{
	struct audit_job *j;
	uint64_t id;
	int r = msg_get_u64(m, TAG_JOB, &id);

	if (r)
		return r;
	j = job_find(a, id);
	if (j && !j->closed) {
		/* An egretd that started anew asks again. */
		add_followers(a, j, m);
		return 0;
	}
	if (j)
		return -EEXIST;
	j = mem_new(sizeof(*j));
	j->a = a;
	j->id = id;
	buf_init(&j->json, EVENT_JOB_MAX);
	r = read_facts(j, m);
	if (!r)
		r = open_ring(j, m);
	if (!r)
		r = watch_add(a->loop, &j->wake, ring_wake_fd(j->ring), EPOLLIN | EPOLLET, on_wake,
			      j);
	if (r) {
		job_free(j);
		return r;
	}
	j->n = ring_count(j->ring);
	find_skip(j);
	add_followers(a, j, m);
	j->next = a->jobs;
	a->jobs = j;
	j->ready = true;
	batch_soon(a);
	return 0;
}

static void broken(struct audit_job *j)
{
	log_err("job %s: its ring is broken or forged and is not read any more; its requests are "
		"refused",
		j->name);
	own_alert(j->a, j,
		  "the ring of this job's proxy is broken or forged; it is not read any more");
	watch_del(&j->wake);
	j->ready = false;
}

/* What a proxy speaks of. Leases are the broker's to tell, jobs, policies and admins egretd's. */
static bool kind_allowed(enum event_kind k)
{
	switch (k) {
	case EVENT_CONNECT:
	case EVENT_CONNECT_END:
	case EVENT_DNS_QUERY:
	case EVENT_HTTP_REQUEST:
	case EVENT_HTTP_RESPONSE:
	case EVENT_TLS_PASSTHROUGH:
	case EVENT_TLS_CLIENT_REJECTED:
	case EVENT_CREDENTIAL_FAIL:
	case EVENT_LIMIT_HIT:
	case EVENT_LOST:
	case EVENT_DIAL:
		return true;
	default:
		return false;
	}
}

int job_read(struct audit_job *j, struct event *to)
{
	while (j->ready) {
		int r = ring_read(j->ring, to);

		if (r == 0) {
			j->ready = false;
			break;
		}
		if (r < 0 || !kind_allowed(event_kind_of(to))) {
			broken(j);
			break;
		}
		if (++j->n > j->skip)
			return 1;
		/* In the log since before the crash: only its acknowledgement is missing. */
		ring_acked(j->ring, tail_seq(&j->a->tail, j->name, j->n));
	}
	return 0;
}

int job_close(struct audit *a, const struct msg_in *m)
{
	struct audit_job *j;
	uint64_t id;
	int r = msg_get_u64(m, TAG_JOB, &id);

	if (r)
		return r;
	j = job_find(a, id);
	if (!j || j->closing || j->closed)
		return -ENOENT;
	j->closing = true;
	j->close_id = m->id;
	/* A broken ring stays unread. */
	j->ready = j->wake.loop != NULL;
	batch_soon(a);
	return 0;
}

static void job_finish(struct audit_job *j)
{
	struct audit *a = j->a;
	struct msg_out answer;
	int r = log_sync(a);

	dials_over(j);
	watch_del(&j->wake);
	j->ring = ring_reader_free(j->ring);
	j->closing = false;
	j->closed = true;
	follow_end(&j->followers);
	if (r) {
		msg_begin(&answer, MSG_FAILED, j->close_id);
		msg_put_str(&answer, TAG_TEXT, STR("the log could not be written to disk"));
		msg_put_u64(&answer, TAG_CODE, (uint64_t)-r);
	} else {
		msg_begin(&answer, MSG_OK, j->close_id);
	}
	if (msg_send(a->control, &answer)) {
		log_warn("job %s: egretd does not take the answer", j->name);
		msg_out_done(&answer);
	}
}

void jobs_finish(struct audit *a)
{
	struct audit_job **at = &a->jobs;
	unsigned closed = 0;

	while (*at) {
		struct audit_job *j = *at;

		if (j->closing && !j->ready && batch_drained(a))
			job_finish(j);
		/* The list is newest first, so the oldest of the closed go. */
		if (j->closed && ++closed > AUDIT_CLOSED_MAX) {
			*at = j->next;
			job_free(j);
			continue;
		}
		at = &j->next;
	}
}

void jobs_done(struct audit *a)
{
	while (a->jobs) {
		struct audit_job *j = a->jobs;

		a->jobs = j->next;
		job_free(j);
	}
}
