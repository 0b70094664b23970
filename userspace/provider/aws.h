/* SPDX-License-Identifier: Apache-2.0 */
/* What the two providers of AWS share. */
#ifndef EGRET_PROVIDER_AWS_H
#define EGRET_PROVIDER_AWS_H

#include "provider/http.h"

struct aws_keys {
	struct str access_key, secret, session; /* session n = 0: keys that last */
	int64_t expires_ms;
};

/* AssumeRoleWithWebIdentity with the job's own token. 0 or -errno with a sentence. */
int aws_assume(struct question *q, struct aws_keys *ret) MUST_CHECK;
/* What it comes to when sts has answered, whatever it said; duration: seconds that were asked for.
 */
int aws_answer(struct question *q, const struct http_ask *ask, const struct http_answer *got,
	       int64_t duration, struct aws_keys *ret) MUST_CHECK;
/* "https://SERVICE.REGION.amazonaws.com/", in that region's partition. */
struct str aws_endpoint(struct question *q, const char *service, struct str region);

#endif
