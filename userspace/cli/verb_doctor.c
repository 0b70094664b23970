/* SPDX-License-Identifier: Apache-2.0 */
/* egret doctor: what this host has of what egret needs. egretd knows, so it is asked: not the
 * running one, the program, which then only looks. */
#include "cli/cli.h"
#include "cli/daemon_start.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static const char usage[] =
	"Usage: egret doctor [--config FILE] [--json]\n"
	"What this machine has of what egret needs, and what the configuration's managed units "
	"and\n"
	"engines mean here: whether their jobs would be confined.\n"
	"Exit status: 0 all that is required is there, 1 something is missing, 2 usage or\n"
	"configuration.\n";

int verb_doctor(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
						 { "json", no_argument, NULL, 'j' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	const char *config = NULL, *args[6] = { "egretd", "--doctor" };
	char path[PATH_MAX];
	unsigned n = 2;
	bool json = false;
	int o;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'c')
			config = optarg;
		else if (o == 'j')
			json = true;
		else
			return fputs(usage, o == 'h' ? stdout : stderr), o == 'h' ? 0 : 2;
	}
	if (optind < argc)
		return fputs(usage, stderr), 2;
	if (json)
		args[n++] = "--json";
	if (config) {
		args[n++] = "--config";
		args[n++] = config;
	}
	daemon_path(path, sizeof(path));
	execv(path, (char *const *)args);
	return cli_fail(1, "%s cannot be executed: %s; install egret whole", path, strerror(errno));
}
