/* SPDX-License-Identifier: Apache-2.0 */
/* egret ca: the root certificate that images carry where the configuration says ca.mode "root". */
#include "cli/cli.h"
#include "cli/job_print.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static const char usage[] = "Usage: egret ca [--json] >/usr/local/share/ca-certificates/egret.crt\n"
			    "The root certificate (PEM) that signs the CA of every job, to be "
			    "baked into images, where the\n"
			    "configuration has \"ca\": { \"mode\": \"root\" }. In mode \"job\" "
			    "there is none: each job has a\n"
			    "CA of its own, which is laid into its containers.\n"
			    "Exit status: 0 printed, 1 no such root or no egretd, 2 usage.\n";

static int print(int fd, bool json)
{
	char pem[16384]; /* the broker's is half of that at most */
	ssize_t n = pread(fd, pem, sizeof(pem), 0);

	if (n >= 0 && json) {
		printf("{ \"pem\": ");
		json_print_text((struct str){ pem, (size_t)n });
		printf(" }\n");
	} else if (n > 0) {
		(void)!fwrite(pem, 1, (size_t)n, stdout);
	}
	if (n < 0 || fflush(stdout) != 0 || ferror(stdout))
		return cli_fail(1, "the certificate cannot be written: %s", strerror(errno));
	return 0;
}

int verb_ca(int argc, char **argv)
{
	struct str text = STR("no reason was given");
	cleanup_close int sock = -1, ca = -1;
	struct msg_out q;
	struct msg_in m;
	bool json = false;
	int r = cli_json_option(argc, argv, usage, &json);

	if (r >= 0)
		return r;
	if (optind < argc)
		return fputs(usage, stderr), 2;
	sock = cli_connect();
	if (sock < 0)
		return cli_fail(1, "no egretd answers: %s; systemctl start egretd",
				strerror(-sock));
	msg_begin(&q, MSG_CA_ROOT, 1);
	r = cli_ask(sock, &q, &m);
	if (r < 0)
		return cli_fail(1, "egretd gave no answer: %s", strerror(-r));
	if (msg_take_fd(&m, TAG_FD_CA, &ca) == 0) {
		r = print(ca, json);
	} else {
		(void)!msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text);
		r = cli_fail(1, "%.*s", STR_ARG(text));
	}
	msg_in_done(&m);
	return r;
}
