/* SPDX-License-Identifier: Apache-2.0 */
/* See mounting.h. */
#include "egretd/mounting.h"
#include "egretd/child_ask.h"

#include "egretd/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MOUNTING_MS 5000

struct mounting {
	struct child_ask ask;
	mounting_fn done;
	void *owner;
};

/* The text may hold names out of the container. */
static void on_answer(struct child_ask *ask, int err, struct msg_in *in, const char *text)
{
	struct mounting *m = (struct mounting *)ask;
	char shown[300];

	text_escape(shown, sizeof(shown), str_of(text));
	m->done(m->owner, err, shown);
	free(m);
}

int mounting_start(struct job *j, pid_t pid, int pidfd, mounting_fn done, void *owner,
		   struct mounting **ret, char *why, size_t n)
{
	struct child_plan plan = { .program = "egret-mount",
				   .cgroup_dir = j->d->cg.work,
				   .keep_root = true,
				   .arg = j->name };
	cleanup_close int ns = -1, root = -1;
	struct mounting *m;
	struct msg_out out;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Opened by number: they are its own only if it still lives. */
	if (ns < 0 || root < 0 || !process_lives(pidfd)) {
		snprintf(why, n, "process %d has ended", (int)pid);
		return -ESRCH;
	}
	msg_begin(&out, MSG_MOUNT, 1);
	msg_put_fd(&out, TAG_FD_MNTNS, ns);
	msg_put_fd(&out, TAG_FD_ROOT, root);
	msg_put_fd(&out, TAG_FD_CA, j->ca);
	msg_put_fd(&out, TAG_FD_BUNDLE, j->bundle);
	msg_put_fd(&out, TAG_FD_P12, j->p12);
	msg_put_u64(&out, TAG_UID, j->d->config.uid_compile);
	m = mem_new(sizeof(*m));
	m->ask = (struct child_ask){
		.answer = MSG_OK,
		.refused = -EIO,
		.ms = MOUNTING_MS,
		.late = "egret-mount took longer than 5 s",
		.done = on_answer,
	};
	m->done = done;
	m->owner = owner;
	r = child_ask_start(j->d, &plan, &out, &m->ask, why, n);
	if (r < 0) {
		free(m);
		return r;
	}
	*ret = m;
	return 0;
}

void mounting_cancel(struct mounting *m)
{
	if (!m)
		return;
	child_ask_stop(&m->ask);
	free(m);
}
