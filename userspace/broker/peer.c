/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job's proxy may ask: an intermediate CA, and the value of one of its job's credentials by
 * index. The socket says which job; nothing in the frame can name another. Each frame is hostile:
 * one that is not a question ends the connection. What is asked for is lease.c's, and egretd is
 * told (credential.lease) before a value leaves.
 */
#include "broker/lease.h"

#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "sigv4/sigv4.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define KNOWN_MAX 65536u

void job_peer_drop(struct job *j)
{
	if (j->peer_fd < 0)
		return;
	watch_del(&j->peer);
	close(j->peer_fd);
	j->peer_fd = -1;
	j->broker->peers--;
	leases_proxy_gone(j);
	/* Without egretd the broker serves what runs, and ends with the last proxy. */
	if (j->broker->egretd.fd < 0 && j->broker->peers == 0)
		loop_stop(j->broker->loop, 0);
}

/* A proxy asks and waits; one whose socket is full is not reading its answers. */
static void answer(struct job *j, struct msg_out *m)
{
	if (msg_send(j->peer_fd, m) < 0) {
		msg_out_done(m);
		job_peer_drop(j);
	}
}

void peer_refuse(struct job *j, uint32_t question, uint64_t index, int err, const char *why)
{
	struct msg_out m;

	if (j->peer_fd < 0)
		return;
	msg_begin(&m, MSG_FAILED, question);
	msg_put_str(&m, TAG_TEXT, str_of(why));
	msg_put_u64(&m, TAG_CODE, (uint64_t)-err);
	msg_put_u64(&m, TAG_INDEX, index);
	answer(j, &m);
}

void peer_tell(struct broker *b, uint64_t job, enum event_kind kind, struct str name,
	       const struct lease *l, const char *why)
{
	uint64_t lost = b->egretd.lost;
	struct event e;
	struct msg_out m;

	event_begin(&e, kind, VERDICT_NONE,
		    kind == EVENT_CREDENTIAL_FAIL ? REASON_CREDENTIAL : REASON_NONE);
	if (why)
		event_text(&e, FIELD_MESSAGE, str_of(why));
	if (name.n)
		event_text(&e, FIELD_CREDENTIAL_NAME, name);
	if (l && l->state != LEASE_MAKING) {
		event_text(&e, FIELD_CREDENTIAL_LEASE, str_of(l->id));
		event_num(&e, FIELD_CREDENTIAL_STATIC, l->is_static);
	}
	msg_begin(&m, MSG_EVENT, 0);
	msg_put_u64(&m, TAG_JOB, job);
	msg_put(&m, TAG_RECORD, e.bytes, e.n);
	outbox_send(&b->egretd, &m);
	if (b->egretd.lost != lost)
		log_warn("an event about job %llu could not be handed over: %llu lost",
			 (unsigned long long)job, (unsigned long long)b->egretd.lost);
}

static bool too_many(struct job *j)
{
	uint64_t minute = clock_now() / 60000;

	if (minute != j->minute) {
		j->minute = minute;
		j->asked = 0;
	}
	return ++j->asked > BROKER_LEASES_A_MINUTE;
}

/* A day before or after today, as clocks differ. */
static bool near_today(struct str date)
{
	uint64_t now = clock_wall_us(), day = 86400000000ull;
	char t[SIGV4_TIME + 1];

	for (int i = -1; i <= 1; i++) {
		sigv4_time(now + (uint64_t)i * day, t);
		if (memcmp(t, date.p, 8) == 0)
			return true;
	}
	return false;
}

/* The keys of provider aws stay here: a proxy gets what signs one day's requests to one service of
 * one region that the credential names. NULL, or why not. */
static const char *signing_key(const struct lease *l, struct str scope, uint8_t ret[SIGV4_KEY])
{
	struct sigv4_scope part;
	enum param id;
	struct str region;

	if (sigv4_scope_parse(scope, &part) < 0)
		return "aws: a proxy is given no key but one of a day, a region and a service";
	if (!near_today(part.date))
		return "aws: no key is derived for another day than today";
	for (size_t at = 0; credential_each_param(&l->def->cred, &at, &id, &region);) {
		if (id != PARAM_REGION || !str_eq(region, part.region))
			continue;
		return sigv4_key((struct str){ (char *)l->value.p, l->value.n }, scope, ret) < 0
			       ? "aws: no signing key could be derived"
			       : NULL;
	}
	return "aws: the credential names no such region";
}

void peer_give(struct job *j, const struct lease *l, uint32_t question, uint64_t index,
	       struct str scope)
{
	bool signs = credential_provider(&l->def->cred) == PROVIDER_AWS;
	struct str value = { (char *)l->value.p, l->value.n };
	uint8_t key[SIGV4_KEY];
	const char *why;
	struct msg_out m;

