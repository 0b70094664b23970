/* SPDX-License-Identifier: Apache-2.0 */
/* See jobtoken.h. Called by aws.c, vault.c and the two of oauth2. */
#include "provider/jobtoken.h"

#include "provider/http.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>

#define SKEW_S 300 /* this host's clock may be ahead by so much: then the server says it */

static bool base64url_decode(struct question *q, struct str in, struct str *ret)
{
	char *to = arena_new(&q->arena, in.n / 4 * 3 + 4);
	uint32_t v = 0;
	unsigned bits = 0;
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];
		int d;

		if (c >= 'A' && c <= 'Z')
			d = c - 'A';
		else if (c >= 'a' && c <= 'z')
			d = c - 'a' + 26;
		else if (c >= '0' && c <= '9')
			d = c - '0' + 52;
		else if (c == '-' || c == '_')
			d = c == '-' ? 62 : 63;
		else
			return false;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			to[n++] = (char)(v >> bits & 0xff);
		}
	}
	*ret = (struct str){ to, n };
	return true;
}

const struct node *job_token_claims(struct question *q)
{
	const char *dot = q->token.n ? memchr(q->token.p, '.', q->token.n) : NULL, *end;
	const struct node *root;
	struct str text;

	if (!dot)
		return NULL;
	dot++;
	end = memchr(dot, '.', (size_t)(q->token.p + q->token.n - dot));
	if (!end || !base64url_decode(q, (struct str){ dot, (size_t)(end - dot) }, &text))
		return NULL;
	root = node_json(q, text);
	return root && root->kind == NODE_OBJECT ? root : NULL;
}

int64_t job_token_ends(struct question *q)
{
	int64_t ends;

	return node_whole(job_token_claims(q), "exp", &ends) && ends > 0 &&
			       ends < INT64_MAX / 1000000
		       ? ends
		       : 0;
}

int job_token_over(struct question *q, const char *how)
{
	return question_fail(q, -ENOKEY,
			     "the job's ID token has ended (%s), and a job that runs is given no "
			     "other: nothing more can be made with it; what it made lasts longer "
			     "with a longer ttl",
			     how);
}

int job_token_need(struct question *q)
{
	char how[64] = "";
	int64_t ends;
	struct tm tm;
	time_t t;

	if (!q->token.n)
		return question_fail(q, -ENOKEY,
				     "the job has no ID token of its own: its hook gets one where "
				     "the credential says token_audience");
	ends = job_token_ends(q);
	t = (time_t)ends;
	if (!ends || ends + SKEW_S > q->now || !gmtime_r(&t, &tm))
		return 0;
	if (!strftime(how, sizeof(how), "at %Y-%m-%dT%H:%M:%SZ", &tm))
		how[0] = 0;
	return job_token_over(q, how);
}
