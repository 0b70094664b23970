/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refusals, written for the person who reads a build log: the reason phrase says what and why (apt,
 * wget, npm, node and requests print it), the body says the same with the policy, the nearest rule
 * and the line that would allow it (git prints text/plain bodies). Pure.
 */
#ifndef EGRET_PROXY_REFUSE_H
#define EGRET_PROXY_REFUSE_H

#include "event/event.h"

#define REFUSAL_PHRASE_MAX 120

struct refusal {
	unsigned status;
	enum reason reason;
	struct str sentence;			 /* "no rule allows POST api.github.com/gists" */
	struct str method, url;			 /* n = 0: not known */
	struct str policy, rule, nearest, allow; /* n = 0: none; allow is a JSON line */
	uint64_t event;				 /* number in the stream; 0: not known */
	struct str type, body; /* the client's own protocol instead of the words; n = 0: none */
};

/* The whole reason phrase, printable ASCII, at most REFUSAL_PHRASE_MAX bytes; to holds one more. */
size_t refusal_phrase(const struct refusal *r, char *to);
/* The body and its type alone; accept: the request's Accept, n = 0 if none. */
int refusal_body(const struct refusal *r, struct str accept, struct buf *to,
		 struct str *ret_type) MUST_CHECK;
/* For a client of gRPC, which reads no body of another type: the code and the message of its own
 * protocol. to holds REFUSAL_GRPC_MAX + 1. */
#define REFUSAL_GRPC_MAX (3 * REFUSAL_PHRASE_MAX)
struct str refusal_grpc(const struct refusal *r, char *to);
/* The whole answer in HTTP/1.1. accept: the request's Accept, n = 0 if none. */
int refusal_write(const struct refusal *r, struct str accept, bool head_only, bool close,
		  bool keep_alive, struct buf *to) MUST_CHECK;

#endif
