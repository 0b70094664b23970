/* SPDX-License-Identifier: Apache-2.0 */
/* One job as the broker sees it: its root, its credentials, the socket of its proxy. Private to
 * job.c, peer.c and lease.c. */
#ifndef EGRET_BROKER_JOB_H
#define EGRET_BROKER_JOB_H

#include "broker/broker.h"
#include "broker/ca.h"

struct job {
	struct job *next;
	struct broker *broker;
	uint64_t id;
	struct ca ca;
	struct watch peer; /* the proxy; no loop when there is none */
	int peer_fd;	   /* owned; -1 */
	char name[CA_NAME_MAX + 1];
	struct definition **defs; /* its credentials, by the proxy's indexes */
	uint32_t ndefs;
	struct job_token *tokens; /* token.h */
	bool asking;		  /* one of them is asked of a provider's process */
	uint64_t minute;	  /* clock_now() / 60000 of the count below */
	unsigned asked;
};

/* job.c: what the job trusts: its own CA, or the root that signed that. */
const struct ca *job_root(const struct job *j);

/* peer.c: a frame of the job's proxy is there. */
void job_peer_ready(struct watch *w, uint32_t events);
void job_peer_drop(struct job *j);

#endif
