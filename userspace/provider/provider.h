/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every provider of credentials is written against. A question of the broker's is taken apart
 * by question.c and answered by the functions of one row of `providers` (table.c), each on a stack
 * of its own (fiber.h): http_ask() waits without holding up other questions, so what a provider
 * keeps between questions (a login) may have changed when it returns.
 *
 * Hostile bytes: what servers answer (http.h). What the broker says is ours, and bounded.
 */
#ifndef EGRET_PROVIDER_PROVIDER_H
#define EGRET_PROVIDER_PROVIDER_H

#include "fetch/fetch.h"
#include "policy/credential.h"
#include "policy/scan.h"

#define QUESTION_ARENA_MAX (4u << 20)
#define QUESTION_WHY_MAX 600

struct question {
	struct arena arena; /* for all that is made while it is answered; wiped with it */
	struct loop *loop;
	struct fetch *fetch;
	struct str roots; /* PEM: whom this host trusts */
	uint32_t id;
	struct str name;     /* the credential's */
	struct str provider; /* "oauth2" */
	struct str token;    /* the job's own ID token; n = 0: none */
	struct str handle;   /* of renew and revoke: what the answer said */
	struct str value;    /* of renew; of revoke, if the broker still has it */
	uint64_t ttl_ms;     /* wanted; 0: as long as the provider likes */
	int64_t now;	     /* wall clock, seconds */
	struct question_param *params;
	size_t nparams;
	char why[QUESTION_WHY_MAX];
};

/* All in the question's arena, or pointing into it. */
struct answer {
	struct str value; /* of aws: the secret key; of mtls: the private key */
	struct str cert;  /* PEM, of mtls */
	struct str access_key, session;
	struct str handle;  /* what renew and revoke need: opaque to the broker, journalled by it */
	int64_t expires_ms; /* wall clock; 0: never */
	int64_t renew_by_ms; /* wall clock: then it cannot be made anew any more; 0: always */
	bool is_static;	     /* was not made for this job, and is not revoked */
	bool renewable;
};

/* 0; or -errno with a sentence in q->why (question_fail). -EAGAIN: worth asking again. -ENOKEY:
 * what the job brought is good for nothing more, and asking again is in vain. */
struct provider_ops {
	const char *name;
	int (*provide)(struct question *q, struct answer *ret);
	int (*renew)(struct question *q, struct answer *ret); /* NULL: none is renewable */
	int (*revoke)(struct question *q);		      /* NULL: expires by itself */
	void (*end)(
		void); /* on a fiber, the last of all: what is kept is given up. NULL: nothing */
};
extern const struct provider_ops *const providers[]; /* NULL ends it */

/* The credential's keys (policy/params.def); n = 0: not there. Both end in NUL. A secret is the
 * bytes of what store: or file: named; so is ca_file. */
struct str question_param(const struct question *q, enum param id);
struct str question_secret(const struct question *q, enum param id);
/* Walks a key that is a list. Start with *at = 0. */
bool question_each_param(const struct question *q, enum param id, size_t *at, struct str *ret);
/* For a login that is kept: what asks need of a question, in an arena of its own. */
struct question *question_dup(const struct question *q);
struct question *question_free(struct question *q); /* NULL; accepts NULL */
/* Writes "PROVIDER: " and the sentence, printable and without any secret of the question. Returns
 * err, which is negative. */
int question_fail(struct question *q, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* "text" as it stands in the arena, ended by NUL. */
struct str question_printf(struct question *q, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
