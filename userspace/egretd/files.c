/* SPDX-License-Identifier: Apache-2.0 */
/* See files.h. Called by main.c, library.c and services.c. Paths come from root's own files, by way
 * of the compiler; names in inotify's events are only compared. */
#include "egretd/files.h"

#include "egretd/files_open.h"
#include "egretd/job.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define FILES_MAX 1024u
#define SOON_MS 50
#define AGAIN_MS 5000 /* for folders that are not there */
#define WATCHED (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB)

struct file {
	struct file *next;
	char *path;
	int wd;	      /* of its folder; -1 */
	int wd_below; /* of the one below it where links lead; -1 */
	struct file_way way;
	bool untold; /* the socket was full */
};

struct files {
	struct file *list;
	unsigned n;
	int inotify; /* -1 */
	struct watch watch;
	struct timer again;
};

static const char *base_name(const struct file *f)
{
	return strrchr(f->path, '/') + 1;
}

static void on_again(struct timer *t);

static bool is_watched(const struct files *fs, int wd)
{
	for (const struct file *f = fs->list; f; f = f->next)
		if (f->wd == wd || f->wd_below == wd)
			return true;
	return false;
}

/* Opened, and watched where it lies now. */
static int reopen(struct daemon *d, struct file *f, int *ret, char *why, size_t n)
{
	int r, before = f->wd_below;
	char below[64];

	r = file_open(f->path, &f->way, ret, why, n);
	f->wd_below = -1;
	if (f->way.dir >= 0) {
		snprintf(below, sizeof(below), "/proc/self/fd/%d", f->way.dir);
		f->wd_below = inotify_add_watch(d->files->inotify, below, WATCHED | IN_ONLYDIR);
	}
	file_way_done(&f->way);
	if (before >= 0 && !is_watched(d->files, before))
		(void)inotify_rm_watch(d->files->inotify, before);
	return r;
}

static void tell(struct daemon *d, struct file *f)
{
	cleanup_close int fd = -1;
	char why[WHY_MAX];
	struct msg_out m;
	int r = reopen(d, f, &fd, why, sizeof(why));

	if (r < 0)
		log_warn("%s, which a credential names, is not used: %s", f->path, why);
	msg_begin(&m, MSG_FILE, 0);
	msg_put_str(&m, TAG_NAME, str_of(f->path));
	if (r < 0)
		msg_put_str(&m, TAG_TEXT, str_of(why));
	else
		msg_put_fd(&m, TAG_FD_VALUE, fd);
	/* A broker that is away is told when it is back; one that has not read the others yet,
	 * soon. */
	f->untold = service_send(&d->broker, &m) == -EAGAIN;
	if (f->untold)
		timer_set(d->loop, &d->files->again, SOON_MS, on_again, d);
}

static void look(struct daemon *d, struct file *f)
{
	char folder[PATH_MAX];
	size_t n = (size_t)(base_name(f) - f->path);

	snprintf(folder, sizeof(folder), "%.*s", (int)(n > 1 ? n - 1 : n), f->path);
	f->wd = inotify_add_watch(d->files->inotify, folder, WATCHED | IN_ONLYDIR);
}

static void on_again(struct timer *t)
{
	struct daemon *d = t->owner;
	bool missing = false;

	for (struct file *f = d->files->list; f; f = f->next) {
		bool was = f->wd >= 0;

		if (!was)
			look(d, f);
		if (f->untold || (!was && f->wd >= 0))
			tell(d, f);
		missing |= f->wd < 0;
	}
	if (missing && !t->loop)
		timer_set(d->loop, t, AGAIN_MS, on_again, d);
}

/* Does it lead to another file now, or is it another? */
static bool is_of(const struct file *f, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW)
		return true;
	if (f->wd == e->wd && (e->mask & IN_IGNORED))
		return true;
	if (f->wd_below == e->wd)
		return e->mask & IN_IGNORED || (e->len && !strcmp(f->way.name, e->name));
	if (f->wd != e->wd || !e->len)
		return false;
	for (unsigned i = 0; i < f->way.nlinks; i++)
		if (!strcmp(f->way.links[i], e->name))
			return true;
	return !strcmp(base_name(f), e->name);
}

