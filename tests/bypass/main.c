// SPDX-License-Identifier: Apache-2.0
/*
 * The bypass program: all cases of tests/bypass/cases and what runs and judges them.
 *
 *	bypass list [--json]               which cases there are
 *	bypass list --early|--early-lsm    names: that begin early; of these what only LSM closes
 *	bypass list --crash                names: that want the enforcer killed
 *	bypass try NAME KEY=VALUE...       one case, here and now: by hand
 *	bypass agent                       inside the job: cases by request on standard input
 *	bypass drive ... -- COMMAND        the outside; COMMAND runs the agent (tests/bypass/run)
 *	bypass report tap|json|table FILE  what drive wrote, judged
 */
#include "bypass.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

extern const struct case_entry __start_bypass_cases[] __attribute__((weak));
extern const struct case_entry __stop_bypass_cases[] __attribute__((weak));

static struct bypass_case *sorted;

static int by_group_and_name(const void *a, const void *b)
{
	const struct bypass_case *x = a, *y = b;
	int d = strcmp(x->group, y->group);

	return d ? d : strcmp(x->name, y->name);
}

size_t case_count(void)
{
	return (size_t)(__stop_bypass_cases - __start_bypass_cases);
}

const struct bypass_case *case_at(size_t i)
{
	if (!sorted) {
		sorted = calloc(case_count() + 1, sizeof(*sorted));
		if (!sorted)
			abort();
		for (size_t n = 0; n < case_count(); n++) {
			sorted[n] = *__start_bypass_cases[n].c;
			sorted[n].name = __start_bypass_cases[n].name;
		}
		qsort(sorted, case_count(), sizeof(*sorted), by_group_and_name);
	}
	return &sorted[i];
}

const struct bypass_case *case_named(const char *name)
{
	for (size_t i = 0; i < case_count(); i++) {
		if (!strcmp(case_at(i)->name, name))
			return case_at(i);
	}
	return NULL;
}

static const struct {
	int setting;
	const char *name;
} settings[] = { { OWN, "own" }, { BRIDGE, "bridge" }, { NONE, "none" }, { HOST, "host" } };

const char *setting_name(int setting)
{
	for (size_t i = 0; i < 4; i++) {
		if (settings[i].setting == setting)
			return settings[i].name;
	}
	return "?";
}

int setting_of(const char *name)
{
	for (size_t i = 0; i < 4; i++) {
		if (!strcmp(settings[i].name, name))
			return settings[i].setting;
	}
	return 0;
}

const char *expect_name(enum expect e)
{
	return e == LEAKS ? "leaks" : e == IMPOSSIBLE ? "impossible" : "guest";
}

/* ---- requests ---- */

void request_init(struct request *r)
{
	struct target *t = &r->target;

	memset(r, 0, sizeof(*r));
	t->family = AF_INET;
	t->setting = OWN;
	t->early = -1;
	t->addr = r->addr;
	t->other = r->other;
	t->token = r->token;
	t->dev = r->dev;
	t->self = r->self;
	t->gateway = r->gateway;
	t->friend_ = r->friend_;
	t->late = r->late;
	t->run = r->run;
	t->abstract = r->abstract;
	t->host = r->host;
}

static bool is_key(const char *kv, const char *key)
{
	size_t n = strlen(key);

	return !strncmp(kv, key, n) && kv[n] == '=';
}

bool request_set(struct request *r, const char *kv)
{
	struct {
		const char *key;
		char *to;
		size_t room;
	} const texts[] = {
		{ "addr", r->addr, sizeof(r->addr) },
		{ "other", r->other, sizeof(r->other) },
		{ "token", r->token, sizeof(r->token) },
		{ "dev", r->dev, sizeof(r->dev) },
		{ "self", r->self, sizeof(r->self) },
		{ "gateway", r->gateway, sizeof(r->gateway) },
		{ "friend", r->friend_, sizeof(r->friend_) },
		{ "late", r->late, sizeof(r->late) },
		{ "run", r->run, sizeof(r->run) },
		{ "abstract", r->abstract, sizeof(r->abstract) },
		{ "host", r->host, sizeof(r->host) },
	};
	const char *value = strchr(kv, '=');

	if (!value)
		return false;
	value++;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (is_key(kv, texts[i].key)) {
			snprintf(texts[i].to, texts[i].room, "%s", value);
			return true;
		}
	}
	if (is_key(kv, "family"))
		r->target.family = *value == '6' ? AF_INET6 : AF_INET;
	else if (is_key(kv, "port"))
		r->target.port = (uint16_t)strtoul(value, NULL, 10);
	else if (is_key(kv, "host_port"))
		r->target.host_port = (uint16_t)strtoul(value, NULL, 10);
	else if (is_key(kv, "early"))
		r->target.early = (int)strtol(value, NULL, 10);
	else if (is_key(kv, "setting"))
		r->target.setting = setting_of(value);
	else
		return false;
	return true;
}

