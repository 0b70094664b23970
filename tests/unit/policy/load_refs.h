/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of test_load.c about `refs`. */
#ifndef TEST_POLICY_LOAD_REFS_H
#define TEST_POLICY_LOAD_REFS_H

#include "unit/policy/load_direct.h"

static const struct row refs[] = {
	{ RULE("{ \"allow\": \"GIT-PUSH https://a.example.net\", \"refs\": [] }"),
	  "1:67: refs: must list 1 to 64 names or patterns" },
	{ RULE("{ \"allow\": \"GIT-PUSH https://a.example.net\", \"refs\": \"refs/tags/*\" }"),
	  "1:67: refs: must list 1 to 64 names or patterns" },
	{ RULE("{ \"allow\": \"GIT-PUSH https://a.example.net\", \"refs\": [1] }"),
	  "1:68: refs: must be a string" },
	{ RULE("{ \"allow\": \"GIT-PUSH https://a.example.net\", \"refs\": [\"main\"] }"),
	  "1:68: refs: write whole names: refs/heads/main" },
	{ RULE("{ \"allow\": \"GIT-PUSH https://a.example.net\", \"refs\": [\"refs/\"] }"),
	  "1:68: refs: write whole names" },
	{ RULE("{ \"allow\": \"GIT-PUSH https://a.example.net\", \"refs\": [\"refs/a//b\"] }"),
	  "1:68: refs: write whole names" },
	{ RULE("{ \"allow\": \"GIT-PUSH https://a.example.net\", \"refs\": [\"refs/a?\"] }"),
	  "1:68: refs: write whole names" },
	{ RULE("{ \"allow\": \"GIT-PUSH https://a.example.net\", \"refs\": [\"refs/a**\"] }"),
	  "1:68: refs: ** stands for whole segments only" },
	{ RULE("{ \"allow\": \"GIT-PUSH https://a.example.net\", \"refs\": [\"refs/**\", "
	       "\"refs/heads/*\", \"refs/tags/v*.*\"] }"),
	  NULL },
	{ RULE("{ \"deny\": \"GIT-PUSH https://a.example.net\", \"refs\": [\"refs/heads/main\"] }"),
	  NULL },
	{ RULE("{ \"allow\": \"GIT-FETCH https://a.example.net\", \"refs\": [\"refs/a\"] }"),
	  "1:60: refs: only a rule with the method GIT-PUSH alone has refs" },
	{ RULE("{ \"allow\": \"GIT-FETCH,GIT-PUSH https://a.example.net\", \"refs\": [\"refs/a\"] "
	       "}"),
	  "1:69: refs: only a rule with the method GIT-PUSH alone has refs" },
	{ RULE("{ \"allow\": \"POST https://a.example.net\", \"refs\": [\"refs/a\"] }"),
	  "1:55: refs: only a rule with the method GIT-PUSH alone has refs" },
	{ RULE("{ \"allow\": \"GIT-PUSH https://a.example.net/\" }"),
	  "1:25: allow: no repository: write its path" },
	{ RULE("{ \"id\": \"a\", \"allow\": \"GIT-PUSH https://a.example.net/r\", \"refs\": "
	       "[\"refs/tags/*\"] }, { \"id\": \"b\", \"allow\": \"GIT-PUSH "
	       "https://a.example.net/r.git\", \"refs\": [\"refs/heads/*\"] }"),
	  NULL },
	{ RULE("{ \"id\": \"a\", \"allow\": \"GIT-PUSH https://a.example.net/r\", \"refs\": "
	       "[\"refs/tags/*\"] }, { \"id\": \"b\", \"allow\": \"GIT-PUSH "
	       "https://a.example.net/r.git\", \"refs\": [\"refs/*/v1\"] }"),
	  "1:99: rules: \"a\" and \"b\" allow the same request" },
	{ RULE("{ \"id\": \"a\", \"allow\": \"GIT-PUSH https://a.example.net/r\", \"refs\": "
	       "[\"refs/tags/*\"] }, { \"id\": \"b\", \"allow\": \"GIT-PUSH "
	       "https://a.example.net/r\", \"credential\": \"x\", \"refs\": "
	       "[\"refs/heads/*\"] }"),
	  "1:99: rules: \"a\" and \"b\" allow the same request" },
	{ RULE("{ \"id\": \"a\", \"allow\": \"GIT-PUSH https://a.example.net/r\" }, { \"id\": "
	       "\"b\", \"allow\": \"GIT-PUSH https://a.example.net/r/\", \"refs\": "
	       "[\"refs/heads/*\"] }"),
	  "1:74: rules: \"a\" and \"b\" allow the same request" },
};

#endif
