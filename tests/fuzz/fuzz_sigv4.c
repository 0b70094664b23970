/* SPDX-License-Identifier: Apache-2.0 */
/* What the signer reads of a job: Authorization, target and fields, signed streams. A stream comes
 * out as long as it went in, and the same wherever it is cut. */
#include <errno.h>
#include <stdlib.h>

#include "sigv4/chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const uint8_t key[SIGV4_KEY] = { 1 };

static int stream(struct str in, bool trailer, size_t step, struct buf *out, bool *ret_ended)
{
	static const char seed[] =
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	struct sigv4_chunked c;
	int r = 0;

	sigv4_chunked_init(&c, trailer, "20130524T000000Z", STR("20130524/us-east-1/s3"), seed);
	for (size_t at = 0; r == 0 && at < in.n; at += step)
		r = sigv4_chunked_feed(
			&c, key, (struct str){ in.p + at, in.n - at < step ? in.n - at : step },
			out);
	if (r < 0 && (r != -EBADMSG || !c.why))
		abort();
	*ret_ended = sigv4_chunked_ended(&c);
	sigv4_chunked_done(&c);
	return r;
}

static void both(struct str in, bool trailer)
{
	struct buf a, b;
	bool x, y;
	int r, s;

	buf_init(&a, in.n + 256);
	buf_init(&b, in.n + 256);
	r = stream(in, trailer, in.n, &a, &x);
	s = stream(in, trailer, 3, &b, &y);
	if (r != s || (r == 0 && (x != y || a.n != b.n || (a.n && memcmp(a.p, b.p, a.n) != 0))))
		abort();
	if (r == 0 && x && a.n != in.n)
		abort();
	buf_done(&a);
	buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str all = { (const char *)data + 1, n ? n - 1 : 0 };
	struct field f[2] = { { .name = STR("host"), .value = all },
			      { .name = STR("x-amz-date"), .value = STR("x") } };
	struct sigv4_request r = { .method = STR("GET"),
				   .path = all,
				   .query = all,
				   .fields = f,
				   .n = 2,
				   .payload = STR("x") };
	char signature[SIGV4_HEX + 1];
	struct sigv4_said said;
	int e;

	if (n < 2)
		return 0;
	if (sigv4_read(all, &said) == 0 && (!said.access_key.n || !said.parts.service.n))
		abort();
	r.s3 = data[0] & 1;
	e = sigv4_sign(&r, key, "20130524T000000Z", STR("20130524/us-east-1/s3"), signature);
	if (e < 0 && e != -E2BIG)
		abort();
	both(all, data[0] & 2);
	return 0;
}
