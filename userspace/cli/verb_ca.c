/* SPDX-License-Identifier: Apache-2.0 */
/* egret ca: the root certificate that images carry where the configuration says ca.mode "root". */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static const char usage[] = "Usage: egret ca >/usr/local/share/ca-certificates/egret.crt\n"
			    "The root certificate (PEM) that signs the CA of every job, to be "
			    "baked into images, where the\n"
			    "configuration has \"ca\": { \"mode\": \"root\" }. In mode \"job\" "
			    "there is none: each job has a\n"
			    "CA of its own, which is laid into its containers.\n"
			    "Exit status: 0 printed, 1 no such root or no egretd, 2 usage.\n";

static int print(int fd)
{
	char block[4096];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, block, sizeof(block), at)) > 0) {
		if (fwrite(block, 1, (size_t)n, stdout) != (size_t)n)
			break;
		at += n;
	}
	if (n < 0 || fflush(stdout) != 0)
		return cli_fail(1, "the certificate cannot be written: %s", strerror(errno));
	return 0;
}

int verb_ca(int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	struct str text = STR("no reason was given");
	cleanup_close int sock = -1, ca = -1;
	struct msg_out q;
	struct msg_in m;
	int o, r;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		fputs(usage, o == 'h' ? stdout : stderr);
		return o == 'h' ? 0 : 2;
	}
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
		r = print(ca);
	} else {
		(void)!msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text);
		r = cli_fail(1, "%.*s", STR_ARG(text));
	}
	msg_in_done(&m);
	return r;
}
