/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first step of a job: what `egret run` asked for, as far as the caller may ask for it. Called
 * by control.c with a checked frame; its strings are bounded here, and those of the policy files go
 * unread to egret-compile.
 */
#include "egretd/authority.h"
#include "egretd/compile.h"
#include "egretd/control.h"
#include "egretd/links.h"
#include "egretd/job.h"
#include "egretd/tier.h"
#include "egretd/trial.h"
#include "egretd/walls.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define JOB_ARENA_MAX (1u << 20)

struct job *job_by_name(struct daemon *d, struct str name)
{
	struct job *j;

	for (j = d->jobs; j; j = j->next)
		if (str_is(name, j->name))
			return j;
	return NULL;
}

struct job *job_by_id(struct daemon *d, uint64_t id)
{
	struct job *j;

	for (j = d->jobs; j; j = j->next)
		if (j->id == id && j->state != JOB_ENDING)
			return j;
	return NULL;
}

struct job *job_by_serial(struct daemon *d, uint32_t serial)
{
	struct job *j;

	for (j = d->jobs; j; j = j->next)
		if (j->serial == serial)
			return j;
	return NULL;
}

struct job *job_new(struct daemon *d)
{
	struct job *j = mem_new(sizeof(*j));
	int i;

	j->confined = true;
	j->dialling = d->config.upstream_netns_job;
	arena_init(&j->arena, JOB_ARENA_MAX);
	j->d = d;
	j->spec = j->status = j->follow = j->creds = j->proxy_cgroup = j->names = -1;
	j->ca = j->bundle = j->p12 = j->broker_pair = -1;
	for (i = 0; i < 3; i++)
		j->stdio[i] = -1;
	for (i = 0; i < JOB_POLICIES_MAX; i++)
		j->policies[i] = -1;
	j->ring = (struct ring_fds){ -1, -1, -1, -1, -1 };
	j->proxy = j->init = CHILD_NONE;
	/* Never 0, never the canary's, never used before: 63 random bits. */
	do {
		if (getrandom(&j->id, sizeof(j->id), 0) != sizeof(j->id))
			die("no random numbers: %s", strerror(errno));
		j->id >>= 1;
		snprintf(j->name, sizeof(j->name), "j-%012llx",
			 (unsigned long long)(j->id & 0xffffffffffffull));
	} while (j->id <= TRIAL_JOB || job_by_name(d, str_of(j->name)));
	j->serial = ++d->serial & 0x7fffffffu;
	j->started_us = clock_wall_us();
	j->next = d->jobs;
	d->jobs = j;
	d->njobs++;
	return j;
}

int job_fact(struct job *j, struct str label, char *why, size_t n)
{
	static const char *const reserved[] = {
		"id", "n", "assurance"
	}; /* the stream says these of a job itself */
	const char *eq = memchr(label.p, '=', label.n);
	struct str key = { label.p, eq ? (size_t)(eq - label.p) : 0 };
	size_t i;

	for (i = 0; eq && i < key.n; i++)
		if (!((key.p[i] >= 'a' && key.p[i] <= 'z') || key.p[i] == '_' ||
		      (key.p[i] >= '0' && key.p[i] <= '9')))
			eq = NULL;
	for (i = 0; i < ARRAY_SIZE(reserved); i++)
		if (str_is(key, reserved[i]))
			eq = NULL;
	for (i = 0; eq && i < j->facts.n; i++)
		if (str_eq(j->fact_list[i].key, key))
			eq = NULL;
	if (!eq || key.n == 0 || key.n > 64 || label.n - key.n > 400) {
		char shown[80];

		text_escape(shown, sizeof(shown), label);
		snprintf(why, n,
			 "--label %s: write it as key=value, the key in lower case, once, and none "
			 "of id, n, assurance",
			 shown);
		return -EINVAL;
	}
	j->facts.list = j->fact_list;
	if (j->facts.n == JOB_FACTS_MAX) {
		snprintf(why, n, "more than %d labels", JOB_FACTS_MAX);
		return -E2BIG;
	}
	j->fact_list[j->facts.n].key = arena_str(&j->arena, key);
	j->fact_list[j->facts.n].value =
		arena_str(&j->arena, (struct str){ eq + 1, label.n - key.n - 1 });
	j->facts.n++;
	return 0;
}

