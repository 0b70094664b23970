/* SPDX-License-Identifier: Apache-2.0 */
/* See supervisor.h. The descriptors come back from systemd, which is as trusted as the kernel here;
 * what they are is checked all the same. */
#include "egretd/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define PARK_NAME "egret-park"

static bool silent;
static uint64_t interval_ms;
static struct timer feed;

void supervisor_init(bool once)
{
	silent = once;
}

void supervisor_say(const char *state)
{
	if (!silent)
		(void)sd_notify(0, state);
}

static void on_feed(struct timer *t)
{
	supervisor_say("WATCHDOG=1");
	timer_set(((struct daemon *)t->owner)->loop, t, interval_ms, on_feed, t->owner);
}

void supervisor_ready(struct daemon *d)
{
	uint64_t us = 0;

	supervisor_say("READY=1\nSTATUS=serving");
	if (silent || sd_watchdog_enabled(0, &us) <= 0)
		return;
	interval_ms = us / 2000 ? us / 2000 : 1;
	timer_set(d->loop, &feed, 0, on_feed, d);
}

static bool is_seqpacket(int fd)
{
	int type = 0;
	socklen_t n = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET;
}

int supervisor_park_take(int ret[2])
{
	char **names = NULL;
	int found[2] = { -1, -1 }, n, i;

	n = silent ? 0 : sd_listen_fds_with_names(0, &names);
	for (i = 0; i < n; i++) {
		int which = !strcmp(names[i], PARK_NAME "-0")	? 0
			    : !strcmp(names[i], PARK_NAME "-1") ? 1
								: -1;

		if (which < 0 || found[which] >= 0 || !is_seqpacket(SD_LISTEN_FDS_START + i))
			close(SD_LISTEN_FDS_START + i);
		else
			found[which] = SD_LISTEN_FDS_START + i;
	}
	for (i = 0; i < n; i++)
		free(names[i]);
	free(names);
	/* Asked once: whoever asks again must not be told of what is closed or taken. */
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	(void)unsetenv("LISTEN_PID");
	if (found[0] >= 0 && found[1] >= 0 && fcntl(found[0], F_SETFL, O_NONBLOCK) == 0 &&
	    fcntl(found[1], F_SETFL, O_NONBLOCK) == 0) {
		ret[0] = found[0];
		ret[1] = found[1];
		return 0;
	}
	for (i = 0; i < 2; i++)
		if (found[i] >= 0)
			close(found[i]);
	return -ENOENT;
}

void supervisor_park_keep(const int park[2])
{
	char text[128];
	int i;

	for (i = 0; i < 2 && !silent; i++) {
		/* An older one of that name goes: it would come back beside this one. */
		snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s-%d", PARK_NAME, i);
		supervisor_say(text);
		snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s-%d", PARK_NAME, i);
		(void)sd_pid_notify_with_fds(0, 0, text, &park[i], 1);
	}
}

void supervisor_main(pid_t pid)
{
	char text[64];

	snprintf(text, sizeof(text), "MAINPID=%d\nSTATUS=handed over", (int)pid);
	supervisor_say(text);
}

void supervisor_taken_over(void)
{
	char text[32];

	if (!getenv("WATCHDOG_PID"))
		return;
	snprintf(text, sizeof(text), "%d", (int)getpid());
	(void)setenv("WATCHDOG_PID", text, 1);
}
