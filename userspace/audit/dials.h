/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds what the kernel saw of a proxy's dials against what the proxy told (proxy/told.h) and
 * against the requests that it recorded. Three things make a dial explained:
 *
 *   told      a record "dial" with its socket's cookie and the same address, in the ring before the
 *             connect() was made; a kernel's event without one is an alert as soon as the ring is
 *             read to where it stood when the event was read
 *   followed  a request, response or tunnel of the same host (or address) and port: recorded
 *             before and not over, or coming within the bound that egretd gave; else it is an alert
 *   shown     the address is in the stream: in the request's own line, or by a line "dial"
 *
 * What an earlier audit process may have read is never an alert, but a line. Called by job.c,
 * batch.c and audit.c. The records are the word of a proxy that may be taken over; the kernel's
 * events are true. Memory is bounded: DIALS_MAX a job.
 */
#ifndef EGRET_AUDIT_DIALS_H
#define EGRET_AUDIT_DIALS_H

#include "abi.h"
#include "event/event.h"

#define DIALS_MAX 4096u
#define DIALS_STRAYS_MAX 256u

struct audit;
struct audit_job;
struct dial;
struct dial_ref;

/* Of one job. */
struct dials {
	struct dial *first, **last;
	struct dial_ref *refs; /* requests and tunnels that are recorded and not over */
	unsigned n, nrefs;
	uint64_t cgroup;   /* of its proxies; 0: not known */
	uint64_t bound_ms; /* from a dial to its request's record */
};

/* A kernel's event whose job is not known yet. */
struct dial_stray;

/* A record of the job's ring. False: it is no line of the stream. */
bool dials_record(struct audit_job *j, const struct event *e);
/* EGRET_EV_DIAL. */
void dials_kernel(struct audit *a, const struct egret_record *r);
/* What is due by now: each second. */
void dials_look(struct audit *a);
/* The ring of this job is read to its end. */
void dials_over(struct audit_job *j);
void dials_free(struct dials *d);
void dials_strays_free(struct audit *a);

#endif