/* uid, gid and groups: an admin may name any; others are themselves. */
static int take_user(struct job *j, const struct caller *who, const struct msg_in *m, char *why,
		     size_t n)
{
	uint64_t uid = who->uid, gid = who->gid, g;
	struct str group;
	size_t at = 0;
	unsigned i;

	(void)!msg_get_u64(m, TAG_UID, &uid);
	(void)!msg_get_u64(m, TAG_GID, &gid);
	if (uid >= UINT32_MAX || gid >= UINT32_MAX)
		return -EBADMSG;
	if (!who->admin && (uid != who->uid || gid != who->gid)) {
		snprintf(why, n, "--user: only root may run a job as somebody else");
		return -EPERM;
	}
	if (uid >= j->d->config.uid_broker &&
	    uid < j->d->config.uid_proxy_first + CONFIG_PROXY_UIDS) {
		snprintf(why, n, "--user: uid %llu belongs to egret's own programs",
			 (unsigned long long)uid);
		return -EPERM;
	}
	j->uid = (uid_t)uid;
	j->gid = (gid_t)gid;
	if (!who->admin || who->uid == uid) {
		for (i = 0; i < who->ngroups && i < JOB_GROUPS_MAX; i++)
			j->groups[j->ngroups++] = who->groups[i];
	} else {
		while (j->ngroups < JOB_GROUPS_MAX && msg_each(m, TAG_GROUP, &at, &group))
			if (str_u64(group, &g) == 0 && g < UINT32_MAX)
				j->groups[j->ngroups++] = (gid_t)g;
	}
	return 0;
}

void job_cooperative(struct job *j, const char *why)
{
	j->confined = false;
	if (!j->tier.n)
		j->tier = arena_str(&j->arena, str_of(why));
	/* What confined jobs alone may not: until that is told it stays refused. */
	(void)!members_refresh(j);
}

static void on_compiled(void *owner, int err, const char *text, int policies, int credentials)
{
	struct job *j = owner;
	int r = err;

	j->compile = NULL;
	if (r == 0) {
		r = library_open(policies, credentials, &j->own);
		if (r < 0)
			text = "the compiled policy is not well formed";
	}
	if (policies >= 0)
		close(policies);
	if (credentials >= 0)
		close(credentials);
	if (r < 0)
		job_fail(j, text);
	else
		job_go(j);
}

/* What the configuration requires of every job, then its policy. */
void job_go(struct job *j)
{
	char why[WHY_MAX] = "";

	if (walls_required(j, why, sizeof(why)) < 0 || job_select(j, why, sizeof(why)) < 0)
		job_fail(j, why);
	else
		job_make(j);
}

/* Files given with the job: names and kinds in the order of their descriptors. */
int job_sources(struct job *j, struct msg_in *m, char *why, size_t n)
{
	struct compile_source sources[COMPILE_GIVEN_MAX];
	struct str field, name, kind;
	size_t at = 0, at_name = 0, at_kind = 0;
	unsigned count = 0, i;
	int r = 0;

	while (r == 0 && msg_each(m, TAG_FD_SOURCE, &at, &field)) {
		struct compile_source *s = &sources[count];

		if (count == COMPILE_GIVEN_MAX || !msg_each(m, TAG_NAME, &at_name, &name) ||
		    !msg_each(m, TAG_KIND, &at_kind, &kind) || name.n >= sizeof(s->name)) {
			r = -EBADMSG;
			break;
		}
		s->kind = str_is(kind, "policy")    ? "policy"
			  : str_is(kind, "include") ? "include"
						    : "credential";
		snprintf(s->name, sizeof(s->name), "%.*s", STR_ARG(name));
		r = msg_take_fd_of(m, field, &s->fd);
		if (r == 0)
			count++;
	}
	if (r < 0)
		snprintf(why, n, "the list of policy files is not well formed");
	else if (count > 0)
		r = compile_start(j->d, sources, count, j->admin ? 0 : COMPILE_CALLER_IS_NO_ADMIN,
				  on_compiled, j, &j->compile, why, n);
	for (i = 0; i < count; i++)
		close(sources[i].fd);
	return r < 0 ? r : (int)count;
}

