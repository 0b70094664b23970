/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of AWS, signed anew: the job signs with keys that are good for nothing. */
#ifndef EGRET_PROXY_RESIGN_H
#define EGRET_PROXY_RESIGN_H

#include "base/secret.h"
#include "policy/credential.h"
#include "sigv4/chunked.h"

struct session;
struct lease;

/* Of one exchange; zeroed for each. */
struct resign {
	bool signed_by_job;		 /* there was a well-formed authorization */
	char region[64], service[64];	 /* that it named */
	char scope[SIGV4_SCOPE_MAX + 1]; /* "": this request is not signed anew */
	char time[SIGV4_TIME + 1];
	struct secret key; /* of a signed stream, while it goes */
	struct sigv4_chunked stream;
};

/* Does a binding of the credential sign requests to this host? */
bool resign_binds(const struct credential *c, struct str host);
/* Before the client's authorization is taken out: what it signed for. */
void resign_look(struct session *s);
/* Why a request to a host of this credential is refused: it is signed in another way, or in its
 * target. NULL: it is not. */
const char *resign_doubt(const struct session *s, const struct credential *c);
/* The credential is chosen: for which scope a key is wanted. false: refused, the session may be
 * gone. */
bool resign_ready(struct session *s, const struct credential *c);
/* Must the body be read whole: its hash is known to nobody, or it says what is asked for? */
bool resign_reads_body(const struct session *s);
/* Signs the head that goes out, with this target, and what follows it. 0; -E2BIG: too much to sign;
 * -errno. */
int resign_put(struct session *s, const struct lease *l, struct str target) MUST_CHECK;
void resign_done(struct resign *r);

#endif
