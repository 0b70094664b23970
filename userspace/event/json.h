/* SPDX-License-Identifier: Apache-2.0 */
/* A record as one line of the stream, schema egret.event/1. Called by the audit process alone;
 * pure. */
#ifndef EGRET_EVENT_JSON_H
#define EGRET_EVENT_JSON_H

#include "event/event.h"

#define EVENT_SCHEMA "egret.event/1"
#define EVENT_LINE_MAX (192u << 10) /* no line is longer, its newline included */
#define EVENT_JOB_MAX (32u << 10)   /* of the members of "job" */
#define EVENT_NODE_MAX 255

/* Appends the members of "job" but "n", without braces:
 * "id":"j-1","repo":"acme/web","assurance":"runner". Facts are "key=value", a key is
 * [a-z0-9_]{1,64}, comes once, and is none of ours (id, assurance, n). 0; -EINVAL; -EMSGSIZE past
 * EVENT_JOB_MAX; nothing added then. */
int event_job_json(struct buf *to, struct str id, const struct str *facts, size_t nfacts,
		   struct str assurance) MUST_CHECK;

/* What the audit process knows of a record besides its bytes. */
struct event_place {
	uint64_t seq;	  /* in the stream */
	uint64_t time_us; /* wall */
	struct str node;
	struct str job; /* from event_job_json; n = 0: the event belongs to no job */
	uint64_t n;	/* the record's number in its job's ring; 0: it came another way */
};

/* Appends one line with its newline. e passed event_check. 0, or -EMSGSIZE when `to` is full;
 * nothing was added then. */
int event_json(struct buf *to, const struct event *e, const struct event_place *at) MUST_CHECK;

#endif
