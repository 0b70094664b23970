/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said to Vault and OpenBao, and what their answers mean. Asks nobody; called by vault.c.
 * Hostile bytes: every answer. Sentences name a status, a path of the credential's own file, and
 * words from a list of ours: never a byte that the server wrote.
 */
#ifndef EGRET_PROVIDER_VAULT_FORM_H
#define EGRET_PROVIDER_VAULT_FORM_H

#include "provider/provider.h"

#define VAULT_TOKEN_MAX 4096
#define VAULT_LEASE_MAX 1024
#define VAULT_VALUE_MAX 32768
#define VAULT_HANDLE_MAX (VAULT_TOKEN_MAX + VAULT_LEASE_MAX + 128)
#define VAULT_SECONDS_MAX (10ll * 366 * 86400)

struct vault_answer {
	struct str token; /* of a login or a renewal; n = 0: none */
	int64_t token_s;
	bool token_renewable, token_batch;
	bool wrapped, mfa; /* a login that is none yet */
	struct str lease;  /* n = 0: nothing ends by itself, and nothing can be taken back */
	int64_t lease_s;
	bool lease_renewable;
	const struct node *data; /* the fields; of KV version 2 the inner ones. NULL: none */
};

/* What renewing and revoking needs: the broker keeps it, sealed, and reads nothing of it. */
struct vault_handle {
	struct str token, lease; /* lease: n = 0 when the token alone is to be ended */
	bool batch, token_renewable;
	int64_t token_ends; /* wall clock, seconds */
	int64_t granted_s;  /* what the lease was given at first */
};

/* A path below /v1/ as it is sent. false: empty parts, dots, a query, escapes, control bytes. */
bool vault_path(struct question *q, struct str path, struct str *ret);
/* "auth/jwt/login" */
struct str vault_login_path(struct question *q);
/* 0, or -EINVAL with the sentence made. */
int vault_login_body(struct question *q, struct str *ret) MUST_CHECK;
/* {"lease_id":...,"increment":...}: either may be left out (n = 0; 0). */
struct str vault_lease_body(struct question *q, struct str lease, uint64_t increment_s);

/* 0, or -EBADMSG with the sentence made. */
int vault_read(struct question *q, const struct node *root, struct vault_answer *ret) MUST_CHECK;
/* The value that the credential names: `field`, else the only field, else the first that is there
 * of value, token, password. "a:b", where no field is called so, is two of them with the colon. 0,
 * or -ENOENT, -EBADMSG with the sentence made. */
int vault_field(struct question *q, const struct node *data, struct str *ret) MUST_CHECK;

/* What a refusal means, by its status and the server's text (root may be NULL): a code and words
 * of ours, "" when there are none. */
int vault_fault(long status, const struct node *root, const char **ret_words);
/* Of sys/health: words, or NULL when it says that all is well. */
const char *vault_health(long status);

struct str vault_handle_write(struct question *q, const struct vault_handle *h);
int vault_handle_read(struct str from, struct vault_handle *ret) MUST_CHECK; /* 0 or -EBADMSG */

#endif
