/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused of a credential's file, for test_load.c. */
#ifndef UNIT_POLICY_LOAD_CREDENTIALS_H
#define UNIT_POLICY_LOAD_CREDENTIALS_H

#include "unit/policy/load_direct.h"

#define VAULT(address, auth)                                                \
	"{ \"name\": \"c\", \"provider\": \"vault\", \"address\": " address \
	", \"path\": \"kv/data/x\", \"auth\": { " auth " } }"
#define VAULT_PATH(path, mount)                                                            \
	"{ \"name\": \"c\", \"provider\": \"vault\", \"address\": \"https://v.example\", " \
	"\"path\": \"" path "\", \"auth\": { \"method\": \"jwt\", \"role\": \"r\", "       \
	"\"mount\": \"" mount "\" } }"
#define CRED(rest) "{ \"name\": \"c\", \"provider\": \"store\", \"value\": \"store:s\", " rest " }"
#define INJECT "\"inject\": { \"header\": \"Authorization\", \"format\": \"Bearer {token}\" }"
#define PUT(place) \
	CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"], \"inject\": { " place " }")
#define SWAP(place)                                                                   \
	CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"], \"inject\": { " place \
	     " }, \"placeholder\": { \"value\": \"egret__c__\" }")
#define MTLS(rest)                                                                                 \
	"{ \"name\": \"c\", \"provider\": \"mtls\", \"cert\": \"store:c\", \"key\": \"store:k\", " \
	"\"for\": \"any\", \"hosts\": [\"a.example.net\"]" rest " }"
#define AWS(rest)                                                                 \
	"{ \"name\": \"c\", \"provider\": \"aws\", \"for\": \"any\", \"hosts\": " \
	"[\"**.amazonaws.com\"], \"role_arn\": \"arn:aws:iam::1:role/r\", " rest " }"
