/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's questions to providers. Each credential's definition has a process of its own
 * (egret-provider) that holds one login; egretd starts it, spares stand ready, and one that nobody
 * asks for a while is ended. What comes back was read from a network by that process: every frame
 * is hostile.
 */
#ifndef EGRET_BROKER_HELPER_H
#define EGRET_BROKER_HELPER_H

#include "broker/broker.h"

#define HELPER_KEY 32u	      /* a definition's digest */
#define HELPER_IDLE_MS 30000u /* without a question */
#define HELPER_ASK_MS 15000u  /* a question's whole time, also while it waits for a process */
#define HELPER_AT_ONCE 16u    /* questions that one process holds; more wait here */
#define HELPER_SPARES 4u      /* that stand ready at most */

struct ask;

struct ask_fns {
	/* Fills m, which was begun with the question's type and id: 0, or -errno and a sentence. */
	int (*build)(struct ask *a, struct msg_out *m, char *why, size_t size);
	/* Once: err 0 and the answer, lent, or -errno and a sentence. */
	void (*done)(struct ask *a, int err, struct msg_in *m, const char *why);
	/* An answer (MSG_PROVIDED) came after done said -ETIMEDOUT. May be NULL. */
	void (*late)(struct ask *a, struct msg_in *m);
	void (*release)(struct ask *a); /* the last call: frees it */
};

/* The first member of what the asker has of its question. */
struct ask {
	const struct ask_fns *fns;
	uint16_t type; /* MSG_PROVIDE, MSG_PROVIDER_RENEW, MSG_PROVIDER_REVOKE */
	bool exec;     /* for a program that is run, not a network */
	bool urgent;   /* goes before those that are not */
	uint32_t ms;
	uint8_t key[HELPER_KEY];
	/* ---- helper.c ---- */
	uint32_t id;
	struct broker *broker;
	struct ask *next;
	struct helper *helper; /* that it was sent to */
	struct timer timer;
	bool over; /* given up */
};

/* Takes a over. done is never called from inside. */
void helper_ask(struct broker *b, struct ask *a);
/* The lease of an answered question is in the journal. */
void helper_kept(struct broker *b, const uint8_t key[HELPER_KEY], uint32_t id);
/* An answer of egretd: false when it is none of this module's. */
bool helper_answer(struct broker *b, struct msg_in *m);
/* A job has credentials that need one: spares are started. */
void helper_warm(struct broker *b);
bool helpers_busy(const struct broker *b); /* a question is under way */
void helpers_done(struct broker *b);

#endif
