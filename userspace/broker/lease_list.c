/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an administrator asks of leases: which there are, and to revoke some. Called by control.c
 * with egretd's frames; what is told holds no value.
 */
#include "broker/lease.h"

#include <errno.h>
#include <stdio.h>

#define HOSTS_SHOWN 16u

static const char *state_of(const struct lease *l)
{
	if (l->state == LEASE_OWED)
		return "owed";
	if (l->state == LEASE_OVER)
		return l->revoked_us ? "revoked" : "over";
	return l->replaced ? "replaced" : "live";
}

static void put(struct broker *b, const struct lease *l, uint32_t question)
{
	char host[HOST_PATTERN_MAX];
	struct msg_out out;
	size_t at = 0;

	msg_begin(&out, MSG_LEASE, question);
	msg_put_str(&out, TAG_LEASE, str_of(l->id));
	msg_put_str(&out, TAG_NAME, credential_name(&l->def->cred));
	msg_put_str(&out, TAG_JOB_NAME, str_of(l->job_name));
	msg_put_str(&out, TAG_STATE, str_of(state_of(l)));
	msg_put_u64(&out, TAG_STATIC, l->is_static);
	msg_put_u64(&out, TAG_SIZE, l->requests);
	msg_put_u64(&out, TAG_TIME, l->minted_us);
	msg_put_u64(&out, TAG_NOW, l->renewed_us);
	msg_put_u64(&out, TAG_EXPIRES, l->expires_us);
	msg_put_u64(&out, TAG_REVOKED, l->revoked_us);
	if (l->why[0])
		msg_put_str(&out, TAG_TEXT, str_of(l->why));
	for (unsigned n = 0; n < HOSTS_SHOWN && credential_each_host(&l->def->cred, &at, host); n++)
		msg_put_str(&out, TAG_HOSTS, str_of(host));
	outbox_send(&b->egretd, &out);
}

int leases_list(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	struct msg_out out;
	uint64_t flags = 0;

	(void)!msg_get_u64(m, TAG_FLAGS, &flags);
	for (const struct lease *l = b->leases; l; l = l->next)
		if (l->state != LEASE_MAKING && ((flags & LEASE_ALL) || l->state != LEASE_OVER))
			put(b, l, m->id);
	msg_begin(&out, MSG_END, m->id);
	outbox_send(&b->egretd, &out);
	return 0;
}

/* A job that lives gets another one with its next request. */
static void revoke_one(struct lease *l)
{
	struct job *j = l->job;

	for (uint32_t i = 0; j && i < j->ndefs; i++)
		if (j->defs[i] == l->def)
			peer_gone(j, i);
	lease_revoke(l);
}

int leases_revoke(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	struct str id = { 0 }, job = { 0 }, name = { 0 };
	struct msg_out out;
	uint64_t flags = 0, n = 0, fixed = 0;

	(void)!msg_get_u64(m, TAG_FLAGS, &flags);
	(void)!msg_get_str(m, TAG_LEASE, 64, &id);
	(void)!msg_get_str(m, TAG_JOB_NAME, 64, &job);
	(void)!msg_get_str(m, TAG_NAME, PROTO_NAME_MAX, &name);
	if (!id.n && !job.n && !name.n && !(flags & LEASE_ALL)) {
		snprintf(why, size, "which lease? One, a job's, a credential's or all");
		return -EINVAL;
	}
	for (struct lease *l = b->leases, *next; l; l = next) {
		next = l->next;
		if (l->state != LEASE_LIVE || (id.n && !str_is(id, l->id)) ||
		    (job.n && !str_is(job, l->job_name)) ||
		    (name.n && !str_eq(name, credential_name(&l->def->cred))))
			continue;
		n++;
		fixed += !l->handle.n;
		revoke_one(l);
	}
	if (!n) {
		snprintf(why, size, "no lease that lives is meant: egret lease list shows them");
		return -ENOENT;
	}
	msg_begin(&out, MSG_OK, m->id);
	msg_put_u64(&out, TAG_SIZE, n);
	msg_put_u64(&out, TAG_STATIC, fixed);
	outbox_send(&b->egretd, &out);
	return 0;
}
