/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads, pins, attaches and replaces the kernel programs, and writes their maps. With kernel_pin.c
 * the only file that includes libbpf. Called by egretd; every byte that goes into a map was made by
 * egretd itself.
 */
#include "egretd/kernel.h"
#include "egretd/cgroup.h"
#include "egretd/kernel_older.h"
#include "egretd/kernel_pin.h"
#include "egretd/kernel_watch.h"
#include "egretd/kernel_words.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "egret.skel.h"

struct kernel {
	struct egret_bpf *skel;
	char dir[KERNEL_PIN_MAX];
	char older[KERNEL_PIN_MAX];   /* the folder that an upgrade starts from; "": none */
	bool cgroups_anew, cage_anew; /* the older folder has them in another shape */
	bool reused;
	char no_hold[160];  /* why tasks cannot be held; "": they can */
	bool guard;	    /* LSM programs are loaded */
	char no_guard[200]; /* why not, or not all; "": they are, and attached */
	struct kernel_hold *hold;
	struct kernel_change *change;
	struct kernel_watch *watch;
	char instance[64];
};

/* libbpf's first complaint of a load: the sentence that goes into `why`. */
static char complaint[160];

__attribute__((format(printf, 2, 0))) static int keep_complaint(enum libbpf_print_level level,
								const char *fmt, va_list ap)
{
	if (level != LIBBPF_WARN || complaint[0])
		return 0;
	vsnprintf(complaint, sizeof(complaint), fmt, ap);
	complaint[strcspn(complaint, "\n")] = 0;
	return 0;
}

/* Every map has its pin in this version's folder; those of an older one go on under both. */
static int maps_pin(struct kernel *k, char *why, size_t size)
{
	struct kernel_words words = { .ours = bpf_object__btf(k->skel->obj) };
	char path[KERNEL_PIN_MAX];
	struct bpf_map *m;
	int r = 0;

	bpf_object__for_each_map(m, k->skel->obj)
	{
		if (bpf_map__is_internal(m))
			continue;
		r = kernel_pin_path(k->dir, bpf_map__name(m), path);
		if (!r)
			r = bpf_map__set_pin_path(m, path);
		if (!r && k->older[0]) {
			r = kernel_older_map(k->older, m, &words, why, size);
			k->cgroups_anew |= r == 0 && m == k->skel->maps.egret_cgroups;
			k->cage_anew |= r == 0 && m == k->skel->maps.egret_cage;
		} else if (!r && k->reused) {
			r = kernel_words_check(&words, k->dir, m, why, size);
		}
		if (r < 0)
			break;
	}
	kernel_words_done(&words);
	return r < 0 ? r : 0;
}

/* Attaches every program, or (check) only looks whether it could be: what stands is not touched. */
static int links_make(struct kernel *k, const struct kernel_where *w, bool check, char *why,
		      size_t size)
{
	struct egret_bpf *s = k->skel;
	const struct {
		struct bpf_program *prog;
		int cgroup;
	} rows[] = {
		{ s->progs.egret_flow_in, w->listen },
		{ s->progs.egret_listener_end, w->listen }, /* before who goes by it */
		{ s->progs.egret_cage_c4, w->proxies },
		{ s->progs.egret_cage_c6, w->proxies },
		{ s->progs.egret_cage_s4, w->proxies },
		{ s->progs.egret_cage_s6, w->proxies },
		{ s->progs.egret_cage_b4, w->proxies },
		{ s->progs.egret_cage_b6, w->proxies },
		{ s->progs.egret_cage_sock, w->proxies },
		/* The last wall first: what comes between two attachments is dropped, not let out.
		 */
		{ s->progs.egret_egress, w->jobs },
		{ s->progs.egret_ingress, w->jobs },
		{ s->progs.egret_sock, w->jobs },
		{ s->progs.egret_bind4, w->jobs },
		{ s->progs.egret_bind6, w->jobs },
		{ s->progs.egret_option, w->jobs },
		{ s->progs.egret_flow_out, w->jobs },
		{ s->progs.egret_peername4, w->jobs },
		{ s->progs.egret_peername6, w->jobs },
		{ s->progs.egret_recvmsg4, w->jobs },
		{ s->progs.egret_recvmsg6, w->jobs },
		{ s->progs.egret_sendmsg4, w->jobs },
		{ s->progs.egret_sendmsg6, w->jobs },
		{ s->progs.egret_connect4, w->jobs },
		{ s->progs.egret_connect6, w->jobs },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *name = bpf_program__name(rows[i].prog);
		const char *standing = k->older[0] ? k->older : k->dir;
		int r = check ? kernel_pin_check(standing, rows[i].prog, rows[i].cgroup)
			      : kernel_pin_link(k->dir, k->older, rows[i].prog, rows[i].cgroup);

		if (!r && !check)
			r = kernel_watch_link(k->watch, k->dir, rows[i].prog, rows[i].cgroup);
		if (r == -EBUSY)
			snprintf(why, size,
				 "egret's programs stand at another cgroup, as \"attach\" or "
				 "run_dir "
				 "said before: end what they govern, remove the folder %s, and "
				 "start "
				 "egretd again",
				 standing);
		else if (r)
			snprintf(why, size, "the program %s cannot be attached (%s)", name,
				 strerror(-r));
		if (r)
			return r;
	}
	return 0;
}

