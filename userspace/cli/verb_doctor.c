/* SPDX-License-Identifier: Apache-2.0 */
/* egret doctor: what this host has of what egret needs. egretd knows, so it is asked: not the
 * running one, the program, which then only looks. */
#include "cli/cli.h"
#include "cli/daemon_start.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

int verb_doctor(int argc, char **argv)
{
	char path[PATH_MAX];
	bool json = argc > 1 && !strcmp(argv[1], "--json");

	if (argc > 2 || (argc == 2 && !json && strcmp(argv[1], "--help")))
		return cli_fail(2, "usage: egret doctor [--json]");
	daemon_path(path, sizeof(path));
	execl(path, "egretd", argc == 2 && !json ? "--help" : "--doctor", json ? "--json" : NULL,
	      (char *)NULL);
	return cli_fail(1, "%s cannot be executed: %s; install egret whole", path, strerror(errno));
}
