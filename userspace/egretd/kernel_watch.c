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

struct watched {
	char name[64]; /* of the pin */
	int fd;
	uint32_t id;	    /* of the link or map */
	int cgroup;	    /* -1: a map, or a link that is at no cgroup */
	uint64_t cgroup_id; /* where it must be */
	int prog;
	uint32_t prog_id;
	enum bpf_attach_type type;
	bool link;
};

struct kernel_watch {
	struct watched at[WATCHED_MAX];
	unsigned n;
};

struct kernel_watch *kernel_watch_new(void)
{
	return mem_new(sizeof(struct kernel_watch));
}

static void close_one(struct watched *v)
{
	int fds[] = { v->fd, v->cgroup, v->prog };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

struct kernel_watch *kernel_watch_free(struct kernel_watch *w)
{
	for (unsigned i = 0; w && i < w->n; i++)
		close_one(&w->at[i]);
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

static int add(struct kernel_watch *w, struct watched *v)
{
	if (w->n == WATCHED_MAX) {
		close_one(v);
		return -E2BIG;
	}
	w->at[w->n++] = *v;
	return 0;
}

static int dup_of(int fd)
{
	int r = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return r < 0 ? -errno : r;
}

int kernel_watch_link(struct kernel_watch *w, const char *dir, struct bpf_program *prog, int cgroup)
{
	struct watched v = { .fd = -1, .cgroup = -1, .prog = -1, .link = true };
	struct bpf_link_info info = { 0 };
	int r;

	snprintf(v.name, sizeof(v.name), "link_%s", bpf_program__name(prog));
	r = kernel_pin_get(dir, v.name, false, &v.fd);
	if (!r)
		r = link_info(v.fd, &info);
	if (!r)
		r = prog_id(bpf_program__fd(prog), &v.prog_id);
	if (!r && cgroup >= 0) {
		v.type = bpf_program__expected_attach_type(prog);
		v.prog = dup_of(bpf_program__fd(prog));
		v.cgroup = dup_of(cgroup);
		r = v.prog < 0 ? v.prog : v.cgroup < 0 ? v.cgroup : cgroup_id(cgroup, &v.cgroup_id);
	}
	if (r) {
		close_one(&v);
		return r;
	}
	v.id = info.id;
	return add(w, &v);
}

int kernel_watch_map(struct kernel_watch *w, const char *name, int fd)
{
	struct watched v = { .fd = dup_of(fd), .cgroup = -1, .prog = -1 };
	int r = v.fd < 0 ? v.fd : map_id(v.fd, &v.id);

	if (r) {
		close_one(&v);
		return r;
	}
	snprintf(v.name, sizeof(v.name), "%s", name);
	return add(w, &v);
}

/* 0: attached as it must be. What was put right is told. */
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
	} else if (info.prog_id != v->prog_id) {
		r = bpf_link_update(v->fd, v->prog, NULL);
		if (r)
			return r;
		fn(owner, v->name, "had another program and has ours again", 0);
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
		       kernel_lost_fn fn, void *owner)
{
	char path[KERNEL_PIN_MAX];
	unsigned pins = 0;
	int worst = 0, r;

	/* All attachments first: a pin that is gone opens nothing while we live. */
	for (unsigned i = 0; i < w->n; i++) {
		struct watched *v = &w->at[i];

		r = v->cgroup >= 0 ? check_link(v, fn, owner) : 0;
		if (r) {
			fn(owner, v->name, "is gone and cannot be attached anew", r);
			worst = r;
		}
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