	if (j->peer_fd < 0)
		return;
	why = signs ? signing_key(l, scope, key) : NULL;
	if (why) {
		peer_refuse(j, question, index, -EINVAL, why);
		return;
	}
	if (signs)
		value = (struct str){ (char *)key, sizeof(key) };
	msg_begin(&m, MSG_CRED, question);
	msg_put_u64(&m, TAG_INDEX, index);
	msg_put(&m, TAG_VALUE, value.p, value.n);
	wipe(key, sizeof(key));
	msg_put_str(&m, TAG_LEASE, str_of(l->id));
	msg_put_u64(&m, TAG_EXPIRES, l->expires_us);
	msg_put_u64(&m, TAG_STATIC, l->is_static);
	if (l->cert.n)
		msg_put(&m, TAG_CERT, l->cert.p, l->cert.n);
	if (l->access_key.n)
		msg_put(&m, TAG_ACCESS_KEY, l->access_key.p, l->access_key.n);
	if (l->session.n)
		msg_put(&m, TAG_SESSION, l->session.p, l->session.n);
	answer(j, &m);
}

void peer_gone(struct job *j, uint64_t index)
{
	struct msg_out m;

	if (j->peer_fd < 0)
		return;
	msg_begin(&m, MSG_CRED_GONE, 0);
	msg_put_u64(&m, TAG_INDEX, index);
	answer(j, &m);
}

static void cred_get(struct job *j, const struct msg_in *m)
{
	struct str scope = { "", 0 };
	uint64_t index;
	int r = msg_get_str(m, TAG_SCOPE, LEASE_SCOPE_MAX, &scope);

	if ((r < 0 && r != -ENOENT) || msg_get_u64(m, TAG_INDEX, &index) < 0 ||
	    m->fields != (r == 0 ? 2u : 1u)) {
		job_peer_drop(j);
		return;
	}
	if (too_many(j)) {
		/* Said once a minute; the flood itself must not become a flood of events. */
		if (j->asked == BROKER_LEASES_A_MINUTE + 1)
			peer_tell(j->broker, j->id, EVENT_CREDENTIAL_FAIL, STR(""), NULL,
				  "the job's proxy asks for credentials too often");
		peer_refuse(j, m->id, index, -EBUSY, "credentials are asked for too often");
		return;
	}
	if (index >= j->ndefs) {
		peer_tell(j->broker, j->id, EVENT_CREDENTIAL_FAIL, STR(""), NULL,
			  "the job's proxy asked for a credential that the job has not");
		peer_refuse(j, m->id, index, -ENOENT, "the job has no such credential");
		return;
	}
	lease_want(j, m->id, index, scope);
}

/* Of one that was asked for by a proxy before this one, or of one that took its place. */
static bool was_given(const struct job *j, const struct lease *l, bool replaced)
{
	enum provider p = credential_provider(&l->def->cred);

	return l->job == j && l->state == LEASE_LIVE && l->replaced == replaced && l->value.n &&
	       !l->unsynced && p != PROVIDER_AWS && p != PROVIDER_MTLS &&
	       (!l->expires_us || l->expires_us > clock_wall_us());
}

/* A proxy that was started anew: what left the one before it is searched for in answers from the
 * first on. Unasked, so never more than its socket takes; the last one it knows best. */
static void give_known(struct job *j)
{
	size_t room = KNOWN_MAX;

	for (unsigned current = 0; current < 2; current++) {
		for (const struct lease *l = j->broker->leases; l; l = l->next) {
			if (!was_given(j, l, !current) || l->value.n > room)
				continue;
			room -= l->value.n;
			for (uint32_t i = 0; i < j->ndefs && j->peer_fd >= 0; i++)
				if (j->defs[i] == l->def)
					peer_give(j, l, 0, i, STR(""));
		}
	}
}

static void ca_get(struct job *j, const struct msg_in *m)
{
	struct ca_issued issued;
	struct msg_out out;

	if (m->fields != 0) {
		job_peer_drop(j);
		return;
	}
	if (too_many(j)) {
		peer_refuse(j, m->id, 0, -EBUSY, "an intermediate is asked for too often");
		return;
	}
	if (ca_issue(&j->ca, &issued) < 0) {
		peer_refuse(j, m->id, 0, -EIO, "the job's root could not sign an intermediate");
		return;
	}
	msg_begin(&out, MSG_CA, m->id);
	msg_put_str(&out, TAG_CERT, buf_str(&issued.cert));
	msg_put(&out, TAG_KEY, issued.key.p, issued.key.n);
	if (job_root(j) != &j->ca)
		msg_put_str(&out, TAG_CHAIN, buf_str(&j->ca.cert));
	ca_issued_done(&issued);
	answer(j, &out);
	give_known(j);
}

static void cred_used(struct job *j, const struct msg_in *m)
{
	uint64_t index, n;

	if (msg_get_u64(m, TAG_INDEX, &index) < 0 || msg_get_u64(m, TAG_SIZE, &n) < 0)
		job_peer_drop(j);
	else
		lease_used(j, index, n);
}

void job_peer_ready(struct watch *w, uint32_t events)
{
	struct job *j = w->owner;
	struct msg_in m;
	int r = msg_recv(j->peer_fd, &m);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		job_peer_drop(j);
		return;
	}
	if (m.nfds)
		job_peer_drop(j); /* no question carries a descriptor */
	else if (m.type == MSG_CA_GET)
		ca_get(j, &m);
	else if (m.type == MSG_CRED_GET)
		cred_get(j, &m);
	else if (m.type == MSG_CRED_USED)
		cred_used(j, &m);
	else
		job_peer_drop(j);
	msg_in_done(&m);
}