void request_write(const struct request *r, FILE *to)
{
	const struct target *t = &r->target;

	fprintf(to, "family=%d addr=%s other=%s port=%u token=%s dev=%s self=%s gateway=%s",
		t->family == AF_INET ? 4 : 6, t->addr, t->other, t->port, t->token, t->dev, t->self,
		t->gateway);
	fprintf(to, " friend=%s late=%s run=%s abstract=%s host_port=%u host=%s setting=%s",
		t->friend_, t->late, t->run, t->abstract, t->host_port, t->host,
		setting_name(t->setting));
}

/* ---- words out ---- */

void json_text(FILE *to, const char *s)
{
	fputc('"', to);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(to, "\\%c", *s);
		else if ((unsigned char)*s < 32)
			fprintf(to, "\\u%04x", (unsigned)*s);
		else
			fputc(*s, to);
	}
	fputc('"', to);
}

void attempt_write(const struct attempt *a, FILE *to)
{
	const char *err = a->err ? strerrorname_np(a->err) : "";

	fprintf(to, "{\"errno\":\"%s\",\"said\":", err ? err : "?");
	json_text(to, a->said);
	fprintf(to, ",\"absent\":%s}", a->absent ? "true" : "false");
}

static void settings_write(unsigned settings, const char *sep, FILE *to)
{
	const char *before = "";

	for (unsigned s = OWN; s <= HOST; s <<= 1) {
		if (settings & s) {
			fprintf(to, "%s%s%s%s", before, *sep == '"' ? "\"" : "",
				setting_name((int)s), *sep == '"' ? "\"" : "");
			before = ",";
		}
	}
}

static int list_main(const char *how)
{
	bool json = !strcmp(how, "--json"), early_lsm = !strcmp(how, "--early-lsm");
	bool early = early_lsm || !strcmp(how, "--early"), crash = !strcmp(how, "--crash");

	for (size_t i = 0; i < case_count() && (early || crash); i++) {
		const struct bypass_case *c = case_at(i);

		if (crash ? c->crash
			  : c->before && c->settings & HOST && (!early_lsm || c->lsm_only))
			puts(c->name);
	}
	if (early || crash)
		return 0;
	for (size_t i = 0; i < case_count(); i++) {
		const struct bypass_case *c = case_at(i);

		if (!json) {
			printf("%-10s %-28s %-10s v%s%s ", c->group, c->name,
			       expect_name(c->expect), c->families & FOUR ? "4" : "",
			       c->families & SIX ? "6" : "");
			settings_write(c->settings, ",", stdout);
			printf("  %s [%s]\n", c->title, c->source);
			continue;
		}
		printf("{\"name\":\"%s\",\"group\":\"%s\",\"class\":\"%s\",\"title\":", c->name,
		       c->group, expect_name(c->expect));
		json_text(stdout, c->title);
		printf(",\"source\":");
		json_text(stdout, c->source);
		printf(",\"families\":[%s%s%s],\"settings\":[", c->families & FOUR ? "4" : "",
		       c->families == (FOUR | SIX) ? "," : "", c->families & SIX ? "6" : "");
		settings_write(c->settings, "\"", stdout);
		printf("],\"needs_root\":%s}\n", c->needs_root ? "true" : "false");
	}
	return 0;
}

static int try_main(int argc, char **argv)
{
	const struct bypass_case *c = argc ? case_named(argv[0]) : NULL;
	struct request r;
	struct attempt a;

	if (!c) {
		fprintf(stderr, "bypass try: no case of this name; see: bypass list\n");
		return 2;
	}
	request_init(&r);
	r.target.port = 7777;
	snprintf(r.token, sizeof(r.token), "handmadetoken");
	for (int i = 1; i < argc; i++) {
		if (!request_set(&r, argv[i])) {
			fprintf(stderr, "bypass try: %s is no field of a target\n", argv[i]);
			return 2;
		}
	}
	if (c->before && r.target.early < 0)
		r.target.early = c->before(&r.target);
	agent_attempt(c, &r, &a);
	attempt_write(&a, stdout);
	putchar('\n');
	return 0;
}

int main(int argc, char **argv)
{
	const char *part = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(part, "list"))
		return list_main(argc > 2 ? argv[2] : "");
	if (!strcmp(part, "try"))
		return try_main(argc - 2, argv + 2);
	if (!strcmp(part, "agent"))
		return agent_main();
	if (!strcmp(part, "drive"))
		return drive_main(argc - 2, argv + 2);
	if (!strcmp(part, "report"))
		return report_main(argc - 2, argv + 2);
	fprintf(stderr, "usage: bypass list [--json] | try NAME KEY=VALUE... | agent | drive ... | "
			"report ...\n");
	return 2;
}
