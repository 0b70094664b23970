/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's certificate authority: a P-256 root that is good for one job for some days, and
 * intermediates that it signs for that job's proxies. The root's key rests as a secret and is
 * loaded for the moment of a signature. Profile: RFC 5280, strict verifiers included.
 */
#ifndef EGRET_BROKER_CA_H
#define EGRET_BROKER_CA_H

#include "base/secret.h"

#define CA_ROOT_DAYS 7
#define CA_NAME_MAX 48u
#define CA_CERT_MAX 2048u

struct ca {
	struct buf cert;   /* root, DER */
	struct secret key; /* root's key, DER */
};

struct ca_issued {
	struct buf cert;   /* DER */
	struct secret key; /* DER */
};

/* name: the job's text form, [A-Za-z0-9-], at most CA_NAME_MAX. 0, -EINVAL, -ENOMEM, -EIO. */
int ca_new(struct str name, struct ca *ret) MUST_CHECK;
void ca_done(struct ca *c);
int ca_issue(const struct ca *c, struct ca_issued *ret) MUST_CHECK;
void ca_issued_done(struct ca_issued *i);
int ca_pem(const struct ca *c, struct buf *to) MUST_CHECK; /* the root */

/* For egretd to keep: sealed under `key`, bound to the job's number. */
#define CA_SEALED_MAX 4096u
int ca_seal(const struct ca *c, const struct secret *key, uint64_t job, struct buf *to) MUST_CHECK;
/* 0, or -EBADMSG when it is another job's, another key's, or damaged. */
int ca_unseal(struct str sealed, const struct secret *key, uint64_t job, struct ca *ret) MUST_CHECK;

#endif
