/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which walls stand on this host, by trial refusal (trial.h): tried at start, again every minute,
 * and told: a word in `egret doctor`, `egret status` and job.start, an event guard.absent when one
 * is missing or falls, a refusal of jobs where the configuration requires it. The words are those
 * of "require" and of the events.
 */
#ifndef EGRET_EGRETD_WALLS_H
#define EGRET_EGRETD_WALLS_H

#include "egretd/cgroup.h"
#include "egretd/kernel.h"

struct daemon;
struct job;

enum wall {
	WALL_TURN,    /* connect, sendmsg */
	WALL_SOCKETS, /* sock_create, bind */
	WALL_PACKETS, /* the last wall */
	WALL_CAGE,    /* of proxies */
	WALL_TC,      /* the host's side of links */
	WALL_LSM,     /* families, passed sockets, egret's own objects */
	WALL_UNIX,    /* UNIX sockets of others */
	WALLS
};
#define WALLS_REQUIRED (WALL_CAGE + 1) /* the first ones: without them nothing is served */
#define WALLS_TEXT_MAX 96
#define WALL_WHY_MAX 200

const char *wall_name(enum wall w); /* "turn" */
bool wall_of_name(struct str name, enum wall *ret);

/* One round, in this process: some tens of milliseconds. walls_try.c */
struct walls_said {
	int r[WALLS]; /* of trial_fn */
	char why[WALLS][WALL_WHY_MAX];
};
void walls_try(struct kernel *k, const struct cgroups *cg, struct walls_said *ret);
/* The same in a child, which writes one struct walls_said to *ret_fd and ends. */
int walls_fork(struct kernel *k, const struct cgroups *cg, pid_t *ret, int *ret_fd) MUST_CHECK;
/* What it said; waits for it at most ms, then ends it. */
void walls_take(pid_t pid, int fd, int ms, struct walls_said *ret);

/* The first trials; without the first four egretd does not start. Then the timer. */
int walls_open(struct daemon *d, char *why, size_t n) MUST_CHECK;
/* What is absent becomes an event; the audit process runs by now. */
void walls_tell(struct daemon *d);
void walls_close(struct daemon *d);
/* A round now, unless one is under way; control_walls_tried() is called when it is over. */
int walls_now(struct daemon *d) MUST_CHECK;
bool wall_stands(const struct daemon *d, enum wall w);
/* The first four: while one of them is down no job is let in and none is served. */
bool walls_carry(const struct daemon *d);
/* On a shared network only processes that can have no packet socket are let in (bounds.h). */
bool walls_need_bounds(const struct daemon *d);
bool walls_trying(const struct daemon *d);	 /* a round is under way */
uint64_t walls_tried_us(const struct daemon *d); /* wall clock, of the last round */
/* Why it does not stand; "" when it does. */
const char *wall_why(const struct daemon *d, enum wall w);

/* The words of one job, "turn sockets packets cage netns": netns where a network namespace of its
 * own has no link at all; tc where each link has the program. */
void walls_of_job(const struct job *j, char to[WALLS_TEXT_MAX]);
/* 0, or -EPERM with the sentence of the first wall that the configuration requires and this job
 * would not have. */
int walls_required(const struct job *j, char *why, size_t n) MUST_CHECK;

#endif
