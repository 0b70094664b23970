/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret-init: the first process of a job that `egret run` starts. egretd has put it into the job's
 * cgroup and made it process 1 of a new pid namespace; here it reads one message, makes the rest of
 * the job's world, drops every privilege and starts the command.
 *
 * Trusts: the message (from egretd). Does not trust: argv and environment of the command (copied,
 * never interpreted but for variable names), bundles of the caller (copied). The status pipe tells
 * `egret run` the command's exit status, so that it arrives also when egretd has died meanwhile.
 */
#include "init/init.h"

#include "base/jail.h"
#include "base/log.h"
#include "base/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

struct start {
	struct msg_in m;
	struct spec spec;
	uint64_t uid, gid;
	gid_t groups[INIT_GROUPS_MAX];
	size_t ngroups;
	int stdio[3], status, ca, bundle, p12, netns;
	char *cwd;
};

static int read_start(struct start *s, char *why, size_t n)
{
	static const uint16_t stdio_tags[] = { TAG_FD_STDIN, TAG_FD_STDOUT, TAG_FD_STDERR };
	struct pollfd p = { .fd = PROTO_SOCKET_FD, .events = POLLIN };
	struct str group, cwd;
	uint64_t g;
	size_t at = 0;
	int spec_fd = -1, r, i;

	do {
		if (poll(&p, 1, -1) < 0)
			return -errno;
		r = msg_recv(PROTO_SOCKET_FD, &s->m);
	} while (r == -EAGAIN);
	snprintf(why, n, "the start message is not complete");
	if (r < 0 || s->m.type != MSG_INIT_START)
		return r < 0 ? r : -EBADMSG;
	if (msg_get_u64(&s->m, TAG_UID, &s->uid) < 0 || msg_get_u64(&s->m, TAG_GID, &s->gid) < 0 ||
	    msg_get_str(&s->m, TAG_CWD, PROTO_TEXT_MAX, &cwd) < 0 ||
	    msg_take_fd(&s->m, TAG_FD_SPEC, &spec_fd) < 0 ||
	    msg_take_fd(&s->m, TAG_FD_STATUS, &s->status) < 0 ||
	    msg_take_fd(&s->m, TAG_FD_CA, &s->ca) < 0 ||
	    msg_take_fd(&s->m, TAG_FD_BUNDLE, &s->bundle) < 0 ||
	    msg_take_fd(&s->m, TAG_FD_P12, &s->p12) < 0)
		return -EBADMSG;
	for (i = 0; i < 3; i++)
		if (msg_take_fd(&s->m, stdio_tags[i], &s->stdio[i]) < 0)
			return -EBADMSG;
	s->netns = -1;
	r = msg_take_fd(&s->m, TAG_FD_NETNS, &s->netns);
	if (r < 0 && r != -ENOENT)
		return r;
	while (msg_each(&s->m, TAG_GROUP, &at, &group) && s->ngroups < INIT_GROUPS_MAX)
		if (str_u64(group, &g) == 0)
			s->groups[s->ngroups++] = (gid_t)g;
	s->cwd = mem_dup(cwd);
	r = spec_read(spec_fd, &s->spec);
	close(spec_fd);
	if (r < 0)
		snprintf(why, n, "the command is too long or not well formed: %s", strerror(-r));
	return r;
}

static void answer(int err, const char *why)
{
	struct msg_out m;

	msg_begin(&m, err ? MSG_FAILED : MSG_OK, 0);
	if (err)
		msg_put_str(&m, TAG_TEXT, str_of(why));
	/* If egretd is gone the command is not started either: nobody would end this job. */
	if (msg_send(PROTO_SOCKET_FD, &m) < 0 || err)
		_exit(125);
}

int main(void)
{
	struct start s = { 0 };
	struct arena a;
	char why[512] = "";
	char **envp;
	uint32_t status;
	int r, i;

	log_init("egret-init");
	/* Not dumpable from here on: the job's own processes have the same uid and may not look in.
	 */
	r = jail_early();
	if (r == 0)
		r = read_start(&s, why, sizeof(why));
	if (r == 0)
		r = world_enter(&s.m, s.netns, why, sizeof(why));
	if (r == 0)
		r = trust_install(s.ca, s.bundle, s.p12, why, sizeof(why));
	if (r < 0)
		answer(r, why[0] ? why : strerror(-r));
	arena_init(&a, SPEC_SIZE_MAX * 2);
	envp = trust_of_command(&a, s.spec.envp, &s.m, (uid_t)s.uid, (gid_t)s.gid);
	for (i = 0; i < 3; i++) {
		if (dup2(s.stdio[i], i) < 0)
			answer(-errno, "standard input and output cannot be set");
		close(s.stdio[i]);
	}
	close(s.ca);
	close(s.bundle);
	close(s.p12);
	if (s.netns >= 0)
		close(s.netns);
	if (s.netns < 0) {
		r = sockets_scope(why, sizeof(why));
		if (r < 0)
			answer(r, why);
	}
	r = drop_to((uid_t)s.uid, (gid_t)s.gid, s.groups, s.ngroups, why, sizeof(why));
	answer(r, why);
	msg_in_done(&s.m);
	close(PROTO_SOCKET_FD);
	status = (uint32_t)reap_command(&s.spec, envp, s.cwd);
	(void)!write(s.status, &status, sizeof(status));
	return (int)status;
}
