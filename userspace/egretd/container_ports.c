/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports are the engine's only after the container has started: before, they are what a
 * job asked for, and may be a host daemon's. Docker writes its file about the container anew then.
 * Each such writing is read again by egret-compile, for a member whose job has a rule "services";
 * what is published opens to that job's members on the host, what is not any more closes. One
 * inotify for all; names are not looked at.
 */
#include "egretd/container.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define READINGS_MAX \
	16 /* of one container: docker writes its file some times, a job cannot make it */

struct ports {
	struct ports *next;
	struct daemon *d;
	struct inspect *inspect;
	bool again;
	int wd;
	unsigned readings;
	uint64_t cgroup;
	const struct config_managed *engine;
	char id[PLACE_ID_MAX];
};

static int inotify = -1;
static struct watch watch;
static struct ports *all;

static void drop(struct ports *p)
{
	struct ports **at;

	for (at = &all; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	inspect_cancel(p->inspect);
	(void)inotify_rm_watch(inotify, p->wd);
	free(p);
}

static void look(struct ports *p);

static void on_inspected(void *owner, int err, const char *text, const struct inspected *found)
{
	struct ports *p = owner;
	struct member *m = member_by_cgroup(p->d, p->cgroup);
	struct member_port list[INSPECTED_LIST_MAX];
	unsigned i;

	p->inspect = NULL;
	if (!m) {
		drop(p);
		return;
	}
	for (i = 0; err == 0 && i < found->nports; i++)
		list[i] = (struct member_port){ found->ports[i].host, found->ports[i].six
									      ? EGRET_PUBLISHED_6
									      : EGRET_PUBLISHED_4 };
	if (err == 0 && member_publish(m, list, found->nports) < 0)
		log_warn("job %s: not all published ports of %.12s can be opened to it",
			 m->job->name, p->id);
	if (p->again) {
		p->again = false;
		look(p);
	}
}

static void look(struct ports *p)
{
	char path[CGROUP_PATH_MAX], why[WHY_MAX];
	cleanup_close int config = -1, host = -1;

	if (!member_by_cgroup(p->d, p->cgroup) || p->readings++ >= READINGS_MAX) {
		drop(p);
		return;
	}
	snprintf(path, sizeof(path), "%s/containers/%s/config.v2.json", p->engine->root.p, p->id);
	config = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	snprintf(path, sizeof(path), "%s/containers/%s/hostconfig.json", p->engine->root.p, p->id);
	host = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (config < 0 || host < 0)
		return; /* between two writings: there is another event */
	if (inspect_start(p->d, config, host, on_inspected, p, &p->inspect, why, sizeof(why)) < 0)
		log_warn("container %.12s: %s", p->id, why);
}

static void on_written(struct watch *w, uint32_t events)
{
	char room[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *e;
	struct ports *p, *next;
	ssize_t n;
	char *at;

	while ((n = read(inotify, room, sizeof(room))) > 0) {
		for (at = room; at < room + n; at += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)at;
			for (p = all; p; p = next) {
				next = p->next;
				if (p->wd != e->wd)
					continue;
				if (p->inspect)
					p->again = true;
				else
					look(p);
			}
		}
	}
}

void container_follow_ports(struct member *m, const struct config_managed *engine, bool runs)
{
	char path[CGROUP_PATH_MAX];
	struct daemon *d = m->job->d;
	struct ports *p;
	int wd;

	if (inotify < 0) {
		inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		if (inotify < 0 ||
		    watch_add(d->loop, &watch, inotify, EPOLLIN, on_written, NULL) < 0) {
			log_warn("docker's files cannot be watched: ports that it chooses itself "
				 "stay closed to jobs on the host");
			return;
		}
	}
	snprintf(path, sizeof(path), "%s/containers/%s", engine->root.p, m->name);
	wd = inotify_add_watch(inotify, path, IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR);
	if (wd < 0)
		return;
	p = mem_new(sizeof(*p));
	p->d = d;
	p->wd = wd;
	p->cgroup = m->cgroup_id;
	p->engine = engine;
	snprintf(p->id, sizeof(p->id), "%s", m->name);
	p->next = all;
	all = p;
	if (runs)
		look(p);
}

void container_ports_gone(uint64_t cgroup)
{
	struct ports *p, *next;

	for (p = all; p; p = next) {
		next = p->next;
		if (p->cgroup == cgroup)
			drop(p);
	}
}
