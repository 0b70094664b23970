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
/* "https://SERVICE.REGION.amazonaws.com/", in that region's partition. */
struct str aws_endpoint(struct question *q, const char *service, struct str region);

#endif
