// SPDX-License-Identifier: Apache-2.0
/* See events_ask.h. The log is root's; egretd knows whose job the caller may see, and the audit
 * process sends the lines. */
#include "cli/events_ask.h"

#include "cli/job_ask.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define SILENT_S 30

int events_ask(const char *job, struct lines **ret)
{
	cleanup_close int sock = -1, ours = -1, theirs = -1;
	const struct timeval silent = { .tv_sec = SILENT_S };
	struct str text = STR("no reason was given");
	struct msg_out q;
	struct msg_in m;
	int pair[2], e = job_connect(&sock);

	if (e >= 0)
		return e;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return cli_fail(1, "no socket: %s", strerror(errno));
	ours = pair[0];
	theirs = pair[1];
	if (setsockopt(ours, SOL_SOCKET, SO_RCVTIMEO, &silent, sizeof(silent)) < 0)
		return cli_fail(1, "no socket: %s", strerror(errno));
	msg_begin(&q, MSG_EVENTS, 1);
	msg_put_str(&q, TAG_JOB_NAME, str_of(job));
	msg_put_fd(&q, TAG_FD_FOLLOW, theirs);
	e = cli_ask(sock, &q, &m);
	if (e < 0)
		return cli_fail(1, "egretd gave no answer: %s", strerror(-e));
	e = -1;
	if (m.type != MSG_OK) {
		(void)!msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text);
		e = cli_fail(1, "%s: %.*s", job, STR_ARG(text));
	}
	msg_in_done(&m);
	if (e < 0)
		*ret = lines_take(TAKE_FD(ours));
	return e;
}
