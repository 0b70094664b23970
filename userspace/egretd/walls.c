/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See walls.h: which walls stand, as the last round of trials found, and what follows from a
 * change. A trial that could not be made proves nothing: the word before holds for some rounds.
 */
#include "egretd/walls.h"

#include "egretd/control.h"
#include "egretd/job.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define EVERY_MS 60000
#define LATE_MS 10000
#define UNPROVEN_MAX 3 /* rounds in a row without a proof: then it does not stand */

struct walls {
	struct daemon *d;
	struct {
		bool stands;
		unsigned unproven;
		char why[WALL_WHY_MAX];
	} wall[WALLS];
	uint64_t tried_us;
	pid_t pid; /* of the round under way; 0: none */
	bool more; /* another one is wanted after it */
	int fd;
	struct watch said;
	struct timer again, late;
};

bool wall_stands(const struct daemon *d, enum wall w)
{
	return d->walls && d->walls->wall[w].stands;
}

bool walls_carry(const struct daemon *d)
{
	if (d->before_walls)
		return true;
	for (int i = 0; i < WALLS_REQUIRED; i++)
		if (!wall_stands(d, (enum wall)i))
			return false;
	return true;
}

bool walls_need_bounds(const struct daemon *d)
{
	return !wall_stands(d, WALL_LSM);
}

bool walls_trying(const struct daemon *d)
{
	return d->walls && d->walls->pid > 0;
}

uint64_t walls_tried_us(const struct daemon *d)
{
	return d->walls ? d->walls->tried_us : 0;
}

const char *wall_why(const struct daemon *d, enum wall w)
{
	return wall_stands(d, w) ? "" : d->walls ? d->walls->wall[w].why : "not tried yet";
}

static void tell(struct daemon *d, enum wall w)
{
	const bool stands = wall_stands(d, w);
	struct event e;

	event_begin(&e, stands ? EVENT_GUARD_PRESENT : EVENT_GUARD_ABSENT, VERDICT_NONE,
		    stands ? REASON_NONE : REASON_WALL);
	event_text(&e, FIELD_MESSAGE,
		   stands ? STR("the trial was refused again") : str_of(wall_why(d, w)));
	event_text(&e, FIELD_WALLS, str_of(wall_name(w)));
	daemon_event(d, 0, &e);
}

void walls_tell(struct daemon *d)
{
	for (int i = 0; i < WALLS; i++)
		if (!wall_stands(d, (enum wall)i))
			tell(d, (enum wall)i);
}

/* One of the four: what runs is refused until it stands again, by the walls that are left. */
static void carry(struct daemon *d, enum wall w)
{
	struct event e;
	struct job *j;

	for (j = d->jobs; j; j = j->next)
		if (members_refresh(j) < 0)
			log_err("job %s: the kernel's tables cannot be changed", j->name);
	if (wall_stands(d, w))
		return;
	event_begin(&e, EVENT_ALERT, VERDICT_NONE, REASON_WALL);
	event_text(&e, FIELD_MESSAGE, str_of(wall_why(d, w)));
	event_text(&e, FIELD_WALLS, str_of(wall_name(w)));
	daemon_event(d, 0, &e);
}

static bool take(struct walls *s, enum wall w, int r, const char *why)
{
	const bool was = s->wall[w].stands;
	bool now = r == 0;

	if (r == 0 || r == -EPERM || r == -ENOTSUP)
		s->wall[w].unproven = 0;
	else if (++s->wall[w].unproven < UNPROVEN_MAX)
		now = was;
	if (!now || r == 0)
		snprintf(s->wall[w].why, sizeof(s->wall[w].why), "%s", why);
	else
		log_warn("the wall \"%s\" could not be tried: %s", wall_name(w), why);
	s->wall[w].stands = now;
	return was != now;
}

static void changed(struct daemon *d, enum wall w)
{
	const bool needed = w < WALLS_REQUIRED;

	if (wall_stands(d, w))
		log_info("the wall \"%s\" stands again", wall_name(w));
	else
		log_err("the wall \"%s\" does not stand any more: %s%s", wall_name(w),
			wall_why(d, w),
			needed ? "; jobs are refused until it does: start egretd again, which "
				 "attaches its programs anew"
			       : "");
	tell(d, w);
	if (needed)
		carry(d, w);
}

static void over(struct walls *s)
{
	struct walls_said said = { 0 };
	bool news[WALLS];
	int i;

	timer_del(&s->late);
	watch_del(&s->said);
	walls_take(s->pid, s->fd, 0, &said);
	s->pid = 0;
	s->tried_us = clock_wall_us();
	for (i = 0; i < WALLS; i++)
		news[i] = take(s, (enum wall)i, said.r[i], said.why[i]);
	for (i = 0; i < WALLS; i++)
		if (news[i])
			changed(s->d, (enum wall)i);
	if (!s->more || walls_now(s->d) < 0)
		control_walls_tried(s->d);
}

static void on_said(struct watch *w, uint32_t events)
{
	over(w->owner);
}

static void on_late(struct timer *t)
{
	over(t->owner);
}

int walls_now(struct daemon *d)
{
	struct walls *s = d->walls;
	int r;

	/* The proxies stand still, and so would the canary below them. */
	if (d->links_down)
		return -EAGAIN;
	s->more = s->pid > 0;
	if (s->more)
		return 0; /* what it has seen already may be from before */
	r = walls_fork(d->kernel, &d->cg, &s->pid, &s->fd);
	if (r < 0)
		return r;
	r = watch_add(d->loop, &s->said, s->fd, EPOLLIN, on_said, s);
	if (r < 0) {
		struct walls_said ignored;

		kill(s->pid, SIGKILL);
		walls_take(s->pid, s->fd, 0, &ignored);
		s->pid = 0;
		return r;
	}
	timer_set(d->loop, &s->late, LATE_MS, on_late, s);
	return 0;
}

