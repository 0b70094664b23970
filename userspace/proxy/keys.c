/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container-credentials endpoint (http://169.254.170.2,
 * AWS_CONTAINER_CREDENTIALS_RELATIVE_URI): egret answers it, and nobody is asked. The keys in it
 * are good for nothing; what they sign is signed anew on its way (resign.c). Called by exchange.c;
 * the head is a job's.
 */
#include "proxy/keys.h"

#include "proxy/onward.h"

#include <stdio.h>
#include <time.h>

#define PLACEHOLDER_ID "EGRET0PLACEHOLDER000" /* of the form of one, and of nobody's */
#define PLACEHOLDER_SECRET "egret/placeholder/signs/nothing/00000000"
#define PLACEHOLDER_TOKEN "egret-placeholder-session-token"
#define LIFE_S 43200 /* then clients ask again */

static const uint8_t endpoint[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254, 170, 2 };

bool keys_asked(const struct session *s)
{
	const struct origin *o = &s->x.rq.origin;
	const struct credentials *creds = s->px->creds;

	if (s->tls || s->lane || o->explicit_proxy || o->name_n || !o->addr || o->port != 80 ||
	    memcmp(o->addr, endpoint, sizeof(endpoint)) != 0)
		return false;
	for (int i = 0; i < creds_count(creds); i++) {
		struct credential c = creds_at(creds, i);

		if (credential_provider(&c) == PROVIDER_AWS)
			return true;
	}
	return false;
}

void keys_answer(struct session *s)
{
	time_t end = (time_t)(clock_wall_us() / 1000000) + LIFE_S;
	bool known = str_is(s->x.rq.q.path, CREDENTIAL_AWS_PATH);
	struct tm tm = { 0 };
	char body[512];

	gmtime_r(&end, &tm);
	if (!known || !str_is(s->req.head.method, "GET")) {
		answer_fault(s, 404, REASON_CREDENTIAL,
			     "here are only placeholder keys, to be asked for by "
			     "GET " CREDENTIAL_AWS_PATH);
		return;
	}
	snprintf(body, sizeof(body),
		 "{\"AccessKeyId\":\"" PLACEHOLDER_ID "\",\"SecretAccessKey\":\"" PLACEHOLDER_SECRET
		 "\",\"Token\":\"" PLACEHOLDER_TOKEN
		 "\",\"Expiration\":\"%04d-%02d-%02dT%02d:%02d:%02dZ\"}",
		 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	answer_own(s, "application/json", str_of(body));
}