static bool is_unix_socket(int fd)
{
	socklen_t size = sizeof(int);
	int domain = 0;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

static int take(struct job *j, const struct caller *who, struct msg_in *m, char *why, size_t n)
{
	static const uint16_t stdio[] = { TAG_FD_STDIN, TAG_FD_STDOUT, TAG_FD_STDERR };
	struct str net = STR("none"), label, cwd;
	struct statx st; /* without asking a file system of the caller's */
	size_t at = 0;
	int r, i;

	snprintf(why, n, "the request is not complete");
	if (msg_get_str(m, TAG_CWD, PROTO_TEXT_MAX, &cwd) < 0 ||
	    msg_take_fd(m, TAG_FD_SPEC, &j->spec) < 0 ||
	    msg_take_fd(m, TAG_FD_STATUS, &j->status) < 0)
		return -EBADMSG;
	for (i = 0; i < 3; i++) {
		if (msg_take_fd(m, stdio[i], &j->stdio[i]) < 0)
			return -EBADMSG;
		/* A directory would be a way into the caller's mount namespace. */
		if (statx(j->stdio[i], "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) <
			    0 ||
		    S_ISDIR(st.stx_mode)) {
			snprintf(why, n,
				 "standard input, output and error must not be directories");
			return -EINVAL;
		}
		/* Made outside, it could be connected anew past all walls that go by its cgroup. */
		if (S_ISSOCK(st.stx_mode) && !is_unix_socket(j->stdio[i])) {
			snprintf(
				why, n,
				"standard input, output and error must not be network sockets: put "
				"a pipe between, for example \"| cat\"");
			return -EINVAL;
		}
	}
	r = msg_take_fd(m, TAG_FD_FOLLOW, &j->follow);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && !who->admin && !is_unix_socket(j->follow)) {
		snprintf(why, n,
			 "events go to a socket: a file of the caller's could hold up the audit "
			 "process");
		return -EPERM;
	}
	j->cwd = arena_str(&j->arena, cwd);
	(void)!msg_get_str(m, TAG_NET, 16, &net);
	if (!str_is(net, "none") && !str_is(net, "host")) {
		snprintf(why, n, "--net is none or host");
		return -EINVAL;
	}
	j->host_net = str_is(net, "host");
	j->facts.list = j->fact_list;
	j->facts.assurance = who->admin ? ASSURANCE_RUNNER : ASSURANCE_UNVERIFIED;
	while (msg_each(m, TAG_LABEL, &at, &label)) {
		r = job_fact(j, label, why, n);
		if (r < 0)
			return r;
	}
	r = take_user(j, who, m, why, n);
	if (r < 0)
		return r;
	tier_of_run(j);
	r = tokens_take(&j->tokens, m, why, n);
	if (r < 0)
		return r;
	return job_sources(j, m, why, n);
}

int job_admit(const struct daemon *d, char *why, size_t n)
{
	int i;

	if (d->njobs >= d->config.limits.jobs) {
		snprintf(why, n, "%u jobs run already, which is limits.jobs", d->njobs);
		return -EBUSY;
	}
	if (d->stopping) {
		snprintf(why, n, "egretd is ending");
		return -ESHUTDOWN;
	}
	if (links_stand(d, why, n) < 0)
		return -EPERM;
	for (i = 0; i < WALLS_REQUIRED; i++) {
		if (wall_stands(d, (enum wall)i))
			continue;
		snprintf(why, n, "no job is let in while the wall \"%s\" does not stand: %s",
			 wall_name((enum wall)i), wall_why(d, (enum wall)i));
		return -EPERM;
	}
	return 0;
}

static int admit(const struct daemon *d, const struct caller *who, char *why, size_t n)
{
	if (who->in_job) {
		snprintf(why, n, "the caller is already inside job %s: a job may not start another",
			 who->job[0] ? who->job : "?");
		return -EPERM;
	}
	if (who->uid == 0 && !who->admin) {
		snprintf(why, n, "uid 0 of another namespace is no admin here: ask from the host");
		return -EPERM;
	}
	if (!who->runs && d->config.run_policy.n) {
		snprintf(why, n,
			 "egret run is for members of the group %.*s: an admin runs usermod -aG "
			 "%.*s USER, or use sudo",
			 STR_ARG(d->config.group_jobs), STR_ARG(d->config.group_jobs));
		return -EPERM;
	}
	if (!who->admin && d->config.run_policy.n == 0) {
		snprintf(why, n,
			 "no policy is named for your jobs: an admin sets \"run\": { \"policy\": "
			 "NAME } in %s, or use sudo",
			 d->config_path ? d->config_path : CONFIG_DEFAULT);
		return -EPERM;
	}
	return job_admit(d, why, n);
}

void job_run(struct daemon *d, struct client *c, const struct caller *who, struct msg_in *m)
{
	char why[WHY_MAX] = "";
	struct job *j;
	int r = admit(d, who, why, sizeof(why));

	if (r < 0) {
		client_failed(c, m->id, r, why);
		return;
	}
	j = job_new(d);
	j->client = c;
	j->question = m->id;
	j->admin = who->admin;
	j->caller_uid = who->uid;
	client_owns(c, j);
	r = take(j, who, m, why, sizeof(why));
	if (r == 0)
		job_go(j);
	else if (r < 0)
		job_fail(j, why[0] ? why : strerror(-r));
}
