/* SPDX-License-Identifier: Apache-2.0 */
/* A session (session_rig.h) with HTTP/2 on either side: the job's client and the origin are codecs
 * in this process. For test_h2_exchange.c and test_h2_again.c. */
#ifndef H2_RIG_H
#define H2_RIG_H

#include "session_rig.h"

#include "base/secret.h"

static const char policy_text[] =
	"{ \"version\": 1, \"name\": \"two\", \"mode\": \"enforce\", \"for\": [ { \"repo\": "
	"\"a/b\" } ], "
	"\"rules\": [ { \"id\": \"ok\", \"allow\": \"GET,HEAD,POST https://api.test/ok/**\" }, "
	"{ \"id\": \"any\", \"allow\": \"ANY https://api.test/any/**\" }, "
	"{ \"id\": \"no\", \"deny\": \"https://api.test/ok/no/**\" }, "
	"{ \"id\": \"own\", \"allow\": \"GET https://gh.test/**\", \"credential\": \"gh\" } ] }";
static const char credential_text[] =
	"{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", \"for\": \"any\", "
	"\"hosts\": [\"gh.test\"],\n"
	"\"inject\": [ { \"header\": \"Authorization\", \"format\": \"Bearer {token}\" } ] }";

static const struct h2_limits limits = { .header_bytes = 16384,
					 .header_count = 100,
					 .buffer_bytes = 16384,
					 .window = 65535,
					 .lanes = 100,
					 .idle_frames = 1000 };

/* The job's client and egret's server; egret's client (rig.h2) and the origin's server. */
static struct {
	struct h2 *job, *front, *origin;
	struct h2_lane *asked[16];
	unsigned n;
	unsigned over;
	unsigned refused;
} two;

static void on_kick(void *owner)
{
}

static void on_lane_over(void *owner)
{
	two.over++;
}

static void on_job_opened(void *owner, struct h2_lane *l)
{
	session_lane(&rig.px, l, true, &rig.where, on_lane_over, NULL);
}

static void on_origin_opened(void *owner, struct h2_lane *l)
{
	assert_true(two.n < ARRAY_SIZE(two.asked));
	two.asked[two.n++] = l;
}

static void on_refused(void *owner, const char *why)
{
	two.refused++;
}

static const struct h2_calls job_calls = { on_job_opened, on_refused, on_kick };
static const struct h2_calls origin_calls = { on_origin_opened, NULL, on_kick };

static bool pass(struct h2 *from, struct h2 *to)
{
	struct buf b;
	bool any;

	if (!from || !to)
		return false;
	buf_init(&b, 1 << 20);
	(void)h2_pull(from, &b);
	any = b.n > 0;
	if (any)
		(void)!h2_feed(to, b.p, b.n);
	buf_done(&b);
	return any;
}

static void spin(void)
{
	for (int quiet = 0; quiet < 3;) {
		bool any = pass(two.job, two.front);

		if (two.front)
			h2_run(two.front);
		any |= pass(rig.h2, two.origin);
		any |= pass(two.origin, rig.h2);
		if (rig.h2)
			h2_run(rig.h2);
		any |= pass(two.front, two.job);
		turn();
		quiet = any ? 0 : quiet + 1;
	}
}

static int up(void **state)
{
	memset(&two, 0, sizeof(two));
	return rig_up_with(policy_text, credential_text);
}

static void job_speaks_h2_of(const char *host)
{
	rig.where = (struct origin){ .synthetic = true, .port = 443, .name_n = strlen(host) };
	memcpy(rig.where.name, host, rig.where.name_n);
	two.front = h2_new(true, &limits, &job_calls, NULL);
	two.job = h2_new(false, &limits, &job_calls, NULL);
	spin();
}

__attribute__((unused)) static void job_speaks_h2(void)
{
	job_speaks_h2_of("api.test");
}

static void origin_speaks_h2(void)
{
	rig.h2 = h2_new(false, &limits, &origin_calls, NULL);
	two.origin = h2_new(true, &limits, &origin_calls, NULL);
	spin();
}

static void job_is_gone(void)
{
	if (two.front)
		h2_lose(two.front);
	two.front = h2_free(two.front);
	two.job = h2_free(two.job);
	spin();
}

static int down(void **state)
{
	job_is_gone();
	if (rig.served || rig.client >= 0)
		job_leaves();
	for (unsigned i = 0; i < two.n; i++)
		if (two.asked[i])
			h2_lane_close(two.asked[i]);
	h2_free(two.origin);
	if (rig.h2) {
		h2_lose(rig.h2);
		h2_free(rig.h2);
		rig.dialled = 0;
	}
	return rig_down();
}

__attribute__((unused)) static struct h2_lane *ask(const char *method, const char *host,
						   const char *path, struct field *fields, size_t n,
						   bool ends)
{
	struct head h = { .is_request = true, .method = str_of(method), .fields = fields, .n = n };
	struct h2_lane *l = h2_open(two.job);

	assert_int_equal(
		h2_lane_request(l, &h, STR("https"), str_of(host), str_of(path), ends, false), 0);
	spin();
	return l;
}

__attribute__((unused)) static const char *field_of(const struct h1 *m, const char *name)
{
	static char text[1024];
	const struct field *f = head_find(&m->head, name);

	snprintf(text, sizeof(text), "%.*s", f ? (int)f->value.n : 1, f ? f->value.p : "-");
	return text;
}

static void answer(struct h2_lane *l, unsigned status, struct field *fields, size_t n, bool ends)
{
	struct head h = { .status = status, .fields = fields, .n = n };

	assert_int_equal(h2_lane_answer(l, &h, ends), 0);
	spin();
}

#define FIELD(name, value)                       \
	{                                        \
		STR(name), STR(value), STR(name) \
	}
#define POST_H1 "POST /ok/a HTTP/1.1\r\nHost: api.test\r\n"

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

#endif