static void on_again(struct timer *t)
{
	struct walls *s = t->owner;
	int r = walls_now(s->d);

	if (r < 0 && !s->d->links_down)
		log_warn("the walls cannot be tried: %s", strerror(-r));
	timer_set(s->d->loop, &s->again, EVERY_MS, on_again, s);
}

int walls_open(struct daemon *d, char *why, size_t n)
{
	struct walls_said said = { 0 };
	struct walls *s;
	pid_t pid;
	int fd, i, r = walls_fork(d->kernel, &d->cg, &pid, &fd);

	if (r < 0) {
		snprintf(why, n, "the walls cannot be tried: %s", strerror(-r));
		return r;
	}
	walls_take(pid, fd, LATE_MS, &said);
	for (i = 0; i < WALLS_REQUIRED; i++) {
		if (said.r[i] == 0)
			continue;
		snprintf(why, n, "the wall \"%s\" does not stand: %s", wall_name((enum wall)i),
			 said.why[i]);
		return said.r[i];
	}
	s = mem_new(sizeof(*s));
	s->d = d;
	s->tried_us = clock_wall_us();
	for (i = 0; i < WALLS; i++) {
		s->wall[i].stands = said.r[i] == 0;
		snprintf(s->wall[i].why, sizeof(s->wall[i].why), "%s", said.why[i]);
	}
	d->walls = s;
	timer_set(d->loop, &s->again, EVERY_MS, on_again, s);
	return 0;
}

void walls_close(struct daemon *d)
{
	struct walls *s = d->walls;
	struct walls_said ignored;

	if (!s)
		return;
	timer_del(&s->again);
	timer_del(&s->late);
	watch_del(&s->said);
	if (s->pid)
		walls_take(s->pid, s->fd, LATE_MS, &ignored); /* it sweeps up after itself */
	free(s);
	d->walls = NULL;
}

/* ---- a job's ---- */

/* Something leads out of the namespaces that it is in, or will be in. */
static bool has_link(const struct job *j)
{
	return j->host_net || j->origin != JOB_OF_RUN;
}

/* Its own code runs on the host's network. */
static bool on_host(const struct job *j)
{
	return !j->containers_only && (j->host_net || j->worker || j->origin == JOB_OF_UNIT);
}

/* Each link that the job has by now, whatever the trial says of links as such. */
static bool each_link_stands(const struct job *j, const char **why)
{
	const struct net *net;

	for (net = j->nets; net; net = net->next)
		if (!(net->shared && j->containers_only) && !net_tc(net, why))
			return false;
	return true;
}

void walls_of_job(const struct job *j, char to[WALLS_TEXT_MAX])
{
	const char *lack;
	size_t at = 0;

	to[0] = 0;
	for (int i = 0; i < WALLS; i++) {
		if (!wall_stands(j->d, (enum wall)i) || (i == WALL_UNIX && !j->confined) ||
		    (i == WALL_TC && (on_host(j) || !has_link(j) || !each_link_stands(j, &lack))))
			continue;
		at += (size_t)snprintf(to + at, WALLS_TEXT_MAX - at, "%s%s", at ? " " : "",
				       wall_name((enum wall)i));
	}
	if (!has_link(j))
		snprintf(to + at, WALLS_TEXT_MAX - at, "%snetns", at ? " " : "");
}

static int has_word(const struct job *j, struct str word, char *why, size_t n)
{
	const char *lack;
	enum wall w;

	if (str_is(word, "confined")) {
		if (j->confined)
			return 0;
		snprintf(why, n, "the configuration requires confined jobs, and this one %.*s",
			 STR_ARG(j->tier));
	} else if (str_is(word, "netns")) {
		if (!has_link(j))
			return 0;
		snprintf(why, n,
			 "the configuration requires \"netns\", a network namespace "
			 "without any link: only egret run without --net host has it");
	} else if (str_is(word, "tc") && on_host(j)) {
		snprintf(why, n,
			 "the configuration requires the wall \"tc\", and on the host's network a "
			 "job has no link of its own where it could stand: run it in containers");
	} else if (str_is(word, "unix") && !j->confined) {
		snprintf(why, n,
			 "the configuration requires the wall \"unix\", which is for confined "
			 "jobs, and this one %.*s",
			 STR_ARG(j->tier));
	} else if (str_is(word, "tc") && !each_link_stands(j, &lack)) {
		snprintf(why, n, "the configuration requires the wall \"tc\", and %s", lack);
	} else if (!wall_of_name(word, &w) || wall_stands(j->d, w) ||
		   (w == WALL_TC && !has_link(j))) {
		return 0;
	} else {
		snprintf(why, n,
			 "the configuration requires the wall \"%s\", which does not stand here: "
			 "%s",
			 wall_name(w), wall_why(j->d, w));
	}
	return -EPERM;
}

int walls_required(const struct job *j, char *why, size_t n)
{
	const struct config_list *require = &j->d->config.require;
	int r = 0;

	for (unsigned i = 0; i < require->n && r == 0; i++)
		r = has_word(j, require->at[i], why, n);
	return r;
}