static void on_event(struct daemon *d, const struct inotify_event *e)
{
	bool gone = false;

	for (struct file *f = d->files->list; f; f = f->next) {
		bool mine = is_of(f, e);

		if (e->mask & IN_IGNORED && f->wd == e->wd) {
			f->wd = -1;
			gone = true;
		}
		if (e->mask & IN_IGNORED && f->wd_below == e->wd)
			f->wd_below = -1;
		if (mine)
			tell(d, f);
	}
	if (gone)
		timer_set(d->loop, &d->files->again, AGAIN_MS, on_again, d);
}

static void on_inotify(struct watch *w, uint32_t events)
{
	struct daemon *d = w->owner;
	char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(w->fd, bytes, sizeof(bytes));

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const void *)(bytes + at);

		on_event(d, e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
}

static void add(struct daemon *d, struct str path)
{
	struct files *fs = d->files;
	struct file *f;

	if (!path.n || path.p[0] != '/' || path.n >= PATH_MAX || memchr(path.p, 0, path.n))
		return;
	for (f = fs->list; f; f = f->next)
		if (str_is(path, f->path))
			return;
	if (fs->n == FILES_MAX) {
		log_err("credentials name more than %u files: %.*s is not used", FILES_MAX,
			STR_ARG(path));
		return;
	}
	f = mem_new(sizeof(*f));
	f->path = mem_dup(path);
	f->wd_below = f->way.dir = -1;
	f->next = fs->list;
	fs->list = f;
	fs->n++;
	look(d, f);
	if (f->wd < 0 && !fs->again.loop)
		timer_set(d->loop, &fs->again, AGAIN_MS, on_again, d);
}

static void add_all(struct daemon *d, const struct credential *c)
{
	bool is_file = credential_provider(c) == PROVIDER_FILE;
	enum param id;
	struct str v;
	size_t at = 0;

	while (credential_each_param(c, &at, &id, &v)) {
		if (param_is_secret(id) && str_starts(v, "file:"))
			add(d, (struct str){ v.p + 5, v.n - 5 });
		else if (id == PARAM_CA_FILE || (is_file && id == PARAM_PATH))
			add(d, v);
	}
}

static void add_pack(struct daemon *d, const struct pack *p)
{
	struct credential c;

	for (uint32_t i = 0; p && i < p->count; i++)
		if (credential_open(pack_at(p, i), &c) == 0)
			add_all(d, &c);
}

void files_tell(struct daemon *d)
{
	for (struct file *f = d->files ? d->files->list : NULL; f; f = f->next)
		tell(d, f);
}

void files_changed(struct daemon *d)
{
	int r;

	files_close(d);
	d->files = mem_new(sizeof(*d->files));
	d->files->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	r = d->files->inotify < 0 ? -errno
				  : watch_add(d->loop, &d->files->watch, d->files->inotify, EPOLLIN,
					      on_inotify, d);
	if (r < 0)
		log_err("files that credentials name cannot be watched: %s", strerror(-r));
	add_pack(d, &d->library.credentials);
	for (const struct job *j = d->jobs; j; j = j->next)
		add_pack(d, j->admin ? &j->own.credentials : NULL);
	files_tell(d);
}

void files_job(struct job *j)
{
	struct daemon *d = j->d;
	struct file *had = d->files->list;

	add_pack(d, j->admin ? &j->own.credentials : NULL);
	for (struct file *f = d->files->list; f != had; f = f->next)
		tell(d, f);
}

void files_close(struct daemon *d)
{
	struct files *fs = d->files;

	if (!fs)
		return;
	timer_del(&fs->again);
	watch_del(&fs->watch);
	if (fs->inotify >= 0)
		close(fs->inotify);
	while (fs->list) {
		struct file *f = fs->list;

		fs->list = f->next;
		free(f->path);
		free(f);
	}
	free(fs);
	d->files = NULL;
}
