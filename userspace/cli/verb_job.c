/* SPDX-License-Identifier: Apache-2.0 */
/* egret job list|show|register|end: the jobs that run here. */
#include "cli/job_ask.h"
#include "cli/job_print.h"
#include "cli/own_job.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] = "Usage: egret job list [--json]\n"
			    "       egret job show [JOB] [--json]\n"
			    "       egret job register [OPTION]... (--help says which)\n"
			    "       egret job end [JOB] [--json]\n"
			    "The jobs that run here: one line each, all that is known of one, or "
			    "its end (its processes are killed).\n"
			    "Without JOB: the one that this command runs in.\n"
			    "Exit status: 0 done, 1 no such job or no egretd, 2 usage.\n";

static int list(int sock, bool json)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct msg_out q;
	struct msg_in m;
	bool first = true;
	int r;

	msg_begin(&q, MSG_JOB_LIST, 1);
	r = cli_ask(sock, &q, &m);
	printf("%s", json ? "[" : "");
	while (r == 0 && m.type == MSG_JOB) {
		if (json)
			printf("%s", first ? "" : ",");
		else if (first)
			job_print_head();
		first = false;
		if (json)
			job_print_json(&m);
		else
			job_print_row(&m);
		msg_in_done(&m);
		do {
			r = poll(&p, 1, 10000) > 0 ? msg_recv(sock, &m) : -ETIMEDOUT;
		} while (r == -EAGAIN);
	}
	if (r == 0)
		msg_in_done(&m);
	printf("%s", json ? "]\n" : first ? "no job runs\n" : "");
	return r < 0 ? cli_fail(1, "egretd gave no answer: %s", strerror(-r)) : 0;
}

static int one(int sock, uint16_t type, const char *name, bool json)
{
	struct str text = STR("no reason was given");
	struct msg_out q;
	struct msg_in m;
	int r;

	msg_begin(&q, type, 1);
	msg_put_str(&q, TAG_JOB_NAME, str_of(name));
	r = cli_ask(sock, &q, &m);
	if (r < 0)
		return cli_fail(1, "egretd gave no answer: %s", strerror(-r));
	if (m.type == MSG_FAILED) {
		(void)!msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text);
		r = cli_fail(1, "%s: %.*s", name, STR_ARG(text));
	} else if (type == MSG_JOB_END && json) {
		printf("{ \"ok\": true, \"job\": ");
		json_print_text(str_of(name));
		printf(" }\n");
	} else if (m.type == MSG_JOB && json) {
		job_print_json(&m);
		putchar('\n');
	} else if (m.type == MSG_JOB) {
		job_print_whole(&m);
	}
	msg_in_done(&m);
	return r;
}

int verb_job(int argc, char **argv)
{
	bool json = false, is_list, is_show, is_end;
	char own[32] = "";
	const char *name = own;
	int o, sock, r;

	if (argc > 1 && !strcmp(argv[1], "register"))
		return job_register(argc - 1, argv + 1);
	o = cli_json_option(argc, argv, usage, &json);
	if (o >= 0)
		return o;
	is_list = argc - optind == 1 && !strcmp(argv[optind], "list");
	is_show = argc - optind >= 1 && argc - optind <= 2 && !strcmp(argv[optind], "show");
	is_end = argc - optind >= 1 && argc - optind <= 2 && !strcmp(argv[optind], "end");
	if (!is_list && !is_show && !is_end)
		return fputs(usage, stderr), 2;
	if (argc - optind == 2)
		name = argv[optind + 1];
	else if (!is_list && !own_job(own, sizeof(own)))
		return cli_fail(2, "which job? This command runs in none; egret job list shows "
				   "them");
	r = job_connect(&sock);
	if (r >= 0)
		return r;
	r = is_list ? list(sock, json)
		    : one(sock, is_show ? MSG_JOB_SHOW : MSG_JOB_END, name, json);
	close(sock);
	return r;
}
