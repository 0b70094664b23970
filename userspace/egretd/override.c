/* SPDX-License-Identifier: Apache-2.0 */
/* See override.h. The repository's name and the reason are an administrator's; both are bounded and
 * only shown and compared. */
#include "egretd/override.h"

#include "egretd/job.h"
#include "egretd/override_file.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_MS 60000u /* the loop's clock stands still while the machine is suspended */

struct override {
	struct override *next;
	struct daemon *d;
	struct timer end;
	struct override_kept k;
};

static char boot[OVERRIDE_BOOT_MAX]; /* which this is */

static uint64_t left_us(const struct override *o)
{
	return override_left(&o->k, boot, clock_boot_us(), clock_wall_us());
}

static const char *said_by(const struct override *o)
{
	return o->k.least == ASSURANCE_SIGNED ? "as its CI server signed"
					      : "as the runner says, unsigned";
}

static void tell(const struct override *o, const char *what)
{
	char text[OVERRIDE_REPO_MAX + OVERRIDE_REASON_MAX + 256], until[CLOCK_TEXT_MAX];
	struct event e;

	clock_text(o->k.until_us, until);
	snprintf(text, sizeof(text),
		 "mode audit %s for jobs of %s, %s (egret override, until %s): %s", what, o->k.repo,
		 said_by(o), until, o->k.reason);
	log_warn("%s", text);
	event_begin(&e, EVENT_ADMIN_OVERRIDE, VERDICT_NONE, REASON_NONE);
	event_num(&e, FIELD_PROCESS_PID, o->k.pid);
	event_text(&e, FIELD_PROCESS_COMM, str_of(o->k.comm));
	event_num(&e, FIELD_PROCESS_UID, o->k.uid);
	event_text(&e, FIELD_MESSAGE, str_of(text));
	daemon_event(o->d, 0, &e);
}

static struct override *override_new(struct daemon *d, const struct override_kept *k)
{
	struct override *o = mem_new(sizeof(*o));

	o->d = d;
	o->k = *k;
	o->next = d->overrides;
	d->overrides = o;
	return o;
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

static int save(const struct daemon *d)
{
	struct override_kept *all = mem_new(OVERRIDES_MAX * sizeof(*all));
	char path[PATH_MAX];
	unsigned n = 0;
	int r;

	for (const struct override *o = d->overrides; o && n < OVERRIDES_MAX; o = o->next)
		all[n++] = o->k;
	snprintf(path, sizeof(path), "%s/overrides", d->config.state_dir.p);
	r = overrides_write(path, all, n);
	if (r < 0)
		log_err("%s cannot be written: %s", path, strerror(-r));
	free(all);
	return r;
}

static void arm(struct override *o);

/* Told first: an egretd that dies here says it again, rather than never. */
static void on_end(struct timer *t)
{
	struct override *o = t->owner;
	struct daemon *d = o->d;

	if (left_us(o)) {
		arm(o);
		return;
	}
	tell(o, "has ended");
	override_free(o);
	(void)!save(d);
	jobs_reload(d); /* the images say the same; events name the installed policy again */
}

static void arm(struct override *o)
{
	uint64_t ms = left_us(o) / 1000 + 1;

	timer_set(o->d->loop, &o->end, ms < LOOK_MS ? ms : LOOK_MS, on_end, o);
}

static struct override *find(const struct daemon *d, struct str repo)
{
	struct override *o = d->overrides;

	while (o && !str_is(repo, o->k.repo))
		o = o->next;
	return o;
}

uint64_t override_until(const struct daemon *d, struct str repo, enum assurance said)
{
	const struct override *o = repo.n ? find(d, repo) : NULL;
	uint64_t left = o && said >= o->k.least ? left_us(o) : 0;

	return left ? clock_boot_us() + left : 0;
}

static void read_boot(void)
{
	cleanup_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, boot, sizeof(boot) - 1);

	/* Without one, no boot is the same as another: the wall clock decides. */
	snprintf(boot, sizeof(boot), "%.*s", n < 36 ? 0 : 36, n < 36 ? "" : boot);
	if (!boot[0])
		snprintf(boot, sizeof(boot), "%llu", (unsigned long long)clock_wall_us());
}

void overrides_open(struct daemon *d)
{
	struct override_kept *all = mem_new(OVERRIDES_MAX * sizeof(*all));
	char path[PATH_MAX], why[WHY_MAX];
	bool over = false;
	unsigned n = 0;

	read_boot();
	snprintf(path, sizeof(path), "%s/overrides", d->config.state_dir.p);
	if (overrides_read(path, all, &n, why, sizeof(why)) < 0)
		log_err("%s: no override is in force", why);
	for (unsigned i = 0; i < n; i++) {
		struct override *o = override_new(d, &all[i]);

		if (left_us(o)) {
			tell(o, "goes on after a start of egretd");
			arm(o);
		} else {
			tell(o, "has ended, while no egretd ran,");
			override_free(o);
			over = true;
		}
	}
	free(all);
	if (over)
		(void)!save(d);
}

