/* SPDX-License-Identifier: Apache-2.0 */
/* See mounting.h. */
#include "egretd/mounting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MOUNTING_MS 5000

struct mounting {
	struct child child;
	struct watch sock;
	struct timer late;
	mounting_fn done;
	void *owner;
};

static void finish(struct mounting *m, int err, const char *text)
{
	mounting_fn done = m->done;
	void *owner = m->owner;

	watch_del(&m->sock);
	timer_del(&m->late);
	child_end(&m->child);
	free(m);
	if (done)
		done(owner, err, text);
}

static void on_late(struct timer *t)
{
	finish(t->owner, -ETIMEDOUT, "egret-mount took longer than 5 s");
}

static void on_answer(struct watch *w, uint32_t events)
{
	struct mounting *m = w->owner;
	struct msg_in in;
	struct str text = STR("egret-mount gave an answer of another form");
	char shown[300];
	int r = msg_recv(w->fd, &in);
	bool ok;

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		finish(m, -EPROTO, "egret-mount ended without an answer; the log says why");
		return;
	}
	ok = in.type == MSG_OK;
	if (in.type == MSG_FAILED)
		(void)!msg_get_str(&in, TAG_TEXT, PROTO_TEXT_MAX, &text);
	text_escape(shown, sizeof(shown), text);
	msg_in_done(&in);
	finish(m, ok ? 0 : -EIO, ok ? "" : shown);
}

int mounting_start(struct job *j, pid_t pid, mounting_fn done, void *owner, struct mounting **ret,
		   char *why, size_t n)
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
	if (ns < 0 || root < 0) {
		snprintf(why, n, "process %d has ended", (int)pid);
		return -ESRCH;
	}
	m = mem_new(sizeof(*m));
	m->child = CHILD_NONE;
	m->done = done;
	m->owner = owner;
	r = child_start(&plan, &m->child, why, n);
	if (r < 0) {
		free(m);
		return r;
	}
	msg_begin(&out, MSG_MOUNT, 1);
	msg_put_fd(&out, TAG_FD_MNTNS, ns);
	msg_put_fd(&out, TAG_FD_ROOT, root);
	msg_put_fd(&out, TAG_FD_CA, j->ca);
	msg_put_fd(&out, TAG_FD_BUNDLE, j->bundle);
	msg_put_fd(&out, TAG_FD_P12, j->p12);
	msg_put_u64(&out, TAG_UID, j->d->config.uid_compile);
	r = msg_send(m->child.sock, &out);
	if (r == 0)
		r = watch_add(j->d->loop, &m->sock, m->child.sock, EPOLLIN, on_answer, m);
	if (r < 0) {
		snprintf(why, n, "egret-mount cannot be asked: %s", strerror(-r));
		m->done = NULL;
		finish(m, r, "");
		return r;
	}
	timer_set(j->d->loop, &m->late, MOUNTING_MS, on_late, m);
	*ret = m;
	return 0;
}

void mounting_cancel(struct mounting *m)
{
	if (!m)
		return;
	m->done = NULL;
	finish(m, -ECANCELED, "");
}
