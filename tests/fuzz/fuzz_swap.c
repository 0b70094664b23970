/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placeholders in bodies and queries: whatever a job writes, the value stands where a placeholder
 * of a named place was and every other byte is as it came. Reading the value back as the
 * placeholder gives the job's bytes again; what was JSON still is.
 */
#include <stdlib.h>

#include "http/json_walk.h"
#include "policy/compile.h"
#include "proxy/inject.h"

#define MARK "egret__gh__"
#define VALUE "VALUE-0123456789/+\"\\"
#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char text[] =
	"{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", \"for\": \"any\", "
	"\"hosts\": [\"a.test\"], \"inject\": [ { \"json\": \"/a\" }, { \"json\": \"/b/0/c~1\" }, "
	"{ \"form\": \"a\" }, { \"query\": \"a\" } ], \"placeholder\": { \"value\": \"" MARK
	"\" } }";

static int none(void *owner, const struct json_step *path, size_t depth, struct str s)
{
	char *to = malloc(s.n + 1);

	check(to && depth <= JSON_DEPTH && json_text_read(s, to) <= s.n);
	check(json_text_is(s, (struct str){ to, json_text_read(s, to) }));
	free(to);
	return 0;
}

/* The placeholder for each value, in what is sent. */
static size_t undone(char *to, struct str sent, struct str value)
{
	size_t n = 0;

	for (size_t i = 0; i < sent.n;) {
		if (sent.n - i >= value.n && memcmp(sent.p + i, value.p, value.n) == 0) {
			memcpy(to + n, MARK, sizeof(MARK) - 1);
			n += sizeof(MARK) - 1;
			i += value.n;
		} else {
			to[n++] = sent.p[i++];
		}
	}
	return n;
}

static void body(const struct credential *c, struct carrier *k)
{
	static const struct str coded[] = { [CARRIER_JSON] = { "VALUE-0123456789/+\\\"\\\\", 22 },
					    [CARRIER_FORM] = { "VALUE-0123456789%2F%2B%22%5C",
							       28 } };
	bool json = json_strings(k->body, none, NULL) == 0;
	char *sent, *back;
	size_t at = 0;

	if (!k->nparts) {
		check(!inject_in_body(c, STR("a.test"), k));
		return;
	}
	sent = malloc(k->length + 1);
	back = malloc(k->length * 2 + 1);
	check(sent && back);
	for (size_t i = 0; i < k->nparts; i++) {
		memcpy(sent + at, k->parts[i].p, k->parts[i].n);
		at += k->parts[i].n;
	}
	check(at == k->length);
	check(k->kind != CARRIER_JSON ||
	      (json && json_strings((struct str){ sent, at }, none, NULL) == 0));
	if (!memmem(k->body.p, k->body.n, "VALUE-", 6)) {
		at = undone(back, (struct str){ sent, at }, coded[k->kind]);
		check(at == k->body.n && memcmp(back, k->body.p, at) == 0);
	}
	free(sent);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct compiled compiled;
	static struct credential c;
	struct source src = { SOURCE_CREDENTIAL, STR("c.json"), { text, sizeof(text) - 1 } };
	struct head h = { .is_request = true };
	struct inject inj = { 0 };
	struct carrier k;
	struct arena a;
	int r;

	if (!c.p) {
		check(policy_compile(&src, 1, 0, &compiled) == 0);
		check(credential_open(compiled.credentials[0], &c) == 0);
		check(secret_arena_init(8u << 20) == 0);
	}
	if (n < 2 || n > 65536)
		return 0;
	arena_init(&a, 16u << 20);
	k = (struct carrier){ .head = &h, .arena = &a, .target = STR("/") };
	k.kind = data[0] % 3;
	if (k.kind == CARRIER_NONE)
		k.target = (struct str){ (const char *)data + 1, n - 1 };
	else
		k.body = (struct str){ (const char *)data + 1, n - 1 };
	inject_strip(&c, STR("a.test"), &k);
	if (!inject_body_doubt(&c, STR("a.test"), &k)) {
		r = inject_put(&c, STR("a.test"), STR(VALUE), &k, &inj);
		/* A target with control bytes is no target (target_canonical). */
		check(r == 0 || k.kind == CARRIER_NONE);
		if (r == 0 && k.kind == CARRIER_NONE)
			check(!inject_in_query(k.target, STR("a"), STR(MARK)));
		else if (k.kind)
			body(&c, &k);
	}
	inject_done(&inj);
	arena_done(&a);
	return 0;
}
