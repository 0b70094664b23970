/* SPDX-License-Identifier: Apache-2.0 */
/* egret override audit: for a while, jobs of one repository are judged in mode audit. */
#include "cli/job_ask.h"

#include "policy/model.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static const char usage[] =
	"Usage: egret override audit --repo REPO --ttl TIME --reason TEXT [--json]\n"
	"For TIME (1s to 24h) jobs of that repository do what their installed policy refuses, and "
	"it is\n"
	"recorded as would_deny. Ends by itself. Begin and end are events admin.override.\n"
	"Exit status: 0 done, 1 refused or no egretd, 2 usage.\n";

int verb_override(int argc, char **argv)
{
	static const struct option options[] = {
		{ "repo", required_argument, NULL, 'r' },   { "ttl", required_argument, NULL, 't' },
		{ "reason", required_argument, NULL, 'w' }, { "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },	    { NULL, 0, NULL, 0 }
	};
	const char *repo = NULL, *reason = NULL;
	struct str text = STR("no reason was given");
	uint64_t ms = 0;
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
	r = cli_ask(sock, &q, &m);
	close(sock);
	if (r < 0)
		return cli_fail(1, "egretd gave no answer: %s", strerror(-r));
	if (m.type != MSG_OK) {
		(void)!msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text);
		r = cli_fail(1, "%.*s", STR_ARG(text));
	} else if (json) {
		printf("{ \"ok\": true, \"seconds\": %llu }\n", (unsigned long long)ms / 1000);
	}
	msg_in_done(&m);
	return r;
}
