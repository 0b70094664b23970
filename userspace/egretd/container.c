/* SPDX-License-Identifier: Apache-2.0 */
/* See container.h. This file: a placing from the question to the job that it is of. */
#include "egretd/container.h"

#include "egretd/authority.h"
#include "egretd/control.h"
#include "egretd/mounting.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PLACING_ARENA_MAX (256u << 10)
#define PLACINGS_MAX 1024

static struct placing *all;
static unsigned nall;

struct placing *placing_new(struct daemon *d, enum placing_why why, const char *id)
{
	struct placing *p;

	if (nall == PLACINGS_MAX)
		return NULL;
	p = mem_new(sizeof(*p));
	arena_init(&p->arena, PLACING_ARENA_MAX);
	p->d = d;
	p->why = why;
	p->pidfd = -1;
	snprintf(p->id, sizeof(p->id), "%s", id);
	p->next = all;
	all = p;
	nall++;
	return p;
}

void placing_free(struct placing *p)
{
	struct placing **at;

	timer_del(&p->late);
	inspect_cancel(p->inspect);
	mounting_cancel(p->mount);
	if (p->pidfd >= 0)
		close(p->pidfd);
	for (at = &all; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	nall--;
	arena_done(&p->arena);
	free(p);
}

struct placing *placing_by_id(struct daemon *d, const char *id, enum placing_state state)
{
	struct placing *p;

	for (p = all; p; p = p->next)
		if (p->d == d && p->state == state && !strcmp(p->id, id))
			return p;
	return NULL;
}

bool containers_busy(const struct daemon *d)
{
	const struct placing *p;

	for (p = all; p; p = p->next)
		if (p->d == d && p->state != PLACING_PREPARED && p->state != PLACING_WAIT)
			return true;
	return false;
}

struct placing *placing_by_cgroup(struct daemon *d, uint64_t cgroup)
{
	struct placing *p;

	for (p = all; p; p = p->next)
		if (p->d == d && p->why == PLACING_HELD && p->cgroup_id == cgroup)
			return p;
	return NULL;
}

bool process_lives(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return pidfd >= 0 && poll(&p, 1, 0) == 0;
}

struct job *placing_job(const struct placing *p)
{
	return p->job ? job_by_id(p->d, p->job) : NULL;
}

struct str placing_label(const struct placing *p, const char *key)
{
	size_t n = strlen(key);
	unsigned i;

	for (i = 0; i < p->nlabels; i++)
		if (str_starts(p->labels[i], key) && p->labels[i].n > n && p->labels[i].p[n] == '=')
			return (struct str){ p->labels[i].p + n + 1, p->labels[i].n - n - 1 };
	return STR("");
}

const struct config_managed *engine_by_name(const struct daemon *d, struct str name)
{
	unsigned i;

	for (i = 0; i < d->config.nmanaged; i++)
		if (!d->config.managed[i].unit.n && str_eq(d->config.managed[i].engine, name))
			return &d->config.managed[i];
	/* BuildKit is most often a part of dockerd. */
	return str_is(name, "buildkit") ? engine_by_name(d, STR("docker")) : NULL;
}

/* It must not start, or (held) goes on refused. */
void placing_fail(struct placing *p, int err, const char *why)
{
	if (p->client)
		client_failed(p->client, p->question, err, why);
	else
		log_warn("container %.12s: %s", p->id, why);
	if (p->why == PLACING_HELD) {
		placing_held_over(p, true);
		return;
	}
	placing_free(p);
}

/* The member that waits to be served on behalf of this question; NULL. */
static struct member *waiting_member(const struct placing *p)
{
	struct member *m;
	struct job *j;

	for (j = p->d->jobs; j; j = j->next)
		for (m = j->members; m; m = m->next)
			if (m->served && m->owner == p)
				return m;
	return NULL;
}

static void on_late(struct timer *t)
{
	struct placing *p = t->owner;
	struct member *m;

	if (p->state == PLACING_PREPARED) {
		placing_free(p); /* it was never made */
		return;
	}
	m = waiting_member(p);
	if (m) {
		m->served = NULL;
		member_remove(m);
	}
	placing_fail(p, -ETIMEDOUT,
		     p->state == PLACING_WAIT ? "nobody attached it to a job in time"
					      : "its job was not ready for it in time");
}

void placing_late(struct placing *p, uint64_t ms)
{
	timer_set(p->d->loop, &p->late, ms, on_late, p);
}

void placing_found_job(struct placing *p, struct job *j)
{
	if (p->why == PLACING_PREPARE)
		placing_prepared(p, j);
	else if (p->why == PLACING_JOIN)
		placing_join(p, j);
	else
		placing_held(p, j);
}

static void choose(struct placing *p)
{
	char why[WHY_MAX] = "";
	struct job *j = NULL;
	int r = placing_choose(p, &j, why, sizeof(why));

	if (r < 0) {
		placing_fail(p, r, why);
		return;
	}
	p->job = j ? j->id : 0;
	p->state = PLACING_JOB;
	if (!j || j->state == JOB_RUNNING)
		placing_found_job(p, j);
	/* else containers_job_ready() goes on */
}

static void keep(struct placing *p, struct str label)
{
	if (p->nlabels < PLACING_LABELS_MAX)
		p->labels[p->nlabels++] = arena_str(&p->arena, label);
}

static void copy_list(struct arena *a, const struct inspected_list *from, struct inspected_list *to)
{
	unsigned i;

	for (i = 0; i < from->n; i++)
		to->at[i] = arena_str(a, from->at[i]);
	to->n = from->n;
}

static struct inspected *copy(struct arena *a, const struct inspected *from)
{
	struct inspected *to = arena_new(a, sizeof(*to));

	memset(to, 0, sizeof(*to));
	copy_list(a, &from->labels, &to->labels);
	copy_list(a, &from->networks, &to->networks);
	copy_list(a, &from->aliases, &to->aliases);
	memcpy(to->ports, from->ports, sizeof(to->ports));
	to->nports = from->nports;
	to->flags = from->flags;
	to->name = arena_str(a, from->name);
	return to;
}

static void on_inspected(void *owner, int err, const char *text, const struct inspected *found)
{
	struct placing *p = owner;
	unsigned i;

	p->inspect = NULL;
	if (err < 0) {
		char why[WHY_MAX];

		snprintf(why, sizeof(why), "what the engine wrote about it cannot be read: %s",
			 text);
		placing_fail(p, err, why);
		return;
	}
	p->found = copy(&p->arena, found);
	for (i = 0; i < p->found->labels.n; i++)
		keep(p, p->found->labels.at[i]);
	choose(p);
}

static int open_of(const struct placing *p, const char *file)
{
	char path[CGROUP_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/containers/%s/%s", p->engine->root.p, p->id, file);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static bool is_docker_id(const char *id)
{
	return strlen(id) == 64 && strspn(id, "0123456789abcdef") == 64;
}

/* Docker tells runtimes nothing of labels and networks: they stand in its own files, written before
 * it calls the runtime. Other engines say them as annotations. */
void placing_identify(struct placing *p)
{
	cleanup_close int config = -1, host = -1;
	char why[WHY_MAX] = "";
	int r;

	p->state = PLACING_IDENTIFY;
	placing_late(p, PLACING_MS);
	if (p->engine && str_is(p->engine->engine, "docker") && is_docker_id(p->id)) {
		config = open_of(p, "config.v2.json");
		host = open_of(p, "hostconfig.json");
		if (config < 0 || host < 0) {
			/* BuildKit inside dockerd starts containers that docker knows nothing of.
			 */
			if (config != -ENOENT) {
				placing_fail(p, config,
					     "docker's file about it cannot be opened: "
					     "is \"root\" in \"managed\" right?");
				return;
			}
			choose(p);
			return;
		}
		r = inspect_start(p->d, config, host, on_inspected, p, &p->inspect, why,
				  sizeof(why));
		if (r < 0)
			placing_fail(p, r, why);
		return;
	}
	choose(p);
}

/* CONTAINER, CGROUP, ENGINE and LABEL* of a question. */
static struct placing *question(struct daemon *d, struct client *c, const struct caller *who,
				struct msg_in *m, enum placing_why why)
{
	struct str id, cgroup, engine = STR("docker"), label;
	struct placing *p = NULL;
	const char *fault = NULL;
	char path[CGROUP_PATH_MAX] = "", text[PLACE_ID_MAX];
	const char *slice = d->cg.jobs_path + strlen(d->cg.mount.path);
	const struct config_managed *e = NULL;
	size_t at = 0, n = strlen(slice), i;
	uint64_t flags = 0;

	if (!who->engine)
		fault = "only root of the host, outside jobs, makes containers";
	else if (msg_get_str(m, TAG_CONTAINER, PLACE_ID_MAX - 1, &id) < 0 || id.n == 0)
		fault = "the question names no container";
	for (i = 0; !fault && i < id.n; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-+",
			    id.p[i]) ||
		    (i == 0 && id.p[i] == '.'))
			fault = "the container's id holds characters that no engine uses";
	if (!fault) {
		(void)!msg_get_str(m, TAG_ENGINE, 32, &engine);
		(void)!msg_get_u64(m, TAG_FLAGS, &flags);
		e = engine_by_name(d, engine);
		/* A container that runs is known by its id. */
		if (!e && (why != PLACING_PREPARE || !(flags & PREPARE_EXEC)))
			fault = "its engine is not in \"managed\" of egret's configuration: add { "
				"\"engine\": NAME }, or take egret-runc out of that engine's "
				"configuration";
	}
	if (!fault && msg_get_str(m, TAG_CGROUP, PROTO_TEXT_MAX, &cgroup) == 0) {
		if (place_oci(cgroup, path, sizeof(path)) < 0)
			fault = "its cgroupsPath is not well formed";
		else if (!strncmp(path, slice, n) && path[n] == '/')
			memmove(path, path + n + 1, strlen(path + n + 1) + 1);
		else
			fault = d->cg.attached ? "its cgroup is outside the one that \"attach\" "
						 "names, where "
						 "nothing would hold it: see docs/kubernetes.md"
					       : "its cgroup is outside egret.slice, where nothing "
						 "would hold "
						 "it: take --cgroup-parent away, or set the "
						 "engine's cgroup "
						 "parent as docs/runner-hosts.md says";
	}
	if (!fault) {
		snprintf(text, sizeof(text), "%.*s", STR_ARG(id));
		p = placing_new(d, why, text);
		if (!p)
			fault = "too many containers are being started at once";
	}
	if (fault) {
		client_failed(c, m->id, -EPERM, fault);
		return NULL;
	}
	p->client = c;
	p->container = true;
	p->question = m->id;
	p->engine = e;
	snprintf(p->path, sizeof(p->path), "%s", path);
	p->flags = flags;
	while (msg_each(m, TAG_LABEL, &at, &label))
		keep(p, label);
	return p;
}

/* Outside a slice of ours nothing refuses it: it is let be. In one it is nobody's, as the unknown
 * are. */
static bool exempt(struct placing *p, uint16_t answer)
{
	struct msg_out m;

	if (!p->d->cg.attached || !placing_is_exempt(p))
		return false;
	msg_begin(&m, answer, p->question);
	if (answer == MSG_PREPARED)
		msg_put_u64(&m, TAG_FLAGS, PREPARED_EXEMPT);
	client_send(p->client, &m);
	msg_out_done(&m);
	placing_free(p);
	return true;
}

void container_prepare(struct daemon *d, struct client *c, const struct caller *who,
		       struct msg_in *m)
{
	struct placing *p = question(d, c, who, m, PLACING_PREPARE), *before;

	if (!p)
		return;
	if (p->flags & PREPARE_EXEC) {
		placing_exec(p);
		return;
	}
	p->seen = (p->flags & PREPARE_SOCKET ? INSPECT_ENGINE_SOCKET_FILE : 0) |
		  (p->flags & PREPARE_SOCKET_FOLDER ? INSPECT_ENGINE_SOCKET : 0) |
		  (p->flags & PREPARE_POWERS ? INSPECT_CAPABILITIES : 0);
	/* Ids are an engine's own: two engines, or two namespaces of one, can have the same. */
	if (member_by_name(d, p->id, NULL)) {
		placing_fail(p, -EEXIST,
			     "a container with this id runs already, of this or another "
			     "engine: give it another name");
		return;
	}
	before = placing_by_id(d, p->id, PLACING_PREPARED);
	if (before)
		placing_free(before);
	if (exempt(p, MSG_PREPARED))
		return;
	placing_identify(p);
}

void container_join(struct daemon *d, struct client *c, const struct caller *who, struct msg_in *m)
{
	struct placing *p = question(d, c, who, m, PLACING_JOIN), *before;
	uint64_t pid = 0;

	if (!p)
		return;
	if (msg_get_u64(m, TAG_PID, &pid) < 0 || pid == 0 || pid > INT32_MAX) {
		placing_fail(p, -EBADMSG, "the question names no process");
		return;
	}
	p->pid = (pid_t)pid;
	if (exempt(p, MSG_OK))
		return;
	before = placing_by_id(d, p->id, PLACING_PREPARED);
	if (!before) {
		/* Nobody prepared it: a hooks.d engine. */
		placing_identify(p);
		return;
	}
	p->job = before->job;
	p->found = before->found ? copy(&p->arena, before->found) : NULL;
	p->seen = before->seen;
	p->hides = before->hides && (p->flags & JOIN_SPLICED);
	placing_free(before);
	placing_late(p, PLACING_MS);
	if (p->job && !placing_job(p)) {
		placing_fail(p, -ESHUTDOWN, "its job is over");
		return;
	}
	placing_join(p, placing_job(p));
}

void containers_client_gone(struct daemon *d, struct client *c)
{
	struct placing *p, *next;

	for (p = all; p; p = next) {
		next = p->next;
		if (p->d != d || p->client != c)
			continue;
		p->client = NULL;
		/* What is held or a member already goes its way; a question without an asker does
		 * not. */
		if (p->state == PLACING_IDENTIFY || p->state == PLACING_JOB)
			placing_free(p);
	}
}

void containers_job_ready(struct job *j)
{
	const uint64_t id = j->id;
	struct daemon *d = j->d;
	struct placing *p = all;

	/* From the head each time: one of them can be the end of the job and of all others. */
	while (p && (j = job_by_id(d, id)) != NULL) {
		if (p->d == d && p->job == id && p->state == PLACING_JOB) {
			placing_found_job(p, j);
			p = all;
		} else {
			p = p->next;
		}
	}
}

void containers_job_over(struct job *j, const char *why)
{
	struct placing *p, *next;

	for (p = all; p; p = next) {
		next = p->next;
		if (p->d == j->d && p->job == j->id && p->state == PLACING_JOB)
			placing_fail(p, -ESHUTDOWN, why);
	}
}

void containers_done(struct daemon *d)
{
	struct placing *p, *next;

	for (p = all; p; p = next) {
		next = p->next;
		if (p->why == PLACING_HELD)
			placing_held_over(p, true);
		else
			placing_free(p);
	}
}