static int load_once(struct kernel *k, const struct kernel_where *w, bool hold, bool guard,
		     char *why, size_t size)
{
	char lacking[120];
	uint64_t id, listen_id;
	int r = cgroup_id(w->jobs, &id);

	if (!r)
		r = cgroup_id(w->listen, &listen_id);
	if (r) {
		snprintf(why, size, "egret's cgroups cannot be asked for their ids (%s)",
			 strerror(-r));
		return r;
	}
	complaint[0] = 0;
	egret_bpf__destroy(k->skel);
	k->skel = egret_bpf__open();
	if (!k->skel) {
		r = -errno;
		snprintf(why, size, "egret's kernel programs cannot be read (%s)", strerror(-r));
		return r;
	}
	k->skel->rodata->egret_attach_level = w->jobs_level;
	k->skel->rodata->egret_attach_id = id;
	k->skel->rodata->egret_listen_id = listen_id;
	k->skel->rodata->egret_unknown_pass = w->unknown_pass;
	r = maps_pin(k, why, size);
	if (!r)
		r = bpf_program__set_autoload(k->skel->progs.egret_hold, hold);
	if (!r)
		r = kernel_guard_choose(k->skel->obj, guard, lacking, sizeof(lacking));
	if (!r && lacking[0])
		snprintf(k->no_guard, sizeof(k->no_guard), "this kernel has no LSM hook for: %s",
			 lacking);
	if (!r)
		r = egret_bpf__load(k->skel);
	return r;
}

