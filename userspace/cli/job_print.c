/* SPDX-License-Identifier: Apache-2.0 */
/* See job_print.h. Labels were chosen by whoever started the job: they are escaped before they
 * reach a terminal. */
#include "cli/job_print.h"

#include "base/clock.h"
#include "base/proto.h"

#include <stdio.h>
#include <string.h>

static const struct {
	uint16_t tag;
	const char *name;
} texts[] = {
	{ TAG_JOB_NAME, "id" },	  { TAG_STATE, "state" },	   { TAG_NET, "net" },
	{ TAG_POLICY, "policy" }, { TAG_DIGEST, "policy_digest" }, { TAG_CONFINED, "confinement" },
	{ TAG_CGROUP, "cgroup" }, { TAG_RUN_DIR, "trust_dir" }
};
static const struct {
	uint16_t tag;
	const char *name;
} numbers[] = { { TAG_UID, "uid" }, { TAG_PID, "pid" }, { TAG_PROXY_PID, "proxy_pid" } };
static const char *const assurances[] = { "unverified", "runner", "signed" };

static struct str text_of(const struct msg_in *m, uint16_t tag)
{
	struct str s = STR("");

	(void)!msg_get_str(m, tag, PROTO_TEXT_MAX, &s);
	return s;
}

static void shown(struct str s)
{
	char text[1024];

	text_escape(text, sizeof(text), s);
	fputs(text, stdout);
}

void json_print_text(struct str s)
{
	size_t i;

	putchar('"');
	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void age(const struct msg_in *m, char *to, size_t n)
{
	uint64_t started = 0, now = clock_wall_us(), s;

	(void)!msg_get_u64(m, TAG_STARTED, &started);
	s = now > started ? (now - started) / 1000000 : 0;
	if (s < 120)
		snprintf(to, n, "%llus", (unsigned long long)s);
	else if (s < 7200)
		snprintf(to, n, "%llum", (unsigned long long)(s / 60));
	else
		snprintf(to, n, "%lluh", (unsigned long long)(s / 3600));
}

/* "kind id state trust netns" in pieces; trust is words. Members' ids come from engines. */
struct member {
	struct str kind, id, state, trust, netns;
};

static struct str word(struct str *rest)
{
	const char *blank = rest->n ? memchr(rest->p, ' ', rest->n) : NULL;
	struct str w = { rest->p, blank ? (size_t)(blank - rest->p) : rest->n };

	*rest = blank ? (struct str){ blank + 1, rest->n - w.n - 1 } : STR("");
	return w;
}

static struct member member_of(struct str s)
{
	struct member m = { .kind = word(&s) };
	const char *last;

	m.id = word(&s);
	m.state = word(&s);
	last = s.n ? memrchr(s.p, ' ', s.n) : NULL;
	m.netns = last ? (struct str){ last + 1, s.n - (size_t)(last + 1 - s.p) } : s;
	m.trust = last ? (struct str){ s.p, (size_t)(last - s.p) } : STR("");
	return m;
}

static unsigned members(const struct msg_in *m)
{
	struct str s;
	size_t at = 0;
	unsigned n = 0;

	while (msg_each(m, TAG_MEMBER, &at, &s))
		n++;
	return n;
}

static void print_members(const struct msg_in *m)
{
	struct str s;
	size_t at = 0;

	while (msg_each(m, TAG_MEMBER, &at, &s)) {
		struct member one = member_of(s);

		printf("\n%-14s ", "member");
		shown(one.kind);
		putchar(' ');
		shown((struct str){
			one.id.p, one.id.n > 12 && str_is(one.kind, "container") ? 12 : one.id.n });
		putchar(' ');
		shown(one.state);
		printf(", trust: ");
		shown(one.trust);
		printf(", netns ");
		shown(one.netns);
	}
}

static void print_members_json(const struct msg_in *m)
{
	struct str s;
	size_t at = 0, i;
	bool first = true;

	for (; msg_each(m, TAG_MEMBER, &at, &s); first = false) {
		struct member one = member_of(s);
		const struct {
			const char *key;
			struct str value;
		} parts[] = { { "kind", one.kind },
			      { "id", one.id },
			      { "state", one.state },
			      { "trust", one.trust },
			      { "netns", one.netns } };

		printf("%s{", first ? "" : ",");
		for (i = 0; i < ARRAY_SIZE(parts); i++) {
			printf("%s\"%s\":", i ? "," : "", parts[i].key);
			json_print_text(parts[i].value);
		}
		putchar('}');
	}
}

void job_print_head(void)
{
	printf("%-15s %-9s %-12s %-5s %-7s %-24s %6s  %s\n", "JOB", "STATE", "CONFINEMENT", "NET",
	       "MEMBERS", "POLICY", "AGE", "FACTS");
}

void job_print_row(const struct msg_in *m)
{
	char since[24];
	struct str fact;
	size_t at = 0;

	age(m, since, sizeof(since));
	printf("%-15.*s %-9.*s %-12.*s %-5.*s ", STR_ARG(text_of(m, TAG_JOB_NAME)),
	       STR_ARG(text_of(m, TAG_STATE)), STR_ARG(text_of(m, TAG_CONFINED)),
	       STR_ARG(text_of(m, TAG_NET)));
	printf("%-7u %-24.*s %6s ", members(m), STR_ARG(text_of(m, TAG_POLICY)), since);
	while (msg_each(m, TAG_FACT, &at, &fact)) {
		putchar(' ');
		shown(fact);
	}
	putchar('\n');
}

void job_print_whole(const struct msg_in *m)
{
	uint64_t v = 0;
	char since[24];
	struct str s;
	size_t i, at = 0;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		printf("%-14s ", texts[i].name);
		shown(text_of(m, texts[i].tag));
		putchar('\n');
	}
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		if (msg_get_u64(m, numbers[i].tag, &v) == 0)
			printf("%-14s %llu\n", numbers[i].name, (unsigned long long)v);
	age(m, since, sizeof(since));
	printf("%-14s %s\n", "age", since);
	printf("%-14s", "walls");
	while (msg_each(m, TAG_WALL, &at, &s))
		printf(" %.*s", STR_ARG(s));
	v = 0;
	(void)!msg_get_u64(m, TAG_ASSURANCE, &v);
	printf("\n%-14s", "facts");
	at = 0;
	while (msg_each(m, TAG_FACT, &at, &s)) {
		putchar(' ');
		shown(s);
	}
	printf("\n%-14s %s", "assurance", assurances[v < 3 ? v : 0]);
	if (text_of(m, TAG_TIER).n) {
		printf("\n%-14s ", "because");
		shown(text_of(m, TAG_TIER));
	}
	print_members(m);
	putchar('\n');
}

