/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leases.journal in the store's folder: what is owed a revocation whatever dies. One record after
 * the other, each a frame (base/msg.h) sealed under a key of the journal's own and bound to its
 * place in this file:
 *
 *   file:   "egretLJ1"  16 random bytes that name this file  records
 *   record: le32 length of the box  le64 number, from 1  le32 CRC of these 12 bytes  box (seal.h)
 *
 * A record that was not written whole is the last one and was never used: it is cut off. One that
 * does not open with another behind it is damage: what stands before it counts, the file is put
 * aside under another name, and a new one is begun.
 */
#ifndef EGRET_BROKER_JOURNAL_H
#define EGRET_BROKER_JOURNAL_H

#include "base/msg.h"
#include "base/secret.h"

#define JOURNAL_NAME "leases.journal"
#define JOURNAL_DAMAGED "leases.journal.damaged"

enum journal_record {
	JOURNAL_DEFINITION = 1, /* VALUE (a credential's image) */
	JOURNAL_LEASE, /* LEASE (id; a later record takes its place), DIGEST (of the image), JOB,
			* JOB_NAME, TIME (minted), NOW (renewed), EXPIRES, STATIC, RENEWABLE, FLAGS
			* (1: another value took its place), VALUE, CERT?, ACCESS_KEY?,
			* SESSION?, HANDLE? */
	JOURNAL_OVER,  /* LEASE */
};

struct journal {
	int dir;	   /* borrowed; -1: there is no store */
	int fd;		   /* owned; -1: nothing was ever written */
	struct secret key; /* owned */
	struct secret old; /* opens too, until a rekey is over; owned */
	uint8_t id[16];
	uint64_t seq; /* of the last record */
	uint64_t size;
	bool broken; /* what stands behind size could not be cut off */
	bool fresh;  /* the folder does not know the file for good yet */
};

enum journal_found { JOURNAL_GOOD, JOURNAL_TORN, JOURNAL_BAD };
typedef void (*journal_fn)(void *owner, const struct msg_in *m); /* one record */

/* Reads what is there. j has dir and key. *ret says how it ended; JOURNAL_BAD: at which byte stands
 * in why, and the file was put aside: journal_rewrite is to follow. 0 or -errno and a sentence. */
int journal_open(struct journal *j, journal_fn record, void *owner, enum journal_found *ret,
		 char *why, size_t size) MUST_CHECK;
/* Takes m over, whatever it is: 0 or -errno. Nothing is sure before journal_sync. */
int journal_append(struct journal *j, struct msg_out *m) MUST_CHECK;
int journal_sync(struct journal *j) MUST_CHECK;
/* A new file in its place: `write` appends to `to` what shall be in it. Until it succeeds the old
 * one counts. */
int journal_rewrite(struct journal *j, int (*write)(void *owner, struct journal *to),
		    void *owner) MUST_CHECK;
void journal_done(struct journal *j);

#endif
