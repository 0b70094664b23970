/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit process: what its rooms share. One stream of numbered lines out of many rings, the
 * kernel's ring buffer and egretd's own events. Everything is collected into one batch, appended,
 * and only then acknowledged (promise P7):
 *
 *   audit.c    descriptor 3: what egretd asks
 *   job.c      one ring a job
 *   batch.c    collect, append, acknowledge, hand to followers
 *   replay.c   a job's lines once more, for one who may see them
 *   tail.c     what the log's end says at start: the next number, what was appended but not
 * acknowledged follow.c   who reads along kernel_events.c  libbpf
 *   dials.c    what the kernel saw of proxies, held against what they told
 */
#ifndef EGRET_AUDIT_AUDIT_H
#define EGRET_AUDIT_AUDIT_H

#include "base/bytes.h"
#include "base/limits.h"
#include "base/loop.h"
#include "base/msg.h"
#include "base/proto.h"
#include "audit/dials.h"
#include "event/json.h"
#include "event/ring.h"

#define AUDIT_BATCH 256u /* records */
#define AUDIT_BATCH_BYTES (1u << 20)
#define AUDIT_TURN 32u /* records of one ring before the next has its turn */
#define AUDIT_OWN_MAX \
	1024u /* events of egretd and our own that wait for a log that cannot be written */
#define AUDIT_CLOSED_MAX \
	64u /* jobs remembered after their end: late kernel events and job.end have a name */

struct follower;
struct replay;
struct kernel_events;

struct audit_job {
	struct audit_job *next;
	struct audit *a;
	uint64_t id;
	char name[65];
	struct buf json;	  /* members of "job" */
	struct ring_reader *ring; /* NULL once closed or broken */
	struct watch wake;
	uint64_t n;    /* number in the ring of the last record read */
	uint64_t skip; /* the log has all records up to this one already */
	struct follower *followers;
	struct dials dials;
	uint64_t log_from; /* its lines are behind this offset; 0: not known */
	bool ready;	   /* there may be something to read */
	bool closing, closed;
	uint32_t close_id;
};

struct batch_record {
	struct audit_job *job; /* NULL: of no job */
	bool from_ring;
	uint64_t seq;
	size_t start, end; /* of its line in batch.lines */
};

struct batch {
	struct buf lines;
	struct batch_record records[AUDIT_BATCH];
	unsigned n;
	unsigned acked;
	size_t written;
};

struct own_event;

/* What the end of the log said about one record. */
struct tail_entry {
	char job[65];
	uint64_t n, seq;
};
struct tail {
	uint64_t seq;	      /* of the last whole line; 0: none */
	bool unended;	      /* there are bytes behind the last newline */
	uint64_t torn;	      /* so many, when they are no whole line */
	uint64_t kernel_lost; /* lost.total of the last such event */
	struct tail_entry *entries;
	size_t nentries;
};

struct audit {
	struct loop *loop;
	int control;
	struct watch control_watch;
	struct limits limits;
	bool started, stopping;
	int log;
	char node[EVENT_NODE_MAX + 1];
	struct tail tail;
	uint64_t seq;  /* of the last line given a number */
	uint64_t lost; /* in all, as events said */
	uint64_t own_lost;
	struct audit_job *jobs, *cursor;
	struct follower *followers; /* of all lines */
	struct replay *replays;
	unsigned nreplays;
	struct own_event *own, **own_end;
	unsigned own_n;
	struct batch batch;
	struct timer again, retry, sync;
	uint64_t stuck_since; /* clock_now, 0: the log can be written */
	bool sync_each;	      /* acknowledged means on disk */
	uint64_t unsynced;    /* records appended since the last good fdatasync */
	struct kernel_events *kernel;
	bool kernel_ready;
	uint64_t started_ms; /* clock_now */
	struct dial_stray *strays;
	unsigned nstrays;
	uint64_t strays_lost;
};

/* audit.c: serves descriptor `control` until MSG_STOP or its end. The exit status. */
int audit_run(int control);

/* job.c */
struct audit_job *job_find(struct audit *a, uint64_t id);
int job_open(struct audit *a, struct msg_in *m) MUST_CHECK;
int job_close(struct audit *a, const struct msg_in *m) MUST_CHECK;
/* One record of the ring: 1, or 0 when there is none now (then also when the ring turned out to be
 * broken). */
int job_read(struct audit_job *j, struct event *to) MUST_CHECK;
/* Nothing is in the batch: jobs that are closing and drained end here. */
void jobs_finish(struct audit *a);
void jobs_done(struct audit *a);

/* batch.c */
void batch_init(struct audit *a);
void batch_done(struct audit *a);
void batch_turn(struct audit *a); /* all there is, as far as one turn goes */
void batch_soon(
	struct audit *a); /* another turn as soon as the loop has looked at the descriptors */
bool batch_room(const struct audit *a);
/* A line into the batch; the caller saw batch_room. */
void batch_add(struct audit *a, const struct event *e, struct audit_job *job, bool from_ring);
/* A record that is no line: acknowledged in its turn. */
void batch_pass(struct audit *a, struct audit_job *job);
bool batch_drained(const struct audit *a);
int log_sync(struct audit *a) MUST_CHECK;
/* An event of egretd's, or our own; job may be NULL. */
void own_add(struct audit *a, const struct event *e, struct audit_job *job);
void own_alert(struct audit *a, struct audit_job *job, const char *fmt, ...) PRINTF_LIKE(3, 4);
void own_lost(struct audit *a, const char *where, uint64_t count, uint64_t total);

/* tail.c */
int tail_read(int log, struct tail *ret) MUST_CHECK;
void tail_done(struct tail *t);
/* The highest number of this job in the log's end; 0 if none. */
uint64_t tail_highest(const struct tail *t, const char *job);
/* The number in the stream of record n of this job; 0 when it is not there. */
uint64_t tail_seq(const struct tail *t, const char *job, uint64_t n);

/* follow.c */
int follow_add(struct audit *a, struct follower **list, int fd) MUST_CHECK; /* takes over fd */
/* Kept until follow_flush, or until there is much of it. */
void follow_line(struct follower **list, struct str line, uint64_t seq);
void follow_flush(struct follower **list);
void follow_end(struct follower **list); /* each closes once it has what is due to it */
void follow_done(struct follower **list);

/* replay.c */
/* The lines of the job with this name, from offset `from` of the log to its end, into the socket fd
 * (taken over), which is closed behind them. 0 or -errno. */
int replay_start(struct audit *a, const char *job, uint64_t from, int fd) MUST_CHECK;
void replays_done(struct audit *a);

#endif
