/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How clients in the job come to trust the job's CA without being changed: the combined bundle lies
 * over the system's own bundle files, and the variables that clients know point at it
 * (trust/trust.h has the tables). One that the caller has set already gets that file's content and
 * the CA. Bytes of the caller's own bundles are copied, never parsed.
 */
#include "init/init.h"

#include "base/proto.h"
#include "trust/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_file(const char *path, int from, char *why, size_t n)
{
	cleanup_close int to =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	int r = to < 0 ? -errno : trust_copy(from, to);

	if (r < 0)
		snprintf(why, n, "cannot write %s: %s", path, strerror(-r));
	return r;
}

static void lay_over(const char *const *targets, const char *from)
{

	/* A target that cannot be covered (a file system without it) leaves the variables to do the
	 * work. */
	for (size_t i = 0; targets[i]; i++)
		if (access(targets[i], F_OK) == 0 &&
		    mount(from, targets[i], NULL, MS_BIND, NULL) == 0)
			(void)!mount(NULL, targets[i], NULL,
				     MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL);
}

int trust_install(int ca, int bundle, int p12, char *why, size_t n)
{
	int r = write_file(TRUST_CA, ca, why, n);

	if (r == 0)
		r = write_file(TRUST_BUNDLE, bundle, why, n);
	if (r == 0)
		r = write_file(TRUST_P12, p12, why, n);
	if (r < 0)
		return r;
	lay_over(trust_bundles, TRUST_BUNDLE);
	lay_over(trust_java, TRUST_P12);
	return 0;
}

struct caller {
	struct arena *a;
	uid_t uid;
	gid_t gid;
};

/* The caller's own bundle with the job's CA behind it, as TRUST_DIR/NAME.pem. The file is opened
 * with the user's rights. NULL: it is the combined bundle already, or not readable, so it could not
 * have worked before either. */
static const char *extended(void *owner, const char *name, const char *file)
{
	const struct caller *c = owner;
	char path[160];
	cleanup_close int from = -1, to = -1, ca = -1;
	struct stat st, ours;

	setfsgid(c->gid);
	setfsuid(c->uid);
	from = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	setfsuid(0);
	setfsgid(0);
	if (from < 0 || fstat(from, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	/* One of the system's own, which the combined bundle covers by now. */
	if (stat(TRUST_BUNDLE, &ours) == 0 && ours.st_dev == st.st_dev && ours.st_ino == st.st_ino)
		return NULL;
	snprintf(path, sizeof(path), TRUST_DIR "/%s.pem", name);
	to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	ca = open(TRUST_CA, O_RDONLY | O_CLOEXEC);
	if (to < 0 || ca < 0 || trust_copy(from, to) < 0 || write(to, "\n", 1) != 1 ||
	    trust_copy(ca, to) < 0)
		return NULL;
	return arena_str(c->a, str_of(path)).p;
}

char **trust_of_command(struct arena *a, char *const *envp, const struct msg_in *start, uid_t uid,
			gid_t gid)
{
	struct caller c = { a, uid, gid };
	struct trust_how how = { .extend = extended, .owner = &c };
	uint64_t flags;
	size_t count = 0, at = 0;
	struct str set;
	char **more;

	while (msg_each(start, TAG_SETENV, &at, &set))
		count++;
	more = arena_new(a, (count + 1) * sizeof(char *));
	for (at = count = 0; msg_each(start, TAG_SETENV, &at, &set); count++)
		more[count] = (char *)arena_str(a, set).p;
	how.own_ca = !msg_get_u64(start, TAG_FLAGS, &flags) && (flags & PREPARED_OWN_CA);
	return trust_environment(a, envp, more, &how);
}