static int load(struct kernel *k, const struct kernel_where *w, char *why, size_t size)
{
	int r;

	libbpf_set_print(keep_complaint);
	why[0] = 0;
	k->guard = kernel_guard_probe(k->no_guard, sizeof(k->no_guard)) == 0;
	r = load_once(k, w, true, k->guard, why, size);
	if (r && !why[0] && k->guard && kernel_guard_is(k->skel->obj, complaint)) {
		snprintf(k->no_guard, sizeof(k->no_guard), "the kernel refused a program (%s)",
			 complaint);
		k->guard = false;
		r = load_once(k, w, true, k->guard, why, size);
	}
	/* A kernel that does not take the one program that is only comfort takes the others. */
	if (r && !why[0]) {
		snprintf(k->no_hold, sizeof(k->no_hold), "the kernel refused the program (%s)",
			 complaint);
		r = load_once(k, w, false, k->guard, why, size);
	}
	if (r == 0 || why[0])
		return r;
	if (r == -ESRCH || access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		snprintf(why, size,
			 "this kernel has no type information (/sys/kernel/btf/vmlinux): boot one "
			 "built with CONFIG_DEBUG_INFO_BTF, e.g. Debian's");
	else if (r == -EPERM && geteuid() != 0)
		snprintf(why, size, "egret loads kernel programs: run as root");
	else if (r == -EINVAL && k->reused)
		snprintf(
			why, size,
			"the maps pinned in %s are another version's: end its jobs and remove them "
			"(%s)",
			k->dir, complaint);
	else
		snprintf(why, size, "the kernel refused egret's programs (%s): %s", strerror(-r),
			 complaint);
	return r;
}

/* Holding is comfort: without it egretd starts, and says so. */
static void hold_attach(struct kernel *k)
{
	int r;

	if (k->no_hold[0])
		return;
	r = kernel_pin_tracing(k->dir, k->skel->progs.egret_hold);
	if (!r)
		r = kernel_watch_link(k->watch, k->dir, k->skel->progs.egret_hold, -1);
	if (r)
		snprintf(k->no_hold, sizeof(k->no_hold), "the program cannot be attached (%s)",
			 strerror(-r));
}

int kernel_load(const struct kernel_where *w, struct kernel **ret, char *why, size_t size)
{
	struct kernel *k = mem_new(sizeof(*k));
	int r = kernel_older_find(w->instance, k->older, why, size);

	snprintf(k->instance, sizeof(k->instance), "%s", w->instance);
	if (!r)
		r = kernel_pin_dir(w->instance, k->dir, &k->reused, why, size);
	if (!r)
		r = load(k, w, why, size);
	if (!r)
		r = links_make(k, w, true, why, size);
	if (!r) {
		r = kernel_change_open(bpf_map__fd(k->skel->maps.egret_changes), &k->change);
		if (r)
			snprintf(why, size, "the counters of changes cannot be mapped (%s)",
				 strerror(-r));
	}
	if (!r) {
		r = kernel_hold_open(k, &k->hold);
		if (r)
			snprintf(why, size, "the ring of held tasks cannot be read (%s)",
				 strerror(-r));
	}
	if (r) {
		/* Nothing half-made; but what an older egretd left standing stays. */
		char ignored[128];

		if (k->dir[0] && !k->reused)
			(void)!kernel_unpin(w->instance, ignored, sizeof(ignored));
		kernel_free(k);
		return r;
	}
	k->reused |= k->older[0] != 0;
	*ret = k;
	return 0;
}

/* Held by descriptors too (kernel_watch.c). */
static int maps_hold(struct kernel *k, char *why, size_t size)
{
	struct bpf_map *m;
	int r = 0;

	bpf_object__for_each_map(m, k->skel->obj)
	{
		if (!r && !bpf_map__is_internal(m))
			r = kernel_watch_map(k->watch, bpf_map__name(m), bpf_map__fd(m));
	}
	if (r)
		snprintf(why, size, "egret's maps cannot be held (%s)", strerror(-r));
	return r;
}

int kernel_attach(struct kernel *k, const struct kernel_where *w, char *why, size_t size)
{
	int r;

	kernel_watch_free(k->watch);
	k->watch = kernel_watch_new();
	{
		/* What other programs kept meanwhile, who may not count, is void. */
		CHANGES(k);

		r = links_make(k, w, false, why, size);
	}
	if (!r)
		hold_attach(k);
	/* So is this tier: where it does not stand, that is said, and the other walls do. */
	if (!r && k->guard)
		(void)!kernel_guard_attach(k->watch, k->dir, k->skel->obj, k->no_guard,
					   sizeof(k->no_guard));
	return r ? r : maps_hold(k, why, size);
}

int kernel_settle(struct kernel *k, char *why, size_t size)
{
	return kernel_older_remove(k->older, why, size);
}

int kernel_back(struct kernel *k, const struct kernel_where *w, char *why, size_t size)
{
	char none[KERNEL_PIN_MAX];
	int r = kernel_attach(k, w, why, size);

	/* This version's folder is the lowest: what is above it goes. */
	return r ? r : kernel_older_find(w->instance, none, why, size);
}

int kernel_open(const struct kernel_where *w, struct kernel **ret, char *why, size_t size)
{
	struct kernel *k = NULL;
	char ignored[128];
	int r = kernel_load(w, &k, why, size);

	if (r)
		return r;
	r = kernel_attach(k, w, why, size);
	if (!r)
		r = kernel_settle(k, why, size);
	if (r) {
		if (!k->reused && kernel_unpin(w->instance, ignored, sizeof(ignored)) < 0)
			ignored[0] = 0;
		kernel_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

struct kernel *kernel_free(struct kernel *k)
{
	if (!k)
		return NULL;
	kernel_hold_close(k->hold);
	kernel_change_close(k->change);
	kernel_watch_free(k->watch);
	egret_bpf__destroy(k->skel);
	free(k);
	return NULL;
}

bool kernel_reused(const struct kernel *k)
{
	return k->reused;
}

bool kernel_is_older(const struct kernel *k)
{
	return k->older[0] != 0;
}

bool kernel_cage_anew(const struct kernel *k)
{
	return k->cage_anew;
}

static void nobodys(void *owner, uint64_t cgroup)
{
	struct kernel *k = owner;

	/* When the table cannot take it, the links are not changed either. */
	if (!kernel_cgroup_known(k, cgroup) && kernel_cgroup_set(k, cgroup, 0, 0) < 0)
		k->cgroups_anew = false;
}

int kernel_cgroups_nobodys(struct kernel *k)
{
	int r;

	if (!k->cgroups_anew)
		return 0;
	r = kernel_older_cgroups(k->older, nobodys, k);
	return r ? r : k->cgroups_anew ? 0 : -E2BIG;
}

const char *kernel_no_hold(const struct kernel *k)
{
	return k->no_hold[0] ? k->no_hold : NULL;
}

const char *kernel_no_guard(const struct kernel *k)
{
	return k->no_guard[0] ? k->no_guard : NULL;
}

int kernel_map_fd(struct kernel *k, enum kernel_map which)
{
	const struct bpf_map *maps[] = {
		[KERNEL_CGROUPS] = k->skel->maps.egret_cgroups,
		[KERNEL_LISTENERS] = k->skel->maps.egret_listeners,
		[KERNEL_CAGE] = k->skel->maps.egret_cage,
		[KERNEL_MEMBERS] = k->skel->maps.egret_members,
		[KERNEL_PUBLISHED] = k->skel->maps.egret_published,
		[KERNEL_HOLDS] = k->skel->maps.egret_holds,
		[KERNEL_BEAT] = k->skel->maps.egret_beat,
		[KERNEL_HELD] = k->skel->maps.egret_held,
		[KERNEL_DIRECT] = k->skel->maps.egret_direct,
		[KERNEL_LINKS] = k->skel->maps.egret_links,
		[KERNEL_OWN] = k->skel->maps.egret_own,
		[KERNEL_SPOKEN] = k->skel->maps.egret_spoken,
		[KERNEL_CONTROL] = k->skel->maps.egret_control,
		[KERNEL_HOSTADDRS] = k->skel->maps.egret_hostaddrs,
		[KERNEL_DIALLER] = k->skel->maps.egret_dialler,
	};

	return bpf_map__fd(maps[which]);
}

int kernel_link_prog(struct kernel *k)
{
	return bpf_program__fd(k->skel->progs.egret_link);
}

unsigned kernel_links(const struct kernel *k, int *to, unsigned max)
{
	return kernel_watch_links(k->watch, to, max);
}

int kernel_links_check(struct kernel *k, kernel_lost_fn fn, void *owner)
{
	(void)kernel_change_mend(k->change);
	return kernel_watch_check(k->watch, k->instance, k->dir, k->change, fn, owner);
}

struct kernel_hold *kernel_hold_of(struct kernel *k)
{
	return k->hold;
}

struct kernel_change *kernel_change_of(struct kernel *k)
{
	return k->change;
}

int kernel_cgroup_put(struct kernel *k, uint64_t cgroup, const struct egret_cgroup *v)
{
	CHANGES(k);

	if (!cgroup)
		return -EINVAL;
	return bpf_map_update_elem(bpf_map__fd(k->skel->maps.egret_cgroups), &cgroup, v, BPF_ANY);
}

int kernel_cgroup_set(struct kernel *k, uint64_t cgroup, uint64_t job, uint32_t flags)
{
	return kernel_cgroup_put(k, cgroup, &(struct egret_cgroup){ .job = job, .flags = flags });
}

static int gone(int r)
{
	return r == -ENOENT ? 0 : r;
}

bool kernel_cgroup_known(struct kernel *k, uint64_t cgroup)
{
	struct egret_cgroup v;

	return bpf_map_lookup_elem(bpf_map__fd(k->skel->maps.egret_cgroups), &cgroup, &v) !=
	       -ENOENT;
}

int kernel_cgroup_del(struct kernel *k, uint64_t cgroup)
{
	CHANGES(k);

	return gone(bpf_map_delete_elem(bpf_map__fd(k->skel->maps.egret_cgroups), &cgroup));
}

static int ports_each(struct kernel *k, const struct egret_listener_key *key,
		      const struct egret_listener *l, bool set)
{
	const uint16_t ports[] = { l->tcp4_be, l->tcp6_be, l->dns4_be, l->dns6_be };
	int fd = bpf_map__fd(k->skel->maps.egret_ports);
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ports) && !r; i++) {
		struct egret_port_key p = { .netns = key->netns, .port = be16toh(ports[i]) };
		__u64 job = 0;

		if (!p.port)
			continue;
		if (set)
			r = bpf_map_update_elem(fd, &p, &key->job, BPF_ANY);
		else if (bpf_map_lookup_elem(fd, &p, &job) == 0 && job == key->job)
			r = gone(bpf_map_delete_elem(fd, &p));
	}
	return r;
}

int kernel_listener_set(struct kernel *k, uint64_t job, uint64_t netns,
			const struct egret_listener *l)
{
	struct egret_listener_key key = { .job = job, .netns = netns };
	struct egret_listener old;
	int fd = bpf_map__fd(k->skel->maps.egret_listeners);
	bool had = bpf_map_lookup_elem(fd, &key, &old) == 0;
	int r = ports_each(k, &key, l, true);

	if (!r)
		r = bpf_map_update_elem(fd, &key, l, BPF_ANY);
	if (r || !had || memcmp(&old, l, sizeof(old)) == 0)
		return r;
	r = ports_each(k, &key, &old, false);
	return r ? r : ports_each(k, &key, l, true);
}

int kernel_listener_del(struct kernel *k, uint64_t job, uint64_t netns)
{
	struct egret_listener_key key = { .job = job, .netns = netns };
	struct egret_listener old;
	int fd = bpf_map__fd(k->skel->maps.egret_listeners);
	int r = bpf_map_lookup_elem(fd, &key, &old);

	if (r)
		return gone(r);
	r = gone(bpf_map_delete_elem(fd, &key));
	return r ? r : ports_each(k, &key, &old, false);
}

int kernel_accepted_fd(struct kernel *k, int *ret)
{
	return kernel_pin_get(k->dir, "egret_accepted", true, ret);
}

int kernel_events_fd(struct kernel *k, int *ret)
{
	return kernel_pin_get(k->dir, "egret_events", false, ret);
}

int kernel_lost_fd(struct kernel *k, int *ret)
{
	return kernel_pin_get(k->dir, "egret_lost", true, ret);
}

static int percpu_sum(int fd, uint32_t key, uint64_t *ret)
{
	int cpus = libbpf_num_possible_cpus();
	cleanup_free uint64_t *v = NULL;
	uint64_t sum = 0;
	int r;

	if (cpus < 0)
		return cpus;
	v = mem_new((size_t)cpus * sizeof(*v));
	r = bpf_map_lookup_elem(fd, &key, v);
	if (r)
		return r;
	for (int i = 0; i < cpus; i++)
		sum += v[i];
	*ret = sum;
	return 0;
}

int kernel_lost(struct kernel *k, uint64_t *ret)
{
	return percpu_sum(bpf_map__fd(k->skel->maps.egret_lost), 0, ret);
}

int kernel_refused(struct kernel *k, uint64_t ret[EGRET_R_MAX])
{
	uint64_t sums[EGRET_R_MAX] = { 0 };

	for (uint32_t i = 0; i < EGRET_R_MAX; i++) {
		int r = percpu_sum(bpf_map__fd(k->skel->maps.egret_refused), i, &sums[i]);

		if (r)
			return r;
	}
	memcpy(ret, sums, sizeof(sums));
	return 0;
}

int kernel_record(int accepted_fd, int sock, struct egret_record *ret)
{
	struct egret_record rec;
	int r = bpf_map_lookup_elem(accepted_fd, &sock, &rec);

	if (r)
		return r;
	*ret = rec;
	return 0;
}
