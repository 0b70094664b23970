/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What callers ask of the broker, and what it answers, both handed on by egretd: secrets, the
 * root's certificate, leases. Fields are copied by name, descriptors unread.
 */
#include "egretd/control.h"

#include "egretd/client.h"
#include "egretd/rekey.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define BROKER_BIT                                                                             \
	0x80000000u /* marks questions that were handed on to the broker; jobs' serials do not \
		       have it */

/* The same acts by a signal: systemctl reload, egret-upgrade(1). */
void control_signalled(struct daemon *d, const struct signalfd_siginfo *si, enum event_kind kind,
		       const char *what)
{
	struct event e;

	event_begin(&e, kind, VERDICT_NONE, REASON_NONE);
	event_num(&e, FIELD_PROCESS_PID, si->ssi_pid);
	event_num(&e, FIELD_PROCESS_UID, si->ssi_uid);
	event_text(&e, FIELD_MESSAGE, str_of(what));
	daemon_event(d, 0, &e);
}

/* Which leases: what was asked is an event of its own. */
static void put_lease(struct client *c, const struct msg_in *m, struct msg_out *out)
{
	struct str lease = { 0 }, job = { 0 }, name = { 0 };
	uint64_t flags = 0;
	char text[512];

	if (msg_get_u64(m, TAG_FLAGS, &flags) == 0)
		msg_put_u64(out, TAG_FLAGS, flags);
	if (msg_get_str(m, TAG_LEASE, 64, &lease) == 0)
		msg_put_str(out, TAG_LEASE, lease);
	if (msg_get_str(m, TAG_JOB_NAME, 64, &job) == 0)
		msg_put_str(out, TAG_JOB_NAME, job);
	(void)!msg_get_str(m, TAG_NAME, PROTO_NAME_MAX, &name);
	if (m->type != MSG_LEASE_REVOKE)
		return;
	snprintf(text, sizeof(text), "%s%.*s%s%.*s%s%.*s%s", lease.n ? "lease " : "",
		 STR_ARG(lease), job.n ? " job " : "", STR_ARG(job), name.n ? " credential " : "",
		 STR_ARG(name), flags & LEASE_ALL ? "all leases" : "");
	client_event(c, EVENT_ADMIN_SECRET, "revoked", str_of(text));
}

/* SECRET_*, CA_ROOT: name and descriptor are handed on; the value is never read here. */
void client_to_broker(struct client *c, struct msg_in *m)
{
	struct msg_out out;
	struct str name;
	char why[WHY_MAX];
	int value = -1, r;

	if (c->broker_serial) {
		client_failed(c, m->id, -EBUSY, "the question before is not answered yet");
		return;
	}
	/* The root's certificate is public, and auditors see leases. */
	if (!c->who.admin && m->type != MSG_CA_ROOT &&
	    !(c->who.audits && m->type == MSG_LEASE_LIST)) {
		client_failed(
			c, m->id, -EPERM,
			m->type == MSG_LEASE_LIST || m->type == MSG_LEASE_REVOKE
				? "leases are shown to and revoked by root on the host: use sudo"
				: "secrets are set by root on the host: use sudo");
		return;
	}
	c->broker_serial = (++c->d->serial & 0x7fffffffu) | BROKER_BIT;
	c->broker_question = m->id;
	if (m->type == MSG_SECRET_REKEY) {
		client_event(c, EVENT_ADMIN_SECRET, "rekey", STR(""));
		r = rekey_begin(c->d, c->broker_serial, why, sizeof(why));
		if (r < 0) {
			c->broker_serial = 0;
			client_failed(c, m->id, r, why);
		}
		return;
	}
	msg_begin(&out, m->type, c->broker_serial);
	if (msg_get_str(m, TAG_NAME, PROTO_NAME_MAX, &name) == 0) {
		msg_put_str(&out, TAG_NAME, name);
		if (m->type == MSG_SECRET_SET || m->type == MSG_SECRET_REMOVE)
			client_event(c, EVENT_ADMIN_SECRET,
				     m->type == MSG_SECRET_SET ? "set" : "removed", name);
	}
	if (m->type == MSG_LEASE_LIST || m->type == MSG_LEASE_REVOKE)
		put_lease(c, m, &out);
	if (m->type == MSG_SECRET_SET) {
		r = msg_take_fd(m, TAG_FD_VALUE, &value);
		if (r == 0)
			msg_put_fd(&out, TAG_FD_VALUE, value);
	}
	r = service_send(&c->d->broker, &out);
	if (value >= 0)
		close(value);
	if (r < 0) {
		c->broker_serial = 0;
		client_failed(c, m->id, r,
			      "egret-broker is being started anew: try again in a moment");
	}
}

void control_broker_answer(struct daemon *d, struct msg_in *m)
{
	static const uint16_t strings[] = { TAG_NAME, TAG_TEXT, TAG_LEASE, TAG_JOB_NAME,
					    TAG_STATE };
	static const uint16_t numbers[] = { TAG_CODE,	 TAG_TIME, TAG_SIZE,   TAG_STATIC,
					    TAG_EXPIRES, TAG_NOW,  TAG_REVOKED };
	cleanup_close int ca = -1;
	struct client *c;
	struct msg_out out;
	struct str s;
	uint64_t v;
	size_t i, at;
	char more[WHY_MAX] = "";
	int r = 0;

	if (d->rekey_serial && m->id == d->rekey_serial)
		r = rekey_answered(d, m, more, sizeof(more));
	for (c = d->clients; c && !(c->broker_serial && c->broker_serial == m->id); c = c->next)
		;
	if (!c)
		return;
	if (r < 0) {
		client_failed(c, c->broker_question, r, more);
		c->broker_serial = 0;
		return;
	}
	msg_begin(&out, m->type, c->broker_question);
	if (more[0])
		msg_put_str(&out, TAG_WARNING, str_of(more));
	for (i = 0; i < ARRAY_SIZE(strings); i++)
		if (msg_get_str(m, strings[i], PROTO_TEXT_MAX, &s) == 0)
			msg_put_str(&out, strings[i], s);
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		if (msg_get_u64(m, numbers[i], &v) == 0)
			msg_put_u64(&out, numbers[i], v);
	at = 0;
	while (msg_each(m, TAG_HOSTS, &at, &s))
		msg_put_str(&out, TAG_HOSTS, s);
	if (msg_take_fd(m, TAG_FD_CA, &ca) == 0)
		msg_put_fd(&out, TAG_FD_CA, ca);
	if (m->type != MSG_SECRET && m->type != MSG_LEASE)
		c->broker_serial = 0;
	client_send(c, &out);
}
