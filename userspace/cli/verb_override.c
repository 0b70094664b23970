/* SPDX-License-Identifier: Apache-2.0 */
/* egret override audit: for a while, jobs of one repository are judged in mode audit. */
#include "cli/job_ask.h"
#include "cli/job_print.h"

#include "policy/model.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static const char usage[] =
	"Usage: egret override audit --repo REPO --ttl TIME --reason TEXT [--assurance "
	"signed|runner] [--json]\n"
	"For TIME (1s to 24h) jobs of that repository do what their installed policy refuses, and "
	"it is\n"
	"recorded as would_deny. Ends by itself. Begin and end are events admin.override.\n"
	"--assurance: who must have said whose repository a job is: its CI server (signed; so "
	"where the\n"
	"configuration has \"identity\") or its runner.\n"
	"Exit status: 0 done, 1 refused or no egretd, 2 usage.\n";

int verb_override(int argc, char **argv)
{
	static const struct option options[] = { { "repo", required_argument, NULL, 'r' },
						 { "ttl", required_argument, NULL, 't' },
						 { "reason", required_argument, NULL, 'w' },
						 { "assurance", required_argument, NULL, 'a' },
						 { "json", no_argument, NULL, 'j' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	const char *repo = NULL, *reason = NULL;
	struct str text = STR("no reason was given");
	uint64_t ms = 0, least = ASSURANCE_UNVERIFIED; /* as egretd has it */
	struct msg_out q;
	struct msg_in m;
	bool json = false;
	int o, sock, r;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		if (o == 'r')
			repo = optarg;
		else if (o == 't' && load_time(str_of(optarg), &ms) < 0)
			return cli_fail(2, "--ttl is a time, as 30m or 1h, not %s", optarg);
		else if (o == 'w')
			reason = optarg;
		else if (o == 'a' && !strcmp(optarg, "signed"))
			least = ASSURANCE_SIGNED;
		else if (o == 'a' && !strcmp(optarg, "runner"))
			least = ASSURANCE_RUNNER;
		else if (o == 'j')
			json = true;
		else if (o != 't')
			return fputs(usage, o == 'h' ? stdout : stderr), o == 'h' ? 0 : 2;
	}
	if (argc - optind != 1 || strcmp(argv[optind], "audit") || !repo || !reason || !ms)
		return fputs(usage, stderr), 2;
	r = job_connect(&sock);
	if (r >= 0)
		return r;
	msg_begin(&q, MSG_OVERRIDE, 1);
	msg_put_str(&q, TAG_NAME, str_of(repo));
	msg_put_u64(&q, TAG_TTL, ms);
	msg_put_str(&q, TAG_TEXT, str_of(reason));
	if (least)
		msg_put_u64(&q, TAG_ASSURANCE, least);
	r = cli_ask(sock, &q, &m);
	close(sock);
	if (r < 0)
		return cli_fail(1, "egretd gave no answer: %s", strerror(-r));
	(void)!msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text);
	if (m.type != MSG_OK) {
		r = cli_fail(1, "%.*s", STR_ARG(text));
	} else if (json) {
		printf("{ \"ok\": true, \"seconds\": %llu, \"message\": ",
		       (unsigned long long)ms / 1000);
		json_print_text(text);
		printf(" }\n");
	} else {
		printf("%.*s\n", STR_ARG(text));
	}
	msg_in_done(&m);
	return r;
}
