/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `egret upgrade`: egretd starts the binary that lies at its path now, hands over to it and ends;
 * jobs go on. The answer comes from the old egretd: the new one's version, or why it serves on.
 */
#include "cli/cli.h"
#include "cli/job_print.h"
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define UPGRADE_MS 120000 /* longer than egretd itself has patience for */

static const char usage[] =
	"Usage: egret upgrade [--json]\n"
	"egretd hands over to the version that is installed now. Jobs, their connections and\n"
	"callers go on. If that version cannot serve, the one that runs does.\n"
	"Exit status: 0 the new one serves, 1 the one before does, 2 usage.\n";

int verb_upgrade(int argc, char **argv)
{
	cleanup_close int sock = -1;
	struct str text = STR("egretd gave no reason");
	char shown[PROTO_TEXT_MAX];
	struct pollfd p;
	struct msg_out q;
	struct msg_in m;
	bool json = false;
	int r = cli_json_option(argc, argv, usage, &json);

	if (r >= 0)
		return r;
	if (optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	sock = cli_connect();
	if (sock < 0)
		return cli_fail(1, "egretd does not answer: %s; is it running?", strerror(-sock));
	msg_begin(&q, MSG_UPGRADE, 1);
	r = msg_send(sock, &q);
	msg_out_done(&q);
	p = (struct pollfd){ .fd = sock, .events = POLLIN };
	if (r == 0 && poll(&p, 1, UPGRADE_MS) == 0)
		r = -ETIMEDOUT;
	if (r == 0)
		r = msg_recv(sock, &m);
	if (r < 0)
		return cli_fail(1,
				"egretd's answer did not come: %s; its log says what became of it",
				strerror(-r));
	(void)!msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text);
	text_escape(shown, sizeof(shown), text);
	if (m.type == MSG_OK && json) {
		printf("{ \"ok\": true, \"version\": ");
		json_print_text(text);
		printf(" }\n");
	} else if (m.type == MSG_OK) {
		printf("egretd %s serves\n", shown);
	} else {
		cli_fail(1, "%s", shown);
	}
	r = m.type == MSG_OK ? 0 : 1;
	msg_in_done(&m);
	return r;
}
