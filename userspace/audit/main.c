// SPDX-License-Identifier: Apache-2.0
/*
 * egret-audit: writes the event stream. Started by egretd with descriptor 3 and nothing else; see
 * egret-audit(8). SECURITY: it reads what proxies wrote, so it can open, change and remove nothing:
 * the log is a descriptor that appends, made by egretd.
 */
#include "audit/audit.h"
#include "audit/kernel_events.h"
#include "base/jail.h"
#include "base/log.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	static const struct jail jail = { .may = JAIL_MAY_SYNC | JAIL_MAY_PASS_FDS |
						 JAIL_MAY_BPF_LOOKUP };
	char why[256];

	log_init("egret-audit");
	if (argc > 1 && !strcmp(argv[1], "--version")) {
		printf("egret-audit %s\n", EGRET_VERSION);
		return 0;
	}
	if (fcntl(PROTO_SOCKET_FD, F_GETFD) < 0) {
		log_err("is started by egretd, with a socket as descriptor 3");
		return 2;
	}
	/* A reader that left, a file at its limit: both are errors of write(2), not the end. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	kernel_events_prepare();
	if (jail_enter(&jail, why, sizeof(why))) {
		log_err("cannot jail itself: %s", why);
		return 1;
	}
	return audit_run(PROTO_SOCKET_FD);
}