/* How many of them run, whose repository was said by less than the override wants. */
static unsigned left_out(const struct override *o)
{
	unsigned n = 0;

	for (const struct job *j = o->d->jobs; j; j = j->next)
		n += str_is(job_fact_of(j, "repo"), o->k.repo) && j->facts.assurance < o->k.least;
	return n;
}

static void answer(struct client *c, uint32_t question, const struct override *o)
{
	char text[512];
	struct msg_out m;
	unsigned n = left_out(o);
	int at;

	at = snprintf(text, sizeof(text), "jobs of this repository, %s, are judged in mode audit",
		      said_by(o));
	if (o->k.least == ASSURANCE_RUNNER)
		at += snprintf(text + at, sizeof(text) - (size_t)at,
			       ": any job of a runner that says so is, too");
	if (n)
		snprintf(text + at, sizeof(text) - (size_t)at,
			 "; %u that run have no signed token and are not: --assurance runner takes "
			 "the runner's word",
			 n);
	msg_begin(&m, MSG_OK, question);
	msg_put_str(&m, TAG_TEXT, str_of(text));
	client_send(c, &m);
}

static int take(const struct client *c, const struct msg_in *m, struct override_kept *ret)
{
	struct str repo = { 0 }, reason = { 0 };
	uint64_t ms = 0, least = c->d->config.nidentity ? ASSURANCE_SIGNED : ASSURANCE_RUNNER;
	int r = msg_get_u64(m, TAG_ASSURANCE, &least);

	if ((r < 0 && r != -ENOENT) || (least != ASSURANCE_RUNNER && least != ASSURANCE_SIGNED) ||
	    msg_get_str(m, TAG_NAME, OVERRIDE_REPO_MAX, &repo) < 0 ||
	    !override_text(repo, OVERRIDE_REPO_MAX) ||
	    msg_get_str(m, TAG_TEXT, OVERRIDE_REASON_MAX, &reason) < 0 ||
	    !override_text(reason, OVERRIDE_REASON_MAX) || msg_get_u64(m, TAG_TTL, &ms) < 0 ||
	    ms < 1000 || ms > OVERRIDE_TTL_MAX_MS)
		return -EINVAL;
	*ret = (struct override_kept){ .begun_us = clock_wall_us(),
				       .ends_us = clock_boot_us() + ms * 1000,
				       .uid = c->who.uid,
				       .pid = (uint32_t)c->who.pid,
				       .least = (uint32_t)least };
	ret->until_us = ret->begun_us + ms * 1000;
	memcpy(ret->boot, boot, sizeof(ret->boot));
	snprintf(ret->comm, sizeof(ret->comm), "%.15s", c->who.comm);
	memcpy(ret->repo, repo.p, repo.n);
	memcpy(ret->reason, reason.p, reason.n);
	return 0;
}

void override_ask(struct client *c, struct msg_in *m)
{
	struct override_kept k, before;
	struct daemon *d = c->d;
	struct override *o;
	unsigned n = 0;
	bool fresh;

	if (!c->who.admin) {
		client_failed(c, m->id, -EPERM,
			      "a policy is overridden by root on the host: use sudo");
		return;
	}
	if (take(c, m, &k) < 0) {
		client_failed(c, m->id, -EINVAL,
			      "an override names a repository, a time of 1s to 24h and a reason of "
			      "one line, 256 letters at most");
		return;
	}
	for (o = d->overrides; o; o = o->next)
		n++;
	o = find(d, str_of(k.repo));
	fresh = !o;
	if (fresh && n == OVERRIDES_MAX) {
		client_failed(c, m->id, -EBUSY, "32 repositories are overridden already");
		return;
	}
	if (fresh)
		o = override_new(d, &k);
	before = o->k;
	o->k = k;
	if (save(d) < 0) {
		o->k = before;
		if (fresh)
			override_free(o);
		client_failed(
			c, m->id, -EIO,
			"the override cannot be written down (state_dir), so its end could be "
			"missed: nothing has changed");
		return;
	}
	arm(o);
	tell(o, "has begun");
	jobs_reload(d);
	answer(c, m->id, o);
}

void override_status(const struct daemon *d, struct msg_out *m)
{
	char line[OVERRIDE_REPO_MAX + OVERRIDE_REASON_MAX + 256], until[CLOCK_TEXT_MAX];
	unsigned n = 0;

	for (const struct override *o = d->overrides; o; o = o->next, n++) {
		clock_text(clock_wall_us() + left_us(o), until);
		snprintf(line, sizeof(line), "override=%s audit until %s by uid %u, %s: %s",
			 o->k.repo, until, (unsigned)o->k.uid, said_by(o), o->k.reason);
		msg_put_str(m, TAG_TEXT, str_of(line));
	}
	snprintf(line, sizeof(line), "overrides=%u", n);
	msg_put_str(m, TAG_TEXT, str_of(line));
}

void overrides_close(struct daemon *d)
{
	while (d->overrides)
		override_free(d->overrides);
}
