/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that hand out credentials: whatever an origin writes, what the job gets is the same bytes
 * but for marks, still reads as the same form, and holds nothing more to take out: taken apart once
 * more it stays as it is.
 */
#include <stdlib.h>
#include <unistd.h>

#include "http/json_walk.h"
#include "policy/compile.h"
#include "proxy/derive.h"
#include "proxy/derive_table.h"
#include "proxy/derived.h"

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char text[] =
	"{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", \"for\": \"any\", "
	"\"hosts\": [\"auth.test\", \"*.reg.test\"], \"inject\": { \"basic\": \"u:{token}\" } }";

/* One a form of the table, and one that a challenge named. */
static const struct {
	const char *method, *path, *query, *target, *type;
} asked[] = {
	{ "POST", "/oauth/token", "", NULL, "application/json" },
	{ "POST", "/oauth/token", "", NULL, "application/x-www-form-urlencoded" },
	{ "POST", "/o/r.git/info/lfs/objects/batch", "", NULL, "application/vnd.git-lfs+json" },
	{ "POST", "/", "", "Amazon_V2015.GetAuthorizationToken", "application/x-amz-json-1.1" },
	{ "GET", "/jwt", "service=hub+reg", NULL, "application/json" },
	{ "GET", "/jwt", "service=other", NULL, "application/json" },
	{ "PUT", "/-/user/org.couchdb.user:x", "", NULL, "application/json" },
};

static struct proxy px;

static void set_up(void)
{
	static struct compiled compiled;
	struct source src = { SOURCE_CREDENTIAL, STR("c.json"), { text, sizeof(text) - 1 } };
	static char bytes[65536];
	struct pack pack;
	ssize_t n;
	int fd;

	if (px.creds)
		return;
	check(secret_arena_init(8u << 20) == 0);
	check(policy_compile(&src, 1, 0, &compiled) == 0);
	check(pack_write(compiled.credentials, compiled.ncredentials, &fd) == 0);
	n = pread(fd, bytes, sizeof(bytes), 0);
	check(n > 0 && pack_open(bytes, (size_t)n, &pack) == 0);
	check(creds_new(&px, pack, &px.creds) == 0);
	derived_note_realm(creds_derived(px.creds), STR("hub.reg.test"),
			   STR("Bearer realm=\"https://auth.test/jwt\",service=\"hub reg\""));
	derived_note_realm(creds_derived(px.creds), STR("elsewhere.test"),
			   STR("Bearer realm=\"https://auth.test/jwt\",service=\"other\""));
}

static int none(void *owner, const struct json_step *path, size_t depth, struct str s)
{
	return 0;
}

/* What the job gets, put together; n = 0 and p NULL: refused. */
static struct str once(struct session *s, const struct head *h, struct str body)
{
	struct str *parts;
	size_t n = 0, whole = 0, at = 0;
	const char *why = NULL, *from = body.p;
	char *to;

	if (!derive_body(s, h, body, &parts, &n, &why)) {
		check(why && *why);
		return (struct str){ NULL, 0 };
	}
	check(n % 2 == 1);
	for (size_t i = 0; i < n; i++) {
		whole += parts[i].n;
		if (i % 2)
			continue;
		/* The origin's own bytes, in their order. */
		check(parts[i].p >= from && parts[i].n <= (size_t)(body.p + body.n - parts[i].p));
		from = parts[i].p + parts[i].n;
	}
	check(from == body.p + body.n);
	to = arena_new(&s->arena, whole + 1);
	for (size_t i = 0; i < n; at += parts[i++].n)
		memcpy(to + at, parts[i].p, parts[i].n);
	return (struct str){ to, whole };
}

static void whole(struct session *s, struct str body)
{
	struct str one, two;
	bool json = json_strings(body, none, NULL) == 0;

	one = once(s, &s->res.head, body);
	if (!one.p)
		return;
	check(!json || json_strings(one, none, NULL) == 0);
	two = once(s, &s->res.head, one);
	check(two.p && str_eq(one, two));
}

/* A field that can lead to or hold one. */
static void in_head(struct session *s, const char *name, struct str value)
{
	struct head *h = &s->res.head;
	const char *why = NULL;
	struct str was;

	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < 0x20)
			return; /* no field (h1.c, nghttp2) */
	h->n = 0;
	head_add(h, &s->arena, str_of(name), value);
	if (derive_head(s, h, &why) == DERIVE_REFUSE) {
		check(why && *why);
		return;
	}
	was = h->fields[0].value;
	check(derive_head(s, h, &why) != DERIVE_REFUSE && str_eq(was, h->fields[0].value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct session s;
	struct str body;
	char *bytes;
	unsigned of;

	set_up();
	if (n < 1 || n > 65536)
		return 0;
	s = (struct session){ .px = &px, .tls = true };
	arena_init(&s.arena, 64u << 20);
	of = data[0] % (ARRAY_SIZE(asked) + 2);
	/* Of its own size, so that a read behind it is seen. */
	bytes = malloc(n - 1 ? n - 1 : 1);
	check(bytes);
	memcpy(bytes, data + 1, n - 1);
	body = (struct str){ bytes, n - 1 };
	s.x.derived = -1;
	s.x.rq.origin.name_n = 1;
	s.x.rq.q.host = STR("auth.test");
	s.x.rq.q.path = str_of(asked[of % ARRAY_SIZE(asked)].path);
	s.x.rq.q.query = str_of(asked[of % ARRAY_SIZE(asked)].query);
	s.req.head.method = str_of(asked[of % ARRAY_SIZE(asked)].method);
	s.res.head.status = 200;
	if (of >= ARRAY_SIZE(asked)) {
		in_head(&s, of % 2 ? "location" : "set-cookie", body);
	} else {
		if (asked[of].target)
			head_add(&s.req.head, &s.arena, STR("x-amz-target"),
				 str_of(asked[of].target));
		head_add(&s.res.head, &s.arena, STR("content-type"), str_of(asked[of].type));
		whole(&s, body);
	}
	arena_done(&s.arena);
	free(bytes);
	return 0;
}
