/* SPDX-License-Identifier: Apache-2.0 */
/* See own_job.h. The cgroup is named after the job; where the cgroup namespace hides it, EGRET_JOB
 * says it. Either is only a name to ask by. */
#include "cli/own_job.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME_MAX_BYTES 23

static bool is_name(struct str s)
{
	size_t i;

	if (s.n < 3 || s.n > NAME_MAX_BYTES || !str_starts(s, "j-"))
		return false;
	for (i = 2; i < s.n; i++)
		if (!strchr("0123456789abcdef", s.p[i]))
			return false;
	return true;
}

bool own_job_of(struct str cgroups, char *to, size_t n)
{
	const char *at = cgroups.p, *end = at + cgroups.n, *line_end, *slash;

	for (; at < end; at = line_end + 1) {
		line_end = memchr(at, '\n', (size_t)(end - at));
		if (!line_end)
			line_end = end;
		if (!str_starts((struct str){ at, (size_t)(line_end - at) }, "0::/"))
			continue;
		for (at += 4; at < line_end; at = slash + 1) {
			struct str name;

			slash = memchr(at, '/', (size_t)(line_end - at));
			if (!slash)
				slash = line_end;
			name = (struct str){ at, (size_t)(slash - at) };
			if (!is_name(name))
				continue;
			snprintf(to, n, "%.*s", STR_ARG(name));
			return true;
		}
		return false;
	}
	return false;
}

bool own_job(char *to, size_t n)
{
	cleanup_close int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	const char *said = getenv("EGRET_JOB");
	char text[8192];
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (got > 0 && own_job_of((struct str){ text, (size_t)got }, to, n))
		return true;
	if (!said || !is_name(str_of(said)))
		return false;
	snprintf(to, n, "%s", said);
	return true;
}
