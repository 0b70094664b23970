/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CA files of a job whose processes live in the host's own mount namespace: RUN_DIR/jobs/NAME,
 * and for a unit's job also RUN_DIR/units/UNIT, a path that the unit's drop-in can name before it
 * starts. They hold certificates only. Written by egretd itself from what the broker gave; contents
 * are not read.
 */
#include "egretd/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[] = { "ca.pem", "bundle.pem", "trust.p12" };

static int write_one(int dir, const char *name, int from)
{
	cleanup_close int to =
		openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0444);
	off_t at = 0;
	ssize_t n;

	if (to < 0)
		return -errno;
	while ((n = sendfile(to, from, &at, 1 << 20)) > 0)
		;
	return n < 0 ? -errno : 0;
}

static int open_folder(const struct job *j, const char *kind, const char *name, int *ret)
{
	cleanup_close int run = -1, parent = -1;
	int fd;

	run = open(j->d->config.run_dir.p, O_DIRECTORY | O_PATH | O_CLOEXEC);
	if (run < 0 || (mkdirat(run, kind, 0755) < 0 && errno != EEXIST))
		return -errno;
	parent = openat(run, kind, O_DIRECTORY | O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (parent < 0 || (mkdirat(parent, name, 0755) < 0 && errno != EEXIST))
		return -errno;
	fd = openat(parent, name, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

static int lay(const struct job *j, const char *kind, const char *name)
{
	const int from[] = { j->ca, j->bundle, j->p12 };
	cleanup_close int dir = -1;
	int r = open_folder(j, kind, name, &dir);
	size_t i;

	for (i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
		r = write_one(dir, names[i], from[i]);
	return r;
}

static const char *unit_name(const struct job *j)
{
	const char *slash = strrchr(j->cwd.p, '/');

	return slash ? slash + 1 : j->cwd.p;
}

int job_files_lay(const struct job *j)
{
	int r = lay(j, "jobs", j->name);

	if (r == 0 && j->origin == JOB_OF_UNIT)
		r = lay(j, "units", unit_name(j));
	return r;
}

static void take_away(const struct job *j, const char *kind, const char *name)
{
	cleanup_close int dir = -1;
	char path[4400];
	size_t i;

	snprintf(path, sizeof(path), "%s/%s/%s", j->d->config.run_dir.p, kind, name);
	dir = open(path, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return;
	for (i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlinkat(dir, names[i], 0);
	(void)rmdir(path);
}

void job_files_remove(const struct job *j)
{
	take_away(j, "jobs", j->name);
	/* A unit that comes back finds its files where its drop-in says, with another CA in them.
	 */
	if (j->origin == JOB_OF_UNIT)
		take_away(j, "units", unit_name(j));
}