void job_print_json(const struct msg_in *m)
{
	char started[CLOCK_TEXT_MAX];
	uint64_t v = 0;
	struct str s;
	size_t i, at = 0;
	bool first = true;

	putchar('{');
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		printf("%s\"%s\":", i ? "," : "", texts[i].name);
		json_print_text(text_of(m, texts[i].tag));
	}
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		if (msg_get_u64(m, numbers[i].tag, &v) == 0)
			printf(",\"%s\":%llu", numbers[i].name, (unsigned long long)v);
	v = 0;
	(void)!msg_get_u64(m, TAG_STARTED, &v);
	clock_text(v, started);
	v = 0;
	(void)!msg_get_u64(m, TAG_ASSURANCE, &v);
	printf(",\"started\":\"%s\",\"assurance\":\"%s\",\"walls\":[", started,
	       assurances[v < 3 ? v : 0]);
	for (; msg_each(m, TAG_WALL, &at, &s); first = false) {
		printf("%s", first ? "" : ",");
		json_print_text(s);
	}
	printf("],\"because\":");
	json_print_text(text_of(m, TAG_TIER));
	printf(",\"members\":[");
	print_members_json(m);
	printf("],\"facts\":{");
	for (at = 0, first = true; msg_each(m, TAG_FACT, &at, &s); first = false) {
		const char *eq = memchr(s.p, '=', s.n);
		size_t n = eq ? (size_t)(eq - s.p) : s.n;

		printf("%s", first ? "" : ",");
		json_print_text((struct str){ s.p, n });
		putchar(':');
		json_print_text(eq ? (struct str){ eq + 1, s.n - n - 1 } : STR(""));
	}
	printf("}}");
}
