/* SPDX-License-Identifier: Apache-2.0 */
/* See override.h. The repository's name and the reason are an administrator's; both are bounded and
 * only shown and compared. */
#include "egretd/override.h"

#include "egretd/job.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define OVERRIDES_MAX 32u
#define REPO_MAX 256u
#define REASON_MAX 256u

struct override {
	struct override *next;
	struct daemon *d;
	struct timer end;
	uint64_t until_us; /* wall */
	uid_t uid;
	pid_t pid;
	char repo[REPO_MAX + 1], reason[REASON_MAX + 1];
};

static void tell(const struct override *o, const char *what)
{
	char text[REPO_MAX + REASON_MAX + 160], until[CLOCK_TEXT_MAX];
	struct event e;

	clock_text(o->until_us, until);
	snprintf(text, sizeof(text), "mode audit %s for jobs of %s (egret override, until %s): %s",
		 what, o->repo, until, o->reason);
	log_warn("%s", text);
	event_begin(&e, EVENT_ADMIN_OVERRIDE, VERDICT_NONE, REASON_NONE);
	event_num(&e, FIELD_PROCESS_PID, (uint64_t)o->pid);
	event_num(&e, FIELD_PROCESS_UID, o->uid);
	event_text(&e, FIELD_MESSAGE, str_of(text));
	daemon_event(o->d, 0, &e);
}

static void override_free(struct override *o)
{
	struct override **at;

	for (at = &o->d->overrides; *at != o; at = &(*at)->next)
		;
	*at = o->next;
	timer_del(&o->end);
	free(o);
}

static void on_end(struct timer *t)
{
	struct override *o = t->owner;
	struct daemon *d = o->d;

	tell(o, "has ended");
	override_free(o);
	jobs_reload(d); /* the images say the same; events name the installed policy again */
}

static struct override *find(const struct daemon *d, struct str repo)
{
	struct override *o = d->overrides;

	while (o && !str_is(repo, o->repo))
		o = o->next;
	return o;
}

uint64_t override_until(const struct daemon *d, struct str repo)
{
	const struct override *o = repo.n ? find(d, repo) : NULL;

	return o ? o->until_us : 0;
}

static bool clean(struct str s, size_t max)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return s.n > 0 && s.n <= max;
}

void override_ask(struct client *c, struct msg_in *m)
{
	struct str repo = { 0 }, reason = { 0 };
	struct daemon *d = c->d;
	uint64_t ms = 0;
	struct override *o;
	struct msg_out out;
	unsigned n = 0;

	if (!c->who.admin) {
		client_failed(c, m->id, -EPERM,
			      "a policy is overridden by root on the host: use sudo");
		return;
	}
	if (msg_get_str(m, TAG_NAME, REPO_MAX, &repo) < 0 || !clean(repo, REPO_MAX) ||
	    msg_get_str(m, TAG_TEXT, REASON_MAX, &reason) < 0 || !clean(reason, REASON_MAX) ||
	    msg_get_u64(m, TAG_TTL, &ms) < 0 || ms < 1000 || ms > OVERRIDE_TTL_MAX_MS) {
		client_failed(c, m->id, -EINVAL,
			      "an override names a repository, a time of 1s to 24h and a reason of "
			      "one line, 256 letters at most");
		return;
	}
	for (o = d->overrides; o; o = o->next)
		n++;
	o = find(d, repo);
	if (!o && n == OVERRIDES_MAX) {
		client_failed(c, m->id, -EBUSY, "32 repositories are overridden already");
		return;
	}
	if (!o) {
		o = mem_new(sizeof(*o));
		o->d = d;
		o->next = d->overrides;
		d->overrides = o;
	}
	snprintf(o->repo, sizeof(o->repo), "%.*s", STR_ARG(repo));
	snprintf(o->reason, sizeof(o->reason), "%.*s", STR_ARG(reason));
	o->uid = c->who.uid;
	o->pid = c->who.pid;
	o->until_us = clock_wall_us() + ms * 1000;
	timer_set(d->loop, &o->end, ms, on_end, o);
	tell(o, "has begun");
	jobs_reload(d);
	msg_begin(&out, MSG_OK, m->id);
	client_send(c, &out);
}

void override_status(const struct daemon *d, struct msg_out *m)
{
	char line[REPO_MAX + REASON_MAX + 160], until[CLOCK_TEXT_MAX];
	unsigned n = 0;

	for (const struct override *o = d->overrides; o; o = o->next, n++) {
		clock_text(o->until_us, until);
		snprintf(line, sizeof(line), "override=%s audit until %s by uid %u: %s", o->repo,
			 until, (unsigned)o->uid, o->reason);
		msg_put_str(m, TAG_TEXT, str_of(line));
	}
	snprintf(line, sizeof(line), "overrides=%u", n);
	msg_put_str(m, TAG_TEXT, str_of(line));
}

void overrides_close(struct daemon *d)
{
	while (d->overrides) {
		tell(d->overrides, "has ended with egretd");
		override_free(d->overrides);
	}
}
