/* SPDX-License-Identifier: Apache-2.0 */
/* Which answers hand out credentials, by protocol: what derive.c asks first. */
#ifndef EGRET_PROXY_DERIVE_TABLE_H
#define EGRET_PROXY_DERIVE_TABLE_H

#include "proxy/exchange.h"

enum answer_form {
	ANSWER_TOKENS, /* JSON or an urlencoded form: the values of these keys, at any depth */
	ANSWER_LFS,    /* JSON: the headers and signed links of a batch's actions */
	ANSWER_ECR,    /* JSON: base64 of user:password */
	ANSWER_STS     /* keys that sign requests: no mark can stand for them */
};

struct protocol {
	unsigned methods;	/* one of these; 0: GET */
	const char *host_begin; /* NULL: any */
	const char *path_begin, *path_end;
	const char *target_end; /* of X-Amz-Target */
	const char *query_key;	/* stands in the query */
	enum answer_form form;
	const char *keys; /* between blanks; NULL: another form */
	bool guess;	  /* what says by its type that it is no JSON passes */
};

/* Whose answer it is to this request, that came with a credential; NULL: none of the table's.
 * *ret_registry: the host that its tokens are for, or n = 0. */
const struct protocol *derive_protocol(const struct session *s, struct str *ret_registry);
/* Is the word one of a list between blanks? */
bool derive_listed(const char *list, struct str word);

#endif
