/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret-broker: the only process that holds the long-lived (promise P4): each job's CA root, the
 * sealed store and its keys. It talks to egretd (descriptor 3) and to each job's proxy (a socket
 * that egretd made: the descriptor says which job). Both speak base/msg.h; a proxy may have been
 * taken over, so each of its frames is hostile.
 */
#ifndef EGRET_BROKER_BROKER_H
#define EGRET_BROKER_BROKER_H

#include "base/loop.h"
#include "base/msg.h"
#include "base/proto.h"
#include "base/secret.h"
#include "broker/bundle.h"
#include "broker/ca.h"
#include "broker/journal.h"
#include "broker/outbox.h"
#include "broker/store.h"

/* Secrets at rest: the store's keys, a key a job (4000 of 128 bytes), what leases that live hold
 * (600 of 4 KiB). */
#define BROKER_ARENA (4u << 20)
#define BROKER_ROOTS_MAX (16u << 20)
/* A proxy asks once a credential and lifetime; one that asks in a loop has been taken over or is
 * broken. */
#define BROKER_LEASES_A_MINUTE 240

struct job;
struct lease;
struct definition;
struct helper;
struct ask;
struct file;

struct broker {
	struct loop *loop;
	struct outbox egretd; /* descriptor 3 */
	struct watch control;
	struct store store;
	struct secret ca_key; /* seals the jobs' CAs (MSG_JOB_OPENED), and the root's file */
	struct secret ca_old; /* the one before, until rekey.c is done; no bytes: none */
	struct rekey *rekey;  /* one that is under way; NULL */
	struct ca root;	      /* of this host; no bytes while nobody needed it */
	bool root_signs;      /* BROKER_CA_ROOT: new jobs' CAs are signed by it */
	struct bundle bundle; /* the system's roots in both forms */
	struct job *jobs;
	unsigned peers;	      /* sockets of proxies that are open */
	unsigned asking_jobs; /* that have credentials for which a provider's process is asked */
	struct lease *leases; /* lease.h */
	struct definition *definitions; /* definition.h */
	struct helper *helpers;		/* helper.h */
	struct timer warming;		/* until spares are started for those that were taken */
	struct ask *asks;
	uint32_t next_want, next_ask;
	struct journal journal;
	uint64_t rewrite_at;
	char damage[256];      /* of the journal, until egretd was told */
	struct timer commit;   /* leases that were written down are made sure of, all at once */
	struct timer stopping; /* MSG_STOP came: until revocations have ended, or */
	uint64_t stop_at;
	struct file *files; /* file.h */
	unsigned nfiles;
};

/* start.c: MSG_BROKER_START, then the jail. 0, or -errno with a sentence. */
int broker_start(struct broker *b, struct msg_in *m, char *why, size_t size) MUST_CHECK;

/* What is derived of a store key. */
struct keys {
	struct secret store, ca, journal;
};
int keys_read(int fd, struct keys *ret, char *why, size_t size) MUST_CHECK;
void keys_done(struct keys *k);

/* rekey.c: the keys that seal from now on; those before open what is not sealed anew yet. */
void rekey_to(struct broker *b, struct keys *k);
int rekey_ask(struct broker *b, struct msg_in *m, char *why,
	      size_t size) MUST_CHECK; /* MSG_SECRET_REKEY; answers itself */
void rekey_done(struct broker *b);
/* root.c: the root's file in the new key: 1; 0: it was, or there is none; -errno. */
int root_rekey(struct broker *b, char *why, size_t size) MUST_CHECK;

/* control.c: what egretd asks. */
int control_start(struct broker *b, int fd) MUST_CHECK;
/* Answers: nobody reads the answer to a frame whose id is 0. */
void control_ok(struct broker *b, uint32_t id);
void control_failed(struct broker *b, uint32_t id, int err, const char *text);

/* job.c */
int job_open(struct broker *b, struct msg_in *m, char *why,
	     size_t size) MUST_CHECK; /* answers itself */
int job_peer(struct broker *b, struct msg_in *m, char *why, size_t size) MUST_CHECK;
int job_close(struct broker *b, struct msg_in *m, char *why, size_t size) MUST_CHECK;
int jobs_told(struct broker *b, struct msg_in *m, char *why, size_t size) MUST_CHECK;
void jobs_done(struct broker *b);

/* root.c: the root of this host, made where there is none yet if `make` says so; idempotent. */
int root_ready(struct broker *b, bool make, char *why, size_t size) MUST_CHECK;
int root_tell(struct broker *b, struct msg_in *m, char *why,
	      size_t size) MUST_CHECK; /* MSG_CA_ROOT; answers itself */

/* secrets.c */
int secrets_set(struct broker *b, struct msg_in *m, char *why, size_t size) MUST_CHECK;
int secrets_list(struct broker *b, struct msg_in *m, char *why,
		 size_t size) MUST_CHECK; /* answers itself */
int secrets_remove(struct broker *b, struct msg_in *m, char *why, size_t size) MUST_CHECK;

/* A sealed memfd with these parts one after the other. */
int broker_memfd(const char *name, const struct str *parts, unsigned n, int *ret_fd) MUST_CHECK;

#endif
