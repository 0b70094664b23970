/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens when a kernel program is taken away under running jobs: see links.h. Only root can
 * do that, by mistake or not. What is put back within the second is an alert. What cannot be put
 * back is a wall that does not stand: members are set not ready and frozen, proxies too, and new
 * jobs are refused; each second it is tried again, and all go on when it stands. Frozen, not
 * killed: nothing leaves in either case, and the work of jobs is not egret's to throw away.
 */
#include "egretd/links.h"

#include "egretd/adopt.h"
#include "egretd/job.h"
#include "egretd/walls.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define LOOK_MS 1000

static unsigned told; /* losses and returns so far */

static void tell(struct daemon *d, enum event_kind kind, const char *text)
{
	struct event e;

	told++;
	log_err("%s", text);
	event_begin(&e, kind, VERDICT_NONE, REASON_WALL);
	event_text(&e, FIELD_MESSAGE, str_of(text));
	daemon_event(d, 0, &e);
}

static void on_lost(void *owner, const char *what, const char *happened, int err)
{
	struct daemon *d = owner;
	char text[256];

	if (err && d->links_down)
		return; /* said when it went */
	snprintf(text, sizeof(text), "kernel programs: %s %s%s%s", what, happened, err ? ": " : "",
		 err ? strerror(-err) : "");
	tell(d, err ? EVENT_GUARD_ABSENT : EVENT_ALERT, text);
}

static void freeze(int cgroup, const char *value)
{
	cleanup_close int fd = openat(cgroup, "cgroup.freeze", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, 1) != 1)
		log_err("a cgroup cannot be frozen or let go on: %s", strerror(errno));
}

/* The proxies' cgroup is egret's alone: that it stands still is also how the next egretd knows. So
 * it is the first to stop and the last to go on. */
static void freeze_all(struct daemon *d, const char *value)
{
	if (*value == '1')
		freeze(d->cg.proxies, value);
	for (struct job *j = d->jobs; j; j = j->next) {
		(void)!members_refresh(j);
		for (struct member *m = j->members; m; m = m->next)
			freeze(m->cgroup, value);
	}
	if (*value == '0')
		freeze(d->cg.proxies, value);
}

static bool is_frozen(int cgroup)
{
	cleanup_close int fd = openat(cgroup, "cgroup.freeze", O_RDONLY | O_CLOEXEC);
	char value = '0';

	return fd >= 0 && read(fd, &value, 1) == 1 && value == '1';
}

static void look(struct daemon *d)
{
	unsigned before = told;
	bool down = kernel_links_check(d->kernel, on_lost, d) < 0;

	/* Each time: members may have come since. */
	if (down || d->links_down) {
		bool was = d->links_down;

		d->links_down = down;
		freeze_all(d, down ? "1" : "0");
		if (down && !was)
			tell(d, EVENT_GUARD_ABSENT,
			     "a wall is gone and cannot be put back: jobs are frozen and none is "
			     "started until it stands; egret tries each second");
		else if (!down)
			tell(d, EVENT_ALERT, "the kernel programs stand again: jobs go on");
	}
	if (told == before || down)
		return;
	park_jobs(d); /* with the links that there are now */
	/* That it stands again is for the trials to say. */
	if (walls_now(d) < 0)
		log_warn("the walls cannot be tried now");
}

static void on_look(struct timer *t)
{
	struct daemon *d = t->owner;

	look(d);
	timer_set(d->loop, t, LOOK_MS, on_look, d);
}

int links_attached(struct daemon *d, char *why, size_t n)
{
	int r;

	/* By one that died so. The canary below the proxies must run for its trial. */
	d->links_down = is_frozen(d->cg.proxies);
	if (d->links_down)
		freeze(d->cg.proxies, "0");
	r = walls_open(d, why, n);
	if (r < 0 && d->links_down)
		freeze(d->cg.proxies, "1");
	return r;
}

void links_open(struct daemon *d)
{
	timer_set(d->loop, &d->links, LOOK_MS, on_look, d);
}

void links_close(struct daemon *d)
{
	timer_del(&d->links);
	if (d->links_down)
		freeze(d->cg.proxies, "0"); /* to end; the members stay as they are */
}

int links_stand(const struct daemon *d, char *why, size_t n)
{
	if (!d->links_down)
		return 0;
	snprintf(why, n,
		 "a kernel program of egret's is gone and cannot be put back: no job is started "
		 "until it stands; egretd's log says which");
	return -EPERM;
}
