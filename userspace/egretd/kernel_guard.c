/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LSM programs (bpf/guard*.bpf.c), as far as this kernel has them: some kernels refuse every
 * such program, some lack a hook. Neither may take the other walls along, so this is found out
 * before the load: a program of two instructions is tried first, and a program whose hook the
 * kernel does not have is left out. That they are attached does not prove that the kernel calls
 * them: trial_lsm.c. Called by kernel.c and egretd; every byte here is egretd's own.
 */
#include "egretd/authority.h"
#include "egretd/kernel.h"
#include "egretd/kernel_pin.h"
#include "egretd/kernel_watch.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* "file_open" of a program in the section "lsm/file_open"; NULL: not a guard. */
static const char *hook_of(const struct bpf_program *p)
{
	const char *section = bpf_program__section_name(p);

	return strncmp(section, "lsm/", 4) == 0 ? section + 4 : NULL;
}

int kernel_guard_probe(char *why, size_t size)
{
	const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC);
	int id = libbpf_find_vmlinux_btf_id("socket_create", BPF_LSM_MAC), r;

	if (id <= 0) {
		snprintf(why, size, "this kernel was built without BPF LSM (CONFIG_BPF_LSM)");
		return -ENOTSUP;
	}
	opts.attach_btf_id = (__u32)id;
	r = bpf_prog_load(BPF_PROG_TYPE_LSM, "egret_probe", "GPL", nothing, ARRAY_SIZE(nothing),
			  &opts);
	if (r < 0) {
		snprintf(why, size, "this kernel refuses every LSM program (%s)", strerror(-r));
		return -ENOTSUP;
	}
	close(r);
	return 0;
}

/* The kernel has a function of this name for each hook. */
static bool has_hook(const struct btf *kernel, const char *hook)
{
	char name[80];

	snprintf(name, sizeof(name), "bpf_lsm_%s", hook);
	return btf__find_by_name_kind(kernel, name, BTF_KIND_FUNC) > 0;
}

int kernel_guard_choose(struct bpf_object *o, bool on, char *lacking, size_t size)
{
	struct btf *kernel = on ? btf__load_vmlinux_btf() : NULL;
	struct bpf_program *p;
	size_t at = 0;
	int r = on && !kernel ? -errno : 0;

	lacking[0] = 0;
	bpf_object__for_each_program(p, o)
	{
		const char *hook = hook_of(p);
		bool has;

		if (!hook || r)
			continue;
		has = on && has_hook(kernel, hook);
		if (on && !has && at < size)
			at += (size_t)snprintf(lacking + at, size - at, "%s%s", at ? ", " : "",
					       hook);
		r = bpf_program__set_autoload(p, has);
	}
	btf__free(kernel);
	return r;
}

bool kernel_guard_is(const struct bpf_object *o, const char *text)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, o)
	{
		char quoted[80];

		snprintf(quoted, sizeof(quoted), "'%s'", bpf_program__name(p));
		if (hook_of(p) && strstr(text, quoted))
			return true;
	}
	return false;
}

int kernel_guard_attach(struct kernel_watch *w, const char *dir, const struct bpf_object *o,
			char *why, size_t size)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, o)
	{
		int r;

		if (!hook_of(p) || !bpf_program__autoload(p))
			continue;
		r = kernel_pin_tracing(dir, p);
		if (!r)
			r = kernel_watch_link(w, dir, p, -1);
		if (r) {
			snprintf(why, size, "the program %s cannot be attached (%s)",
				 bpf_program__name(p), strerror(-r));
			return r;
		}
	}
	return 0;
}

int kernel_guard_control(struct kernel *k, int sock)
{
	uint8_t one = 1;

	return bpf_map_update_elem(kernel_map_fd(k, KERNEL_CONTROL), &sock, &one, BPF_ANY);
}

/* The cgroup that egretd itself is in: a service's of its own, or the one of whoever called `egret
 * run`. */
static int self_id(const struct cgroups *cg, uint64_t *ret)
{
	cleanup_close int text_fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC), fd = -1;
	cleanup_free char *text = mem_new(CGROUP_PATH_MAX), *path = mem_new(CGROUP_PATH_MAX);
	ssize_t n = text_fd < 0 ? -1 : read(text_fd, text, CGROUP_PATH_MAX - 1);
	struct str self;

	if (n <= 0 || authority_cgroup_path((struct str){ text, (size_t)n }, &self) < 0)
		return -ENOENT;
	snprintf(path, CGROUP_PATH_MAX, ".%.*s", (int)self.n, self.p);
	fd = openat(cg->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : cgroup_id(fd, ret);
}

int kernel_guard_own(struct kernel *k, const struct cgroups *cg)
{
	const uint8_t alone = EGRET_OWN_ALONE, below = EGRET_OWN_BELOW;
	int fd = kernel_map_fd(k, KERNEL_OWN);
	uint64_t self = 0, own = 0, next = 0, key;
	const uint64_t *at = NULL;
	int r = self_id(cg, &self);

	if (!r)
		r = cgroup_id(cg->own, &own);
	if (!r)
		r = bpf_map_update_elem(fd, &self, &alone, BPF_ANY);
	if (!r)
		r = bpf_map_update_elem(fd, &own, &below, BPF_ANY);
	/* What an earlier egretd was in. */
	while (!r && bpf_map_get_next_key(fd, at, &next) == 0) {
		if (next != self && next != own) {
			r = bpf_map_delete_elem(fd, &next);
			at = NULL;
			continue;
		}
		key = next;
		at = &key;
	}
	return r;
}
