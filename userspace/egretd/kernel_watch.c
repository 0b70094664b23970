/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links and maps are held twice: by their pins, for the time without an egretd, and by descriptors
 * here, so that an unmounted bpffs or a removed pin takes nothing away while egretd lives. What
 * only root can do is looked for by kernel_watch_check(): a link that was detached, one that got
 * another program, a pin that is gone or is somebody else's. Each is put back where it can be.
 * Called by kernel.c; reads what the kernel says of its own objects.
 */
#include "egretd/kernel_watch.h"
#include "egretd/cgroup.h"
#include "egretd/kernel_pin.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WATCHED_MAX 128
#define CGROUPS_MAX 8

struct watched {
	char name[64];	    /* of the pin */
	int fd;		    /* a map's is libbpf's */
	uint32_t id;	    /* of the link or map */
	int cgroup;	    /* one of w->cgroups; -1: a map, or a link that is at no cgroup */
	uint64_t cgroup_id; /* where it must be */
	int prog;	    /* libbpf's */
	uint32_t prog_id;
	enum bpf_attach_type type;
	bool link;
};

struct kernel_watch {
	struct watched at[WATCHED_MAX];
	unsigned n;
	struct {
		int fd;
		uint64_t id;
	} cgroups[CGROUPS_MAX]; /* kept open once for all links at it */
	unsigned ncgroups;
};

struct kernel_watch *kernel_watch_new(void)
{
	return mem_new(sizeof(struct kernel_watch));
}

struct kernel_watch *kernel_watch_free(struct kernel_watch *w)
{
	for (unsigned i = 0; w && i < w->n; i++)
		if (w->at[i].link)
			close(w->at[i].fd);
	for (unsigned i = 0; w && i < w->ncgroups; i++)
		close(w->cgroups[i].fd);
	free(w);
	return NULL;
}

static int link_info(int fd, struct bpf_link_info *ret)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	int r = bpf_obj_get_info_by_fd(fd, &info, &len);

	if (!r)
		*ret = info;
	return r;
}

static int map_id(int fd, uint32_t *ret)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	int r = bpf_obj_get_info_by_fd(fd, &info, &len);

	if (!r)
		*ret = info.id;
	return r;
}

static int prog_id(int fd, uint32_t *ret)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	int r = bpf_obj_get_info_by_fd(fd, &info, &len);

	if (!r)
		*ret = info.id;
	return r;
}

static int cgroup_keep(struct kernel_watch *w, int cgroup, struct watched *v)
{
	int fd, r = cgroup_id(cgroup, &v->cgroup_id);

	for (unsigned i = 0; i < w->ncgroups && !r; i++) {
		if (w->cgroups[i].id == v->cgroup_id) {
			v->cgroup = w->cgroups[i].fd;
			return 0;
		}
	}
	if (r)
		return r;
	if (w->ncgroups == CGROUPS_MAX)
		return -E2BIG;
	fd = fcntl(cgroup, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	w->cgroups[w->ncgroups].fd = v->cgroup = fd;
	w->cgroups[w->ncgroups++].id = v->cgroup_id;
	return 0;
}

int kernel_watch_link(struct kernel_watch *w, const char *dir, struct bpf_program *prog, int cgroup)
{
	struct watched v = { .fd = -1, .cgroup = -1, .link = true };
	struct bpf_link_info info = { 0 };
	int r = w->n == WATCHED_MAX ? -E2BIG : 0;

	snprintf(v.name, sizeof(v.name), "link_%s", bpf_program__name(prog));
	v.prog = bpf_program__fd(prog);
	v.type = bpf_program__expected_attach_type(prog);
	if (!r)
		r = prog_id(v.prog, &v.prog_id);
	if (!r && cgroup >= 0)
		r = cgroup_keep(w, cgroup, &v);
	if (!r)
		r = kernel_pin_get(dir, v.name, false, &v.fd);
	if (!r)
		r = link_info(v.fd, &info);
	if (r) {
		if (v.fd >= 0)
			close(v.fd);
		return r;
	}
	v.id = info.id;
	w->at[w->n++] = v;
	return 0;
}

unsigned kernel_watch_links(const struct kernel_watch *w, int *to, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; w && i < w->n && n < max; i++)
		if (w->at[i].link && w->at[i].fd >= 0)
			to[n++] = w->at[i].fd;
	return n;
}

