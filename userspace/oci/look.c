/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has a child read an engine's JSON. egret-runc is root, as the engine is, and the text holds what
 * images and jobs wrote: only the child goes through it, with no privilege, no file and no
 * descriptor, and it leaves nothing but struct found. This side checks that every place and every
 * word lies where it can.
 */
#include "oci/found.h"

#include "base/clock.h"
#include "base/jail.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 10000

static _Noreturn void child(enum found_kind kind, struct str text, uid_t uid, struct found *f)
{
	struct jail jail = { 0 };
	int r = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (close_range(0, ~0u, 0) < 0)
		r = -errno;
	if (r == 0 && geteuid() == 0 &&
	    (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
	     setresuid(uid, uid, uid) < 0))
		r = -errno;
	if (r == 0)
		r = jail_enter(&jail, f->fault, sizeof(f->fault));
	if (r == 0)
		found_read(kind, text, f);
	else
		f->r = r;
	_exit(0);
}

/* ---- in the caller ---- */

static bool words_fit(const struct found *f, struct words w)
{
	return w.n == 0 || (w.at < FOUND_POOL_MAX && w.n < FOUND_POOL_MAX - w.at &&
			    f->pool[w.at + w.n] == 0 && !memchr(f->pool + w.at, 0, w.n));
}

static bool slot_fits(const struct found *f, const struct slot *s, size_t n)
{
	uint32_t last = s->whole.at;

	if (s->state == SLOT_ABSENT)
		return s->hole <= n;
	if (s->whole.at >= s->whole.end || s->whole.end > n)
		return false;
	if (s->state == SLOT_NULL)
		return true;
	if (s->state != SLOT_LIST || s->first > FOUND_ITEMS_MAX ||
	    s->count > FOUND_ITEMS_MAX - s->first)
		return false;
	for (uint32_t i = 0; i < s->count; i++) {
		struct place p = f->items[s->first + i];

		if (p.at <= last || p.at >= p.end || p.end >= s->whole.end)
			return false;
		last = p.end;
	}
	return true;
}

static bool fits(const struct found *f, size_t n)
{
	bool ok = slot_fits(f, &f->env, n) && slot_fits(f, &f->mounts, n) &&
		  slot_fits(f, &f->hooks, n) && f->nlabels <= FOUND_LABELS_MAX &&
		  words_fit(f, f->cgroup) && words_fit(f, f->root) && words_fit(f, f->id) &&
		  words_fit(f, f->bundle);

	for (unsigned i = 0; ok && i < CAPS_SETS; i++)
		ok = slot_fits(f, &f->caps[i], n);
	for (uint32_t i = 0; ok && i < f->nlabels; i++)
		ok = words_fit(f, f->label_keys[i]) && words_fit(f, f->label_values[i]);
	ok = ok && f->mounts.count <= FOUND_MOUNTS_MAX && f->hooks.count <= FOUND_HOOKS_MAX;
	for (uint32_t i = 0; ok && i < f->mounts.count; i++)
		ok = words_fit(f, f->mount_of[i].to) && words_fit(f, f->mount_of[i].from);
	for (uint32_t i = 0; ok && i < f->hooks.count; i++)
		ok = words_fit(f, f->hook_of[i]);
	return ok;
}

static int reap(pid_t pid)
{
	cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	uint64_t until = clock_now() + LOOK_MS, now;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int status, r = 0;

	while (pidfd >= 0 && r <= 0 && (now = clock_now()) < until)
		r = poll(&p, 1, (int)(until - now));
	if (r <= 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

int found_look(enum found_kind kind, struct str text, uid_t uid, struct found **ret, char *why,
	       size_t n)
{
	struct found *f =
		mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	int r;

	snprintf(why, n, "its reader cannot be started");
	if (f == MAP_FAILED)
		return -errno;
	f->r = -EIO;
	pid = fork();
	if (pid == 0)
		child(kind, text, uid, f);
	r = pid < 0 ? -errno : reap(pid);
	/* From here on nobody else has this memory. */
	f->fault[sizeof(f->fault) - 1] = 0;
	if (r < 0) {
		if (pid > 0)
			snprintf(why, n, "its reader was killed");
	} else if (f->r < 0) {
		char shown[sizeof(f->fault) * 4];

		text_escape(shown, sizeof(shown), str_of(f->fault));
		snprintf(why, n, "at byte %u: %s", f->fault_at, shown);
		r = -EINVAL;
	} else if (f->r > 0 || !fits(f, text.n)) {
		snprintf(why, n, "its reader gave places that are not in it");
		r = -EINVAL;
	}
	if (r < 0)
		munmap(f, sizeof(*f));
	else
		*ret = f;
	return r;
}

void found_free(struct found *f)
{
	if (f)
		munmap(f, sizeof(*f));
}
