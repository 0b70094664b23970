/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of leases: one a job and credential, whoever of the job's proxies asks. A lease is made
 * by a provider (helper.h) or read on this host, journalled before its value leaves, renewed while
 * its job lives, and revoked when that ends, until the provider says that it is.
 */
#ifndef EGRET_BROKER_LEASE_H
#define EGRET_BROKER_LEASE_H

#include "broker/definition.h"
#include "broker/job.h"
#include "event/event.h"

#define LEASE_ID_MAX 24u
#define LEASE_SCOPE_MAX 128u
#define LEASE_VALUE_MAX (MSG_SIZE_MAX - 2048u) /* all that a provider gave, in one frame */

enum lease_state {
	LEASE_MAKING, /* its provider is asked for the first time */
	LEASE_LIVE,
	LEASE_OWED, /* to be revoked */
	LEASE_OVER, /* shown for a while by `egret lease list --all` */
};

struct lease {
	struct lease *next;
	struct broker *b;
	struct definition *def;
	struct job *job; /* NULL: it has ended, or was not told yet */
	uint64_t job_id;
	char job_name[CA_NAME_MAX + 1];
	char id[LEASE_ID_MAX];
	enum lease_state state;
	bool is_static, renewable;
	bool dropped;		 /* while it is made: nobody wants it any more */
	bool journalled;	 /* its last record there is one of a lease */
	bool unsynced;		 /* nobody gets it before that is on disk */
	enum event_kind told_as; /* then */
	uint32_t kept;		 /* then: the question that it answers */
	unsigned generation;	 /* values that it had before */
	bool replaced; /* a newer value took its place: revoked with its job, never renewed */
	uint64_t minted_us, renewed_us, expires_us, revoked_us; /* wall; 0: not, or never */
	uint64_t ends_us;     /* by itself, as its provider said; a ttl makes expires_us earlier */
	uint64_t renew_by_us; /* then it cannot be made anew any more; 0: always, or not known */
	uint64_t requests;
	struct secret value, cert, access_key, session, handle;
	struct lease_ask *ask; /* under way */
	struct timer timer;    /* to renew, or to ask again */
	unsigned tries;
	uint64_t wanted_at; /* clock_now(): the first of those who wait asked */
	struct want *wants;
	char why[256]; /* the last failure */
};

/* lease.c. A proxy asks for its job's credential of this index, which it has: answered now or
 * later, by peer_give or peer_refuse. */
void lease_want(struct job *j, uint32_t question, uint64_t index, struct str scope);
/* Those whose provider is shown the job's own token, which may not last until somebody asks. */
void leases_early(struct job *j);
/* The job's credentials are others now: leases of those that went are revoked. */
void leases_job_changed(struct job *j);
void leases_job_ended(struct job *j);
void leases_proxy_gone(struct job *j); /* nobody waits any more */
void leases_file_changed(struct broker *b, struct str path);
void lease_used(struct job *j, uint64_t index, uint64_t n); /* so many requests more had it */
/* lease_list.c: what an administrator asks; they answer themselves. */
int leases_list(struct broker *b, struct msg_in *m, char *why, size_t size) MUST_CHECK;
int leases_revoke(struct broker *b, struct msg_in *m, char *why, size_t size) MUST_CHECK;
bool leases_owed(const struct broker *b); /* a revocation is under way */
void leases_done(struct broker *b);

struct lease *lease_new(struct broker *b, struct definition *d, uint64_t job_id,
			const char *job_name);
void lease_free(struct lease *l);
void lease_forget(struct lease *l); /* its values */
void lease_over(struct lease *l);
void lease_give_all(struct lease *l);
void lease_refuse_all(struct lease *l, int err, const char *why);

/* lease_ask.c. Made if it is not there yet, else renewed. */
void lease_mint(struct lease *l);
/* Nobody gets it any more; revoked until the provider says so, if it is one that can be. */
void lease_revoke(struct lease *l);
void lease_plan(struct lease *l);     /* its renewal */
void lease_ask_drop(struct lease *l); /* before it is freed: what comes is revoked */

/* peer.c: answers to the job's proxy. */
void peer_give(struct job *j, const struct lease *l, uint32_t question, uint64_t index,
	       struct str scope);
void peer_refuse(struct job *j, uint32_t question, uint64_t index, int err, const char *why);
/* The proxy forgets what it has of this credential, and asks when it needs it. */
void peer_gone(struct job *j, uint64_t index);
/* An event about a credential: lease and why may be NULL. */
void peer_tell(struct broker *b, uint64_t job, enum event_kind kind, struct str name,
	       const struct lease *l, const char *why);

#endif
