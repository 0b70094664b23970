/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create and run: the bundle's config.json is read by a child, egretd says whose container this is,
 * the text is spliced in place, and the real runtime goes on with it. Whatever fails on the way,
 * the runtime is not started. delete takes away what create made.
 */
#include "oci/oci.h"

#include "base/proto.h"
#include "oci/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG "config.json"
#define CONFIG_NEW ".config.json.egret"
#define HOOK_SECONDS 15

int oci_read(int dir, const char *path, size_t max, struct buf *to)
{
	cleanup_close int fd = openat(dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	ssize_t k = 0;

	buf_init(to, max + 65536);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	do {
		to->n += (size_t)k;
		if (to->n > max || buf_reserve(to, 32768) < 0)
			return -EFBIG;
		k = read(fd, to->p + to->n, 32768);
	} while (k > 0);
	return k < 0 ? -errno : 0;
}

static int hook_text(const struct args *a, struct buf *to, char *self, size_t size)
{
	ssize_t k = readlink("/proc/self/exe", self, size - 1);
	char option[256];
	int r;

	if (k < 0)
		return -errno;
	self[k] = 0;
	r = buf_addf(to, "{\"path\":");
	if (r == 0)
		r = splice_quote(to, str_of(self));
	snprintf(option, sizeof(option), "--egret-run-dir=%s", a->run_dir);
	if (r == 0)
		r = buf_addf(to, ",\"args\":[\"egret-runc\",\"hook\",\"--spliced\",");
	if (r == 0)
		r = splice_quote(to, str_of(option));
	if (r == 0 && a->engine) {
		snprintf(option, sizeof(option), "--egret-engine=%s", a->engine);
		r = buf_add(to, ",", 1);
		if (r == 0)
			r = splice_quote(to, str_of(option));
	}
	return r ? r : buf_addf(to, "],\"timeout\":%d}", HOOK_SECONDS);
}

/* The new text beside the old, then in its place. */
static int put(int bundle, struct str text)
{
	cleanup_close int fd = -1;
	struct stat st;
	size_t done = 0;
	int r = 0;

	if (fstatat(bundle, CONFIG, &st, 0) < 0)
		return -errno;
	if (unlinkat(bundle, CONFIG_NEW, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(bundle, CONFIG_NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (done < text.n && r == 0) {
		ssize_t k = write(fd, text.p + done, text.n - done);

		if (k < 0)
			r = -errno;
		else
			done += (size_t)k;
	}
	if (r == 0 && (fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, st.st_mode & 07777) < 0 ||
		       renameat(bundle, CONFIG_NEW, bundle, CONFIG) < 0))
		r = -errno;
	if (r < 0)
		(void)!unlinkat(bundle, CONFIG_NEW, 0);
	return r;
}

static int write_spliced(const struct args *a, int bundle, struct str text, const struct found *f,
			 const struct prepared *p, const bool *hidden, const struct laid *l,
			 char *why, size_t n)
{
	struct splice s = { .net_raw = p->flags & PREPARED_NET_RAW,
			    .net_admin = p->flags & PREPARED_NET_ADMIN,
			    .hidden = hidden };
	char self[PATH_MAX], folder[160];
	struct buf hook, to;
	int r;

	buf_init(&hook, 16384);
	buf_init(&to, 2 * OCI_CONFIG_MAX);
	snprintf(why, n, "the hook cannot be written");
	r = hook_text(a, &hook, self, sizeof(self));
	snprintf(folder, sizeof(folder), "%s/oci", a->run_dir);
	s.hook = buf_str(&hook);
	s.our_hook = str_of(self);
	s.our_folder = str_of(folder);
	if (l) {
		s.env = l->env;
		s.java = l->java;
		s.mounts = buf_str(&l->mounts);
	}
	if (r == 0)
		r = splice_text(text, f, &s, &to, why, n);
	if (r == 0) {
		r = put(bundle, buf_str(&to));
		if (r < 0)
			snprintf(why, n, "cannot be written: %s", strerror(-r));
	}
	buf_done(&hook);
	buf_done(&to);
	return r;
}

/* What an earlier create put into this bundle goes; until then nothing may be looked for in it. */
static void forget_ours(const struct args *a, struct found *f)
{
	char folder[160];
	size_t n = (size_t)snprintf(folder, sizeof(folder), "%s/oci/", a->run_dir);

	for (uint32_t i = 0; i < f->mounts.count; i++)
		if (!strncmp(found_words(f, f->mount_of[i].from).p, folder, n))
			f->mount_of[i].to.n = 0;
}

/* What is left out is not over the root's own files either. */
static void forget_hidden(struct found *f, const bool *hidden)
{
	for (uint32_t i = 0; i < f->mounts.count; i++)
		if (hidden[i])
			f->mount_of[i].to.n = 0;
}

/* NET_ADMIN is not among them: it is taken away. The child found the places; here bytes are
 * compared. */
static uint64_t powers_look(struct str text, const struct found *f)
{
	static const char *const names[] = { "SYS_ADMIN",      "SYS_PTRACE", "SYS_MODULE",
					     "SYS_RAWIO",      "BPF",	     "PERFMON",
					     "DAC_READ_SEARCH" };
	const struct slot *bounding = &f->caps[0];

	for (uint32_t i = 0; bounding->state == SLOT_LIST && i < bounding->count; i++) {
		struct place at = f->items[bounding->first + i];
		struct str word = { text.p + at.at, at.end - at.at };

		for (size_t k = 0; k < ARRAY_SIZE(names); k++)
			if (str_starts(word, "\"CAP_") && word.n == strlen(names[k]) + 6 &&
			    !memcmp(word.p + 5, names[k], word.n - 6))
				return PREPARE_POWERS;
	}
	return 0;
}

static int prepare(struct args *a, bool *ret_laid)
{
	cleanup_free bool *sockets = mem_new(FOUND_MOUNTS_MAX * sizeof(bool));
	cleanup_close int bundle = open(a->bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct found *f = NULL;
	struct prepared p;
	struct laid l;
	struct buf text;
	char why[1024];
	bool hide;
	int r = bundle < 0 ? -errno : 0;

	buf_init(&text, OCI_CONFIG_MAX);
	if (r == 0)
		r = oci_read(bundle, CONFIG, OCI_CONFIG_MAX, &text);
	if (r < 0)
		snprintf(why, sizeof(why), "%s", r == -EFBIG ? "larger than 4 MiB" : strerror(-r));
	else
		r = found_look(FOUND_CONFIG, buf_str(&text), OCI_READER_UID, &f, why, sizeof(why));
	if (r < 0) {
		buf_done(&text);
		return oci_fail(a, "%s/" CONFIG ": %s", a->bundle, why);
	}
	forget_ours(a, f);
	a->engine = engine_called(a, f);
	r = ask_prepare(a, f, sockets_look(f, sockets) | powers_look(buf_str(&text), f), &p, why,
			sizeof(why));
	if (r < 0) {
		oci_fail(a, "container %s does not start: %s", a->id, why);
		goto out;
	}
	hide = p.flags & PREPARED_HIDE_SOCKETS;
	if (hide)
		forget_hidden(f, sockets);
	if (p.job) {
		*ret_laid = true;
		r = lay_container(a, f, buf_str(&text), &p, &l, why, sizeof(why));
		if (r < 0)
			oci_fail(a, "container %s does not start: %s", a->id, why);
		else if (l.warning[0])
			oci_warn(a, "%s", l.warning);
	}
	if (r == 0 && !(p.flags & PREPARED_EXEMPT)) {
		r = write_spliced(a, bundle, buf_str(&text), f, &p, hide ? sockets : NULL,
				  p.job ? &l : NULL, why, sizeof(why));
		if (r < 0)
			oci_fail(a, "%s/" CONFIG ": %s", a->bundle, why);
		if (p.job)
			lay_done(&l);
	}
	prepared_done(&p);
out:
	found_free(f);
	buf_done(&text);
	return r < 0;
}

int create_main(struct args *a)
{
	char path[PATH_MAX], why[1024];
	bool laid = false;
	int r;

	if (runtime_find(a, path, sizeof(path), why, sizeof(why)) < 0)
		return oci_fail(a, "%s", why);
	r = prepare(a, &laid);
	if (r == 0) {
		r = runtime_wait(path, a->rest, true, why, sizeof(why));
		if (r < 0)
			r = oci_fail(a, "%s", why);
	}
	/* A container that ran in the foreground is gone by now. */
	if (laid && (r != 0 || (a->verb == VERB_RUN && !a->detach)))
		lay_remove(a);
	return r;
}

int delete_main(struct args *a)
{
	char path[PATH_MAX], why[1024];
	int r;

	if (runtime_find(a, path, sizeof(path), why, sizeof(why)) < 0)
		return oci_fail(a, "%s", why);
	r = runtime_wait(path, a->rest, false, why, sizeof(why));
	if (r < 0)
		return oci_fail(a, "%s", why);
	if (r == 0 && a->id && oci_id_ok(a->id))
		lay_remove(a);
	return r;
}

int pause_main(struct args *a)
{
	char path[PATH_MAX], why[1024];
	bool known = a->id && oci_id_ok(a->id);
	int r;

	if (runtime_find(a, path, sizeof(path), why, sizeof(why)) < 0)
		return oci_fail(a, "%s", why);
	if (known && a->verb == VERB_RESUME)
		lay_take(a, false);
	r = runtime_wait(path, a->rest, false, why, sizeof(why));
	if (r < 0)
		return oci_fail(a, "%s", why);
	if (known && r == 0 && a->verb == VERB_PAUSE)
		lay_take(a, true);
	return r;
}
