/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's certificate authority: a P-256 certificate that is good for one job for some days, and
 * intermediates that it signs for that job's proxies. It is a root of its own, or (ca.mode: root)
 * signed by this host's long-lived one. Keys rest as secrets and are loaded for the moment of a
 * signature. Profile: RFC 5280, strict verifiers included.
 */
#ifndef EGRET_BROKER_CA_H
#define EGRET_BROKER_CA_H

#include "base/secret.h"

#define CA_JOB_DAYS 7
#define CA_ROOT_DAYS 3652 /* ten years: it is baked into images */
#define CA_NAME_MAX 48u
#define CA_CERT_MAX 2048u

struct ca {
	struct buf cert;   /* DER */
	struct secret key; /* its key, DER */
};

struct ca_issued {
	struct buf cert;   /* DER */
	struct secret key; /* DER */
};

/* name: the job's text form, [A-Za-z0-9-], at most CA_NAME_MAX. by: who signs it, or NULL: it
 * stands for itself. 0, -EINVAL, -ENOMEM, -EIO. */
int ca_new(struct str name, const struct ca *by, struct ca *ret) MUST_CHECK;
int ca_root_new(struct ca *ret) MUST_CHECK; /* this host's root, with a name of its own */
bool ca_own_root(const struct ca *c);	    /* it stands for itself */
bool ca_signed_by(const struct ca *c, const struct ca *by);
bool ca_expired(const struct ca *c);
void ca_done(struct ca *c);
int ca_issue(const struct ca *c, struct ca_issued *ret) MUST_CHECK;
void ca_issued_done(struct ca_issued *i);
int ca_pem(const struct ca *c, struct buf *to) MUST_CHECK;

/* For egretd to keep: sealed under `key`, bound to the job's number. */
#define CA_SEALED_MAX 4096u
int ca_seal(const struct ca *c, const struct secret *key, uint64_t job, struct buf *to) MUST_CHECK;
/* 0, or -EBADMSG when it is another job's, another key's, or damaged. */
int ca_unseal(struct str sealed, const struct secret *key, uint64_t job, struct ca *ret) MUST_CHECK;

#endif