#define SIGN "\"inject\": { \"sigv4\": true }"
static const struct row credentials[] = {
	{ CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"], " INJECT), NULL },
	{ CRED("\"hosts\": [\"a.example.net\"], " INJECT), "1:1: for: is missing" },
	{ CRED("\"for\": [], \"hosts\": [\"a.example.net\"], " INJECT),
	  "1:64: for: must have 1 to 256 entries" },
	{ CRED("\"for\": [ {} ], \"hosts\": [\"a.example.net\"], " INJECT),
	  "1:66: for: an entry without a fact" },
	{ CRED("\"for\": \"any\", " INJECT), "1:1: hosts: is missing" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"a.example.net:443\"], " INJECT),
	  "1:81: hosts: must be a host's name" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"10.0.0.1\"], " INJECT),
	  "1:81: hosts: a credential goes to names" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"*.com\"], " INJECT),
	  "1:81: hosts: a public suffix" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"]"), "1:1: inject: must say where" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"], \"inject\": { \"header\": "
	       "\"Host\", \"format\": \"{token}\" }"),
	  "1:121: header: this header belongs to the connection" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"], \"inject\": { \"header\": "
	       "\"X-A\", \"format\": \"token\" }"),
	  "1:138: format: must be printable ASCII with {token} once" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"], \"inject\": { \"header\": "
	       "\"X-A\", \"format\": \"{token}\\r\\nX: y\" }"),
	  "1:138: format: must be printable ASCII" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"], \"inject\": { \"hosts\": "
	       "[\"b.example.net\"], \"basic\": \"u:{token}\" }"),
	  "1:120: hosts: \"b.example.net\" is not among the credential's hosts" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"], \"inject\": { \"header\": "
	       "\"X-A\" }"),
	  "1:121: header: needs a format" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"], \"ttl\": \"10\", " INJECT),
	  "1:106: ttl: must be a time" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"], \"tier\": \"confind\", " INJECT),
	  "1:107: tier: unknown word \"confind\"; did you mean \"confined\"?" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"], \"tier\": true, " INJECT),
	  "1:107: tier: must be a string" },
	{ PUT("\"query\": \"key\", \"format\": \"{token}\""), NULL },
	{ PUT("\"query\": \"key\""), "1:120: query: needs a format" },
	{ PUT("\"query\": \"\", \"format\": \"{token}\""),
	  "1:120: query: must be a name of 1 to 128" },
	{ PUT("\"query\": \"a\", \"basic\": \"u:{token}\""),
	  "1:109: inject: has exactly one of header" },
	{ PUT("\"json\": \"/a\""), "1:119: json: needs a placeholder to swap" },
	{ PUT("\"form\": \"a\""), "1:119: form: needs a placeholder to swap" },
	{ SWAP("\"json\": \"/auth/0/to~1ken~0\""), NULL },
	{ SWAP("\"json\": \"/a\", \"format\": \"{token}\""),
	  "1:135: format: stands with header and query only" },
	{ SWAP("\"json\": \"auth\""), "1:119: json: must be a JSON pointer such as" },
	{ SWAP("\"json\": \"\""), "1:119: json: must be a JSON pointer such as" },
	{ SWAP("\"json\": \"/a~2\""), "1:119: json: '~' is written ~0" },
	{ SWAP("\"json\": \"/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3\""),
	  "1:119: json: leads more than 32 levels down" },
	{ SWAP("\"form\": \"pass word\""), NULL },
	{ SWAP("\"query\": \"key\""), NULL },
	{ SWAP("\"jsn\": \"/a\""), "1:111: jsn: unknown key \"jsn\"; did you mean \"json\"?" },
	{ AWS("\"region\": \"eu-west-1\", " SIGN), NULL },
	{ AWS("\"region\": [\"eu-west-1\", \"us-east-1\"], " SIGN), NULL },
	{ AWS("\"region\": \"eu-west-1/s3\", " SIGN), "1:1: region: must be a region such as" },
	{ AWS(SIGN), "1:1: region: is missing" },
	{ AWS("\"region\": \"eu-west-1\", \"session_name\": \"a b\", " SIGN),
	  "1:1: session_name: must be 2 to 64" },
	{ AWS("\"region\": \"eu-west-1\", \"inject\": { \"sigv4\": false }"),
	  "1:161: sigv4: is true, or left out" },
	{ AWS("\"region\": \"eu-west-1\", \"inject\": { \"sigv4\": \"yes\" }"),
	  "1:161: sigv4: must be true" },
	{ AWS("\"region\": \"eu-west-1\", " INJECT),
	  "1:152: header: the keys of provider \"aws\" never go out" },
	{ PUT("\"sigv4\": true"), "1:120: sigv4: needs the provider \"aws\"" },
	{ MTLS(""), NULL },
	{ MTLS(", \"inject\": { \"basic\": \"u:{token}\" }"),
	  "1:115: inject: is left out with mtls" },
	{ CRED("\"for\": \"any\", \"hosts\": [\"a.example.net\"], \"opaque_answers\": "
	       "\"pas\", " INJECT),
	  "1:117: opaque_answers: unknown word \"pas\"; did you mean \"pass\"?" },
	{ "{ \"name\": \"c\", \"provider\": \"vault\" }", "1:1: address: is missing" },
	{ VAULT("\"http://v.example.net\"", "\"method\": \"jwt\""),
	  "1:48: address: must be an address \"https://HOST...\"" },
	{ VAULT("\"https://u@v.example.net\"", "\"method\": \"jwt\""),
	  "1:48: address: must be an address \"https://HOST...\"" },
	{ VAULT("\"https://v.example.net\"", "\"method\": \"jwtt\""),
	  "1:114: method: unknown word \"jwtt\"; did you mean \"jwt\"?" },
	{ VAULT("\"https://v.example.net\"", "\"methd\": \"jwt\""),
	  "1:104: methd: unknown key \"methd\"; did you mean \"method\"?" },
	{ VAULT("\"https://v.example.net\"", "\"method\": \"jwt\""),
	  "1:1: auth.role: is missing: jwt logs in to a role" },
	{ VAULT("\"https://v.example.net\"", "\"method\": \"approle\", \"role_id\": \"r\""),
	  "1:1: auth.secret_id: is missing: approle logs in" },
	{ VAULT("\"https://v.example.net\"",
		"\"method\": \"approle\", \"role_id\": \"r\", \"secret_id\": \"s3cret\""),
	  "1:154: secret_id: must be \"store:NAME\" or \"file:/PATH\" (a file of root's), never "
	  "the" },
	{ "{ \"name\": \"c\", \"provider\": \"file\", \"path\": \"etc/t\" }",
	  "1:44: path: must be a whole path" },
	{ "{ \"name\": \"c\", \"provider\": \"exec\", \"argv\": [\"pass\", \"x\"] }",
	  "1:44: argv: the program is named by its whole path" },
	{ "{ \"name\": \"c\", \"provider\": \"exec\", \"argv\": [\"/bin/p\"], \"timeout\": \"2h\" "
	  "}",
	  "1:67: timeout: must be a time of at most 60s" },
	{ "{ \"name\": \"c\", \"provider\": \"oauth2\", \"grant\": \"client_credentials\" }",
	  "1:1: token_url: has exactly one of token_url and issuer" },
	{ "{ \"name\": \"c\", \"provider\": \"oauth2\", \"grant\": \"jwt-bearer\", \"issuer\": "
	  "\"https://i.example\" }",
	  "1:1: token_audience: is missing: the job's own ID token is asked for" },
	{ "{ \"name\": \"c\", \"provider\": \"oauth2\", \"grant\": \"client_credentials\", "
	  "\"issuer\": \"https://i.example\", \"client_id\": \"c\", \"client_auth_method\": "
	  "\"job-token\" }",
	  "1:1: token_audience: is missing: the job's own ID token is asked for" },
	{ VAULT_PATH("/kv/data/x", "jwt"), "1:1: path: is a path below /v1/" },
	{ VAULT_PATH("kv/data/x/", "jwt"), "1:1: path: is a path below /v1/" },
	{ VAULT_PATH("kv/../sys/raw", "jwt"), "1:1: path: is a path below /v1/" },
	{ VAULT_PATH("kv/data/x?version=1", "jwt"), "1:1: path: is a path below /v1/" },
	{ VAULT_PATH("kv/data/%2e%2e", "jwt"), "1:1: path: is a path below /v1/" },
	{ VAULT_PATH("kv/data/x", "../sys"), "1:1: auth.mount: is a path below /v1/" },
	{ "{ \"name\": \"c\", \"provider\": \"github-app\", \"app_id\": 1, \"key\": \"store:k\", "
	  "\"installation\": \"acme\", \"repositories\": [\"acme/web\"] }",
	  "1:1: repositories: are named without their owner" },
	{ "{ \"name\": \"c\", \"provider\": \"github-app\", \"app_id\": 0, \"key\": \"store:k\", "
	  "\"installation\": \"acme\" }",
	  "1:52: app_id: must be a number above 0" },
	{ "{ \"name\": \"c\", \"provider\": \"github-app\", \"app_id\": 1, \"key\": \"store:k\", "
	  "\"installation\": \"acme\", \"permissions\": { \"contents\": true } }",
	  "1:126: contents: must be a text of one line" },
	{ "{ \"name\": \"c\", \"provider\": \"store\", \"path\": \"/x\" }",
	  "1:37: path: unknown key \"path\"" },
	{ "{ \"name\": \"c\", \"provider\": \"stor\" }",
	  "1:28: provider: unknown provider \"stor\"; did you mean \"store\"?" },
};

#endif