int kernel_watch_map(struct kernel_watch *w, const char *name, int fd)
{
	struct watched v = { .fd = fd, .cgroup = -1, .prog = -1 };
	int r = w->n == WATCHED_MAX ? -E2BIG : map_id(fd, &v.id);

	if (r)
		return r;
	snprintf(v.name, sizeof(v.name), "%s", name);
	w->at[w->n++] = v;
	return 0;
}

/* 0: attached as it must be; 1: it was put right, which is told. */
static int check_link(struct watched *v, kernel_lost_fn fn, void *owner)
{
	struct bpf_link_info info;
	int r = link_info(v->fd, &info), fd;

	if (r)
		return r;
	if (info.cgroup.cgroup_id != v->cgroup_id) {
		/* A detached link stays so: another one takes its place. */
		fd = bpf_link_create(v->prog, v->cgroup, v->type, NULL);
		r = fd < 0 ? fd : link_info(fd, &info);
		if (r) {
			if (fd >= 0)
				close(fd);
			return r;
		}
		close(v->fd);
		v->fd = fd;
		v->id = info.id;
		fn(owner, v->name, "was detached and is attached anew", 0);
		return 1;
	} else if (info.prog_id != v->prog_id) {
		r = bpf_link_update(v->fd, v->prog, NULL);
		if (r)
			return r;
		fn(owner, v->name, "had another program and has ours again", 0);
		return 1;
	}
	return 0;
}

static bool pin_stands(const struct watched *v, const char *path)
{
	struct bpf_link_info info = { 0 };
	cleanup_close int fd = -1;
	uint32_t id = 0;
	int r = bpf_obj_get(path);

	if (r < 0)
		return false;
	fd = r;
	if (v->link)
		r = link_info(fd, &info);
	else
		r = map_id(fd, &id);
	return r == 0 && (v->link ? info.id : id) == v->id;
}

static int pin_anew(const struct watched *v, const char *instance, const char *path)
{
	char dir[KERNEL_PIN_MAX], why[256];
	bool reused;
	int r = kernel_pin_dir(instance, dir, &reused, why, sizeof(why));

	if (r)
		return r;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	return bpf_obj_pin(v->fd, path);
}

int kernel_watch_check(struct kernel_watch *w, const char *instance, const char *dir,
		       struct kernel_change *change, kernel_lost_fn fn, void *owner)
{
	char path[KERNEL_PIN_MAX];
	unsigned pins = 0;
	bool back = false;
	int worst = 0, r;

	/* All attachments first: a pin that is gone opens nothing while we live. */
	for (unsigned i = 0; i < w->n; i++) {
		struct watched *v = &w->at[i];

		r = v->cgroup >= 0 ? check_link(v, fn, owner) : 0;
		back |= r > 0;
		if (r < 0) {
			fn(owner, v->name, "is gone and cannot be attached anew", r);
			worst = r;
		}
	}
	if (back) {
		kernel_change_begin(change);
		kernel_change_end(&change);
	}
	for (unsigned i = 0; i < w->n; i++) {
		struct watched *v = &w->at[i];

		if (kernel_pin_path(dir, v->name, path) || pin_stands(v, path))
			continue;
		r = pin_anew(v, instance, path);
		if (r)
			fn(owner, v->name, "is pinned no more and cannot be pinned anew", r);
		pins++;
	}
	if (pins) {
		snprintf(path, sizeof(path), "%u pins", pins);
		fn(owner, path, "were gone or were others' and are made anew", 0);
	}
	return worst;
}
