/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job's proxy may ask: an intermediate CA, and the value of one of its job's credentials by
 * index. The socket says which job; nothing in the frame can name another. Each frame is hostile:
 * one that is not a question ends the connection. Each value given is a lease with a number of its
 * own, and egretd is told (credential.lease) before the value leaves.
 */
#include "broker/job.h"

#include "base/clock.h"
#include "base/log.h"
#include "broker/provider.h"
#include "event/event.h"
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <unistd.h>

#define LEASE_BYTES 8u

void job_peer_drop(struct job *j)
{
	if (j->peer_fd < 0)
		return;
	watch_del(&j->peer);
	close(j->peer_fd);
	j->peer_fd = -1;
	j->broker->peers--;
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

static void refuse(struct job *j, uint32_t id, uint64_t index, int err, const char *why)
{
	struct msg_out m;

	msg_begin(&m, MSG_FAILED, id);
	msg_put_str(&m, TAG_TEXT, str_of(why));
	msg_put_u64(&m, TAG_CODE, (uint64_t)-err);
	msg_put_u64(&m, TAG_INDEX, index);
	answer(j, &m);
}

static void tell(struct job *j, const struct event *e)
{
	struct broker *b = j->broker;
	uint64_t lost = b->egretd.lost;
	struct msg_out m;

	msg_begin(&m, MSG_EVENT, 0);
	msg_put_u64(&m, TAG_JOB, j->id);
	msg_put(&m, TAG_RECORD, e->bytes, e->n);
	outbox_send(&b->egretd, &m);
	if (b->egretd.lost != lost)
		log_warn("an event about job %llu could not be handed over: %llu lost",
			 (unsigned long long)j->id, (unsigned long long)b->egretd.lost);
}

static void tell_failed(struct job *j, struct str name, const char *why)
{
	struct event e;

	event_begin(&e, EVENT_CREDENTIAL_FAIL, VERDICT_NONE, REASON_CREDENTIAL);
	event_text(&e, FIELD_MESSAGE, str_of(why));
	if (name.n)
		event_text(&e, FIELD_CREDENTIAL_NAME, name);
	tell(j, &e);
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

static int lease_id(char *to, size_t size)
{
	uint8_t b[LEASE_BYTES];

	if (RAND_bytes(b, sizeof(b)) != 1)
		return -EIO;
	snprintf(to, size, "L%02x%02x%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5],
		 b[6], b[7]);
	return 0;
}

static void lease_give(struct job *j, uint32_t id, uint64_t index, const struct credential *c,
		       const struct secret *value, uint64_t expires_us, const char *lease)
{
	struct event e;
	struct msg_out m;

	event_begin(&e, EVENT_CREDENTIAL_LEASE, VERDICT_NONE, REASON_NONE);
	event_text(&e, FIELD_CREDENTIAL_NAME, credential_name(c));
	event_text(&e, FIELD_CREDENTIAL_LEASE, str_of(lease));
	event_num(&e, FIELD_CREDENTIAL_STATIC, credential_static(c));
	tell(j, &e);
	msg_begin(&m, MSG_CRED, id);
	msg_put_u64(&m, TAG_INDEX, index);
	msg_put(&m, TAG_VALUE, value->p, value->n);
	msg_put_str(&m, TAG_LEASE, str_of(lease));
	msg_put_u64(&m, TAG_EXPIRES, expires_us);
	msg_put_u64(&m, TAG_STATIC, credential_static(c));
	answer(j, &m);
}

static void cred_get(struct job *j, const struct msg_in *m)
{
	const struct provider_row *provider;
	struct credential c = { 0 };
	char why[512] = "", lease[2 * LEASE_BYTES + 2];
	struct secret value = { 0 };
	uint64_t index, expires_us = 0;
	struct str name = { "", 0 };
	int r;

	if (msg_get_u64(m, TAG_INDEX, &index) < 0 || m->fields != 1) {
		job_peer_drop(j);
		return;
	}
	if (too_many(j)) {
		/* Said once a minute; the flood itself must not become a flood of events. */
		if (j->asked == BROKER_LEASES_A_MINUTE + 1)
			tell_failed(j, name, "the job's proxy asks for credentials too often");
		refuse(j, m->id, index, -EBUSY, "credentials are asked for too often");
		return;
	}
	if (index >= j->creds.count ||
	    credential_open(pack_at(&j->creds, (uint32_t)index), &c) < 0) {
		tell_failed(j, name, "the job's proxy asked for a credential that the job has not");
		refuse(j, m->id, index, -ENOENT, "the job has no such credential");
		return;
	}
	name = credential_name(&c);
	provider = provider_find(credential_provider(&c));
	if (!provider) {
		r = -ENOTSUP;
		snprintf(why, sizeof(why), "this broker does not know the credential's provider");
	} else {
		r = provider->get(j->broker, &c, &value, &expires_us, why, sizeof(why));
	}
	/* A value travels in one frame beside the other fields. */
	if (r == 0 && value.n > MSG_SIZE_MAX - 512) {
		r = -EMSGSIZE;
		snprintf(why, sizeof(why), "%s: the value is too long to be sent in a header",
			 provider->name);
	}
	if (r == 0 && lease_id(lease, sizeof(lease)) < 0) {
		r = -EIO;
		snprintf(why, sizeof(why), "no random bytes for a lease");
	}
	if (r < 0) {
		tell_failed(j, name, why);
		refuse(j, m->id, index, r, why);
	} else {
		lease_give(j, m->id, index, &c, &value, expires_us, lease);
	}
	secret_done(&value);
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
		refuse(j, m->id, 0, -EBUSY, "an intermediate is asked for too often");
		return;
	}
	if (ca_issue(&j->ca, &issued) < 0) {
		refuse(j, m->id, 0, -EIO, "the job's root could not sign an intermediate");
		return;
	}
	msg_begin(&out, MSG_CA, m->id);
	msg_put_str(&out, TAG_CERT, buf_str(&issued.cert));
	msg_put(&out, TAG_KEY, issued.key.p, issued.key.n);
	if (job_root(j) != &j->ca)
		msg_put_str(&out, TAG_CHAIN, buf_str(&j->ca.cert));
	ca_issued_done(&issued);
	answer(j, &out);
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
	else
		job_peer_drop(j);
	msg_in_done(&m);
}
