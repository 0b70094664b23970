/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a decision costs: ns for one policy_request, for policies of 10, 200, 2,000 and 10,000
 * rules, each spread over many hosts or all on one, where the rule that fits is the last one
 * written; and a refusal. Median of 5 rounds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "policy/compile.h"
#include "policy/scan.h"

#define ROUNDS 5

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double measure(const struct policy *p, const struct request_query *q, unsigned times,
		      enum event_verdict want)
{
	double rounds[ROUNDS];
	struct verdict v;

	for (int r = 0; r < ROUNDS; r++) {
		uint64_t start = clock_now_us();

		for (unsigned i = 0; i < times; i++) {
			policy_request(p, q, &v);
			if (v.verdict != want)
				exit(1);
		}
		rounds[r] = (double)(clock_now_us() - start) * 1000 / times;
	}
	qsort(rounds, ROUNDS, sizeof(*rounds), by_value);
	return rounds[ROUNDS / 2];
}

static void one(unsigned rules, bool one_host)
{
	char path[64], host[64];
	struct request_query q = { .scheme = SCHEME_HTTPS, .port = 443, .method = STR("GET") };
	struct compiled c;
	struct source s = { SOURCE_POLICY, STR("bench.json"), { 0 } };
	struct policy p;
	struct buf text;
	double allow, deny;
	uint64_t start;
	int r;

	buf_init(&text, SOURCE_SIZE_MAX);
	r = buf_addf(&text, "{ \"rules\": [");
	for (unsigned i = 0; i < rules && r == 0; i++)
		r = buf_addf(&text,
			     "{ \"id\": \"r%u\", \"allow\": \"READ "
			     "https://h%u.bench.example/repos/acme/p%u/**\" },\n",
			     i, one_host ? 0 : i, i);
	if (r == 0)
		r = buf_addf(&text, "{ \"id\": \"w\", \"allow\": \"READ "
				    "https://**.cdn.example/**\" }, { \"id\": \"n\", \"deny\": "
				    "\"https://h0.bench.example/gists/**\" } ] }");
	s.text = buf_str(&text);
	start = clock_now_us();
	if (r < 0 || policy_compile(&s, 1, 0, &c) < 0 || policy_open(c.policies[0], &p) < 0)
		exit(1);
	start = clock_now_us() - start;
	snprintf(host, sizeof(host), "h%u.bench.example", one_host ? 0 : rules - 1);
	snprintf(path, sizeof(path), "/repos/acme/p%u/contents/x", rules - 1);
	q.host = str_of(host);
	q.path = str_of(path);
	allow = measure(&p, &q, 20000, VERDICT_ALLOW);
	q.method = STR("POST");
	deny = measure(&p, &q, 2000, VERDICT_DENY);
	printf("%5u rules, %-10s  allow %7.0f ns  deny with nearest %8.0f ns  compile and open "
	       "%6.1f ms  image %zu bytes\n",
	       rules, one_host ? "one host" : "many hosts", allow, deny, (double)start / 1000, p.n);
	compiled_done(&c);
	buf_done(&text);
}

int main(void)
{
	static const unsigned sizes[] = { 10, 200, 2000, 10000 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		one(sizes[i], false);
		one(sizes[i], true);
	}
	return 0;
}
