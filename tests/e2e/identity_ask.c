/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks egret-identity as egretd does, for tests/e2e/identity.sh: one socket on descriptor 3, one
 * question, one answer; the keys are asked for when the token needs them. Prints "fact KEY=VALUE"
 * lines and "jti TEXT", or "failed TEXT"; and how the program ended if not with 0.
 *
 *   identity_ask PROGRAM TOKEN-FILE ISSUER AUDIENCE KIND ROOTS [hosts=NAME=IP | dns=IP:PORT |
 * proxy=URL | no_proxy=NAME | now=SECONDS | alg=NAME]...
 */
#include "base/msg.h"
#include "base/proto.h"
#include "egretd/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void show(const struct msg_in *m)
{
	struct identified ok;
	struct str text;

	if (m->type == MSG_IDENTIFIED && identified_open(m, &ok) == 0) {
		for (size_t i = 0; i < ok.nfacts; i++)
			printf("fact %s\n", ok.facts[i].p);
		printf("jti %s\n", ok.jti.p);
		identified_done(&ok);
	} else if (m->type == MSG_FAILED && msg_get_str(m, TAG_TEXT, PROTO_TEXT_MAX, &text) == 0) {
		printf("failed %.*s\n", STR_ARG(text));
	} else {
		printf("failed: an answer of type %u\n", m->type);
	}
}

/* One process, one question. 0: *ret is the answer. */
static int ask(const char *program, const char *what, struct msg_out *q, struct msg_in *ret)
{
	int pair[2], status, r = -1;
	struct pollfd p;
	pid_t pid;

	if (msg_pair(pair) < 0)
		exit(2);
	pid = fork();
	if (pid == 0) {
		if (pair[1] == PROTO_SOCKET_FD)
			fcntl(PROTO_SOCKET_FD, F_SETFD, 0);
		else
			dup2(pair[1], PROTO_SOCKET_FD);
		execl(program, "egret-identity", what, NULL);
		_exit(127);
	}
	close(pair[1]);
	p = (struct pollfd){ .fd = pair[0], .events = POLLIN };
	if (msg_send(pair[0], q) < 0 || poll(&p, 1, 20000) != 1 || msg_recv(pair[0], ret) < 0)
		printf("no answer\n");
	else
		r = 0;
	msg_out_done(q);
	close(pair[0]);
	if (waitpid(pid, &status, 0) == pid && status)
		printf("ended with %s %d\n", WIFSIGNALED(status) ? "signal" : "status",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return r;
}

static int fetch_keys(char **argv, int argc, int roots, int *ret)
{
	struct msg_out q;
	struct msg_in m;
	int r;

	msg_begin(&q, MSG_IDENTITY_KEYS, 9);
	msg_put_str(&q, TAG_ISSUER, str_of(argv[3]));
	msg_put_fd(&q, TAG_FD_ROOTS, roots);
	for (int i = 7; i < argc; i++) {
		if (!strncmp(argv[i], "hosts=", 6))
			msg_put_str(&q, TAG_HOSTS, str_of(argv[i] + 6));
		else if (!strncmp(argv[i], "dns=", 4))
			msg_put_str(&q, TAG_NAMESERVER, str_of(argv[i] + 4));
		else if (!strncmp(argv[i], "proxy=", 6))
			msg_put_str(&q, TAG_PARENT, str_of(argv[i] + 6));
		else if (!strncmp(argv[i], "no_proxy=", 9))
			msg_put_str(&q, TAG_NO_PROXY, str_of(argv[i] + 9));
	}
	if (ask(argv[1], "keys", &q, &m) < 0)
		return -1;
	r = m.type == MSG_IDENTITY_KEYS ? msg_take_fd(&m, TAG_FD_KEYS, ret) : -1;
	if (r < 0)
		show(&m);
	msg_in_done(&m);
	return r;
}

static int ask_token(char **argv, int argc, int token, int keys, struct msg_in *ret)
{
	struct msg_out q;

	msg_begin(&q, MSG_IDENTIFY, 9);
	msg_put_fd(&q, TAG_FD_VALUE, token);
	msg_put_str(&q, TAG_ISSUER, str_of(argv[3]));
	msg_put_str(&q, TAG_AUDIENCE, str_of(argv[4]));
	msg_put_str(&q, TAG_KIND, str_of(argv[5]));
	if (keys >= 0)
		msg_put_fd(&q, TAG_FD_KEYS, keys);
	for (int i = 7; i < argc; i++) {
		if (!strncmp(argv[i], "now=", 4))
			msg_put_u64(&q, TAG_NOW, strtoull(argv[i] + 4, NULL, 10) * 1000000);
		else if (!strncmp(argv[i], "alg=", 4))
			msg_put_str(&q, TAG_NAME, str_of(argv[i] + 4));
	}
	return ask(argv[1], "token", &q, ret);
}

int main(int argc, char **argv)
{
	int token, roots, keys = -1;
	uint64_t code = 0;
	struct msg_in m;

	if (argc < 7)
		return 2;
	token = open(argv[2], O_RDONLY | O_CLOEXEC);
	roots = open(argv[6], O_RDONLY | O_CLOEXEC);
	if (token < 0 || roots < 0)
		return 2;
	if (ask_token(argv, argc, token, -1, &m) < 0)
		return 0;
	if (m.type == MSG_FAILED && msg_get_u64(&m, TAG_CODE, &code) == 0 && code == ENOKEY) {
		msg_in_done(&m);
		if (fetch_keys(argv, argc, roots, &keys) < 0 ||
		    ask_token(argv, argc, token, keys, &m) < 0)
			return 0;
	}
	show(&m);
	msg_in_done(&m);
	return 0;
}
