/* SPDX-License-Identifier: Apache-2.0 */
/* See rekey.h. Called by control.c (who asks) and services.c (what the broker says). */
#include "egretd/rekey.h"

#include "egretd/adopt.h"
#include "egretd/job.h"

#include "base/log.h"
#include "base/storekey.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REKEY_BIT 0x80000000u /* as of all questions that are no job's (control.c) */

void rekey_open(struct daemon *d)
{
	char why[WHY_MAX] = "";
	int r = storekey_next(d->config.state_dir.p, false, &d->store_key_next, why, sizeof(why));

	if (r < 0 && r != -ENOENT)
		log_err("a new store key is left alone: %s", why);
}

static int ask(struct daemon *d)
{
	struct msg_out m;

	msg_begin(&m, MSG_SECRET_REKEY, d->rekey_serial);
	msg_put_fd(&m, TAG_FD_STORE_KEY, d->store_key_next);
	return service_send(&d->broker, &m);
}

int rekey_begin(struct daemon *d, uint32_t serial, char *why, size_t n)
{
	int r;

	if (d->rekey_serial) {
		snprintf(why, n, "another key is being put in already: wait for it");
		return -EBUSY;
	}
	if (d->store_key_next < 0) {
		r = storekey_next(d->config.state_dir.p, true, &d->store_key_next, why, n);
		if (r < 0)
			return r;
	}
	d->rekey_serial = serial;
	r = ask(d);
	if (r < 0) {
		d->rekey_serial = 0;
		snprintf(why, n, "egret-broker is being started anew: try again in a moment");
	}
	return r;
}

void rekey_again(struct daemon *d)
{
	if (d->store_key_next < 0)
		return;
	if (!d->rekey_serial)
		d->rekey_serial = (++d->serial & ~REKEY_BIT) | REKEY_BIT;
	if (ask(d) < 0)
		log_err("egret-broker cannot be told of the new store key");
}

void rekey_job(struct daemon *d, const struct msg_in *m)
{
	struct job *j;
	struct str sealed;
	uint64_t id;

	if (msg_get_u64(m, TAG_JOB, &id) < 0 || msg_get(m, TAG_SEALED, &sealed) < 0)
		return;
	j = job_by_id(d, id);
	if (!j)
		return;
	/* Of one CA they are of one length; the arena has no end to give back. */
	if (j->sealed.n == sealed.n)
		memcpy((char *)j->sealed.p, sealed.p, sealed.n);
	else
		j->sealed = arena_str(&j->arena, sealed);
}

int rekey_answered(struct daemon *d, const struct msg_in *m, char *why, size_t n)
{
	struct str text = STR("egret-broker did not say why");
	struct event e;
	uint64_t sealed = 0;
	int r;

	d->rekey_serial = 0;
	if (m->type != MSG_OK) {
		(void)!msg_get_str(m, TAG_TEXT, PROTO_TEXT_MAX, &text);
		log_err("the store's new key: %.*s", STR_ARG(text));
		return 0;
	}
	/* In this order: what is parked opens by the new key, and then the old one goes. */
	park_jobs(d);
	r = storekey_commit(d->config.state_dir.p, why, n);
	if (r < 0)
		return r;
	(void)!msg_get_u64(m, TAG_SIZE, &sealed);
	if (r == 1) {
		snprintf(why, n,
			 "; now make egret-store-key-next the egret-store-key, and start egretd "
			 "anew");
	} else {
		close(d->store_key);
		d->store_key = d->store_key_next;
		d->store_key_next = -1;
		why[0] = 0;
	}
	if (r == 0 || sealed) {
		event_begin(&e, EVENT_ADMIN_SECRET, VERDICT_NONE, REASON_NONE);
		event_text(&e, FIELD_MESSAGE, STR("rekeyed: the store's key is another now"));
		daemon_event(d, 0, &e);
	}
	return 0;
}
