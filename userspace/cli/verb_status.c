/* SPDX-License-Identifier: Apache-2.0 */
/* egret status: what the running egretd says of itself, and its jobs. */
#include "cli/cli.h"
#include "cli/job_print.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] = "Usage: egret status [--json]\n"
			    "What egretd is doing: version, services, walls, counters, jobs.\n"
			    "Exit status: 0 it serves, 1 none runs, 2 usage.\n";

static int next(int sock, struct msg_in *m)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	int r;

	do {
		if (poll(&p, 1, 10000) <= 0)
			return -ETIMEDOUT;
		r = msg_recv(sock, m);
	} while (r == -EAGAIN);
	return r;
}

/* A key of which there may be several: a list in JSON, where an object has each key once. */
#define MANY "override"

static void print_many(const struct msg_in *m)
{
	bool first = true;
	struct str line;
	size_t at = 0;

	printf("\"" MANY "_list\":[");
	while (msg_each(m, TAG_TEXT, &at, &line)) {
		if (!str_starts(line, MANY "="))
			continue;
		printf("%s", first ? "" : ",");
		json_print_text((struct str){ line.p + sizeof(MANY), line.n - sizeof(MANY) });
		first = false;
	}
	printf("],");
}

static void print_lines(const struct msg_in *m, bool json)
{
	struct str line;
	size_t at = 0;

	while (msg_each(m, TAG_TEXT, &at, &line)) {
		const char *eq = memchr(line.p, '=', line.n);
		size_t n = eq ? (size_t)(eq - line.p) : line.n;
		struct str value = eq ? (struct str){ eq + 1, line.n - n - 1 } : STR("");

		if (!json) {
			printf("%-20.*s %.*s\n", (int)n, line.p, STR_ARG(value));
		} else if (!str_starts(line, MANY "=")) {
			json_print_text((struct str){ line.p, n });
			putchar(':');
			json_print_text(value);
			putchar(',');
		}
	}
	if (json)
		print_many(m);
}

int verb_status(int argc, char **argv)
{
	bool json = false, first = true;
	struct msg_out q;
	struct msg_in m;
	int o, sock, r;

	o = cli_json_option(argc, argv, usage, &json);
	if (o >= 0)
		return o;
	if (optind < argc)
		return fputs(usage, stderr), 2;
	sock = cli_connect();
	if (sock < 0)
		return cli_fail(1,
				"no egretd answers: %s; systemctl start egretd, or egret run "
				"starts one for its job",
				strerror(-sock));
	msg_begin(&q, MSG_STATUS, 1);
	r = cli_ask(sock, &q, &m);
	if (r < 0 || m.type != MSG_STATUS)
		return cli_fail(1, "egretd gave no answer%s%s", r < 0 ? ": " : "",
				r < 0 ? strerror(-r) : "");
	printf("%s", json ? "{" : "");
	print_lines(&m, json);
	printf("%s", json ? "\"job_list\":[" : "\n");
	msg_in_done(&m);
	while ((r = next(sock, &m)) == 0 && m.type == MSG_JOB) {
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
	}
	if (r == 0)
		msg_in_done(&m);
	printf("%s", json ? "]}\n" : first ? "no job runs\n" : "");
	close(sock);
	return r < 0 ? 1 : 0;
}
