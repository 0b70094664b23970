// SPDX-License-Identifier: Apache-2.0
/*
 * The command `egret`: finds the verb and hands it the rest of the line. The table below is the
 * list of all verbs; the usage text is printed from it.
 */
#include "cli/cli.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const struct cli_verb verbs[] = {
	{ "run", "run a command as a job: its network is egret's", verb_run },
	{ "status", "what egretd is doing", verb_status },
	{ "job", "list, show, register or end jobs", verb_job },
	{ "attach", "make a running container or cgroup a job", verb_attach },
	{ "events", "read or follow the audit log", verb_events },
	{ "why", "explain one event: the rule, and the line that would change it", verb_why },
	{ "summary", "sum up a job for people", verb_summary },
	{ "policy", "check, explain or test policies", verb_policy },
	{ "secret", "set, list or remove secrets of the sealed store", verb_secret },
	{ "lease", "list or revoke what jobs hold of providers", verb_lease },
	{ "override", "judge jobs of a repository in mode audit, for a while", verb_override },
	{ "ca", "the root certificate for images (ca.mode root)", verb_ca },
	{ "upgrade", "hand over to the egretd that is installed now; jobs go on", verb_upgrade },
	{ "config", "show the configuration in force", verb_config },
	{ "doctor", "what this machine can and cannot do for egret", verb_doctor },
};

static void usage(FILE *to)
{
	fprintf(to, "usage: egret VERB [ARGUMENT...]\n"
		    "       egret run [--policy FILE] -- COMMAND...\n\n"
		    "verbs:\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(to, "  %-9s %s\n", verbs[i].name, verbs[i].summary);
	fprintf(to, "\n`egret VERB --help` says what a verb takes; egret(1) has the rest.\n");
}

/* How many letters must change to make b of a (Levenshtein), for short words. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[32];
	size_t n = strlen(b);

	if (n >= ARRAY_SIZE(row))
		return ~0u;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t j = 1; j <= n; j++) {
			unsigned best = diagonal + (a[i] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

/* Peers' words for what we call otherwise. */
static const char *const other_words[][2] = {
	{ "exec", "run" },	 { "logs", "events" },	{ "log", "events" },
	{ "observe", "events" }, { "ps", "job" },	{ "jobs", "job" },
	{ "list", "job" },	 { "explain", "why" },	{ "report", "summary" },
	{ "secrets", "secret" }, { "check", "policy" }, { "validate", "policy" },
	{ "register", "job" },
};

static int unknown(const char *word)
{
	const char *nearest = NULL;
	unsigned least = 3;

	for (size_t i = 0; i < ARRAY_SIZE(other_words); i++)
		if (!strcmp(word, other_words[i][0]))
			nearest = other_words[i][1];
	for (size_t i = 0; !nearest && i < ARRAY_SIZE(verbs); i++)
		if (distance(word, verbs[i].name) < least)
			least = distance(word, verbs[i].name);
	for (size_t i = 0; !nearest && i < ARRAY_SIZE(verbs); i++)
		if (least < 3 && distance(word, verbs[i].name) == least)
			nearest = verbs[i].name;
	if (nearest)
		return cli_fail(2, "there is no verb %s; did you mean `egret %s`?", word, nearest);
	return cli_fail(2, "there is no verb %s; `egret --help` lists them", word);
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	/* A reader that left is an error of write, said by the verb. */
	signal(SIGPIPE, SIG_IGN);
	if (!word) {
		usage(stderr);
		return 2;
	}
	if (!strcmp(word, "--help") || !strcmp(word, "-h") ||
	    (!strcmp(word, "help") && argc == 2)) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(word, "--version")) {
		printf("egret %s\n", EGRET_VERSION);
		return 0;
	}
	if (!strcmp(word, "help")) {
		static char help[] = "--help";

		word = argv[1] = argv[2];
		argv[2] = help;
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(word, verbs[i].name))
			continue;
		cli_verb_is(verbs[i].name);
		return verbs[i].main(argc - 1, argv + 1);
	}
	return unknown(word);
}
