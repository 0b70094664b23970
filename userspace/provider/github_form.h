/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said to GitHub as an App, and what its answers mean. Asks nobody; called by github.c.
 * Hostile bytes: every answer. Sentences have words from a list of ours, and names that are of
 * plain form.
 */
#ifndef EGRET_PROVIDER_GITHUB_FORM_H
#define EGRET_PROVIDER_GITHUB_FORM_H

#include "provider/provider.h"

#define GITHUB_TOKEN_MAX 4096

struct github_token {
	struct str token;
	int64_t expires; /* the server's clock, seconds */
};

/* The claims of the App's own token: issued a minute ago, good for nine more. now: the server's
 * clock as far as it is known. */
struct str github_claims(struct question *q, int64_t now);
/* What a token is asked for with: repositories and permissions, as far as the credential names
 * them. */
struct str github_body(struct question *q);

/* 0: a token in the form of one, whatever it may do; -EBADMSG with the sentence made. */
int github_token_read(struct question *q, const struct node *root,
		      struct github_token *ret) MUST_CHECK;
/* 0: it may do what was asked for and no more (metadata may always be read); -EACCES with the
 * sentence made. */
int github_token_fits(struct question *q, const struct node *root) MUST_CHECK;

/* A whole positive number that names an installation. */
bool github_is_id(struct str s);
/* The id in an answer about an installation: 0, -EACCES (suspended), -EBADMSG with the sentence. */
int github_installation(struct question *q, const struct node *root, int64_t *ret) MUST_CHECK;

/* How long a token is used, seconds, by one clock; 0: it is over. GitHub gives them for an hour, so
 * that one that says more is used no longer. */
int64_t github_left(int64_t expires, int64_t now);

/* "Sun, 22 Nov 2026 09:14:03 GMT" of a header. */
bool github_date(struct str s, int64_t *ret);

/* What a refusal means: a code and words of ours, "" when there are none. limited: a header said
 * that too much was asked. *ret_clock: it is about the time in the App's token. */
int github_fault(long status, const struct node *root, bool limited, const char **ret_words,
		 bool *ret_clock);

#endif
