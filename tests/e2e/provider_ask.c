/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks egret-provider as egretd and the broker do, for the tests of providers: starts the program,
 * tells it how to begin, and sends what stands on stdin, a question a line, fields between tabs:
 *
 *   provide|lose|renew|revoke  ID  PROVIDER  [KEY=VALUE | KEY=@FILE | token=@FILE | ttl=MS |
 * now=SECONDS | handle=TEXT | value=TEXT | of=ID]... wait                       for all answers so
 * far sleep MS close                      the broker is gone
 *
 * lose is provide, but the broker never says that it wrote the answer down. KEY=@FILE is a secret,
 * with the file's bytes. of=ID takes the handle and value of that answer. Prints an answer a line
 * as it comes: "ID provided value=.. expires=.. ..", "ID ok", "ID failed CODE TEXT"; and how the
 * program ended if not with 0.
 *
 *   provider_ask PROGRAM net|exec ROOTS [hosts=NAME=IP | dns=IP:PORT | uid=N | pid=FILE]...
 */
#include "base/fd.h"
#include "base/msg.h"
#include "base/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDS 2048

static struct {
	char *handle, *value;
	bool lost;
} answers[IDS];
static unsigned waiting;
static int broker;

static unsigned long number(const char *text)
{
	return strtoul(text, NULL, 10);
}

static struct str field(const struct msg_in *m, uint16_t tag)
{
	struct str s;

	return msg_get(m, tag, &s) < 0 ? STR("") : s;
}

static void show(const struct msg_in *m)
{
	uint64_t expires = 0, is_static = 0, renewable = 0, code = 0;

	(void)!msg_get_u64(m, TAG_EXPIRES, &expires);
	(void)!msg_get_u64(m, TAG_STATIC, &is_static);
	(void)!msg_get_u64(m, TAG_RENEWABLE, &renewable);
	(void)!msg_get_u64(m, TAG_CODE, &code);
	if (m->type == MSG_OK) {
		printf("%u ok\n", m->id);
	} else if (m->type == MSG_FAILED) {
		printf("%u failed %s %.*s\n", m->id,
		       code == EAGAIN ? "again" : strerrorname_np((int)code),
		       STR_ARG(field(m, TAG_TEXT)));
	} else if (m->type == MSG_PROVIDED) {
		printf("%u provided value=%.*s expires=%llu static=%d renewable=%d", m->id,
		       STR_ARG(field(m, TAG_VALUE)), (unsigned long long)(expires / 1000000),
		       (int)is_static, (int)renewable);
		for (unsigned i = 0; i < 3; i++) {
			static const uint16_t tags[] = { TAG_ACCESS_KEY, TAG_SESSION, TAG_CERT };
			static const char *const names[] = { "access_key", "session", "cert" };

			if (field(m, tags[i]).n)
				printf(" %s=%.*s", names[i], STR_ARG(field(m, tags[i])));
		}
		printf(" handle=%.*s\n", STR_ARG(field(m, TAG_HANDLE)));
		if (m->id < IDS) {
			free(answers[m->id].handle);
			free(answers[m->id].value);
			answers[m->id].handle = mem_dup(field(m, TAG_HANDLE));
			answers[m->id].value = mem_dup(field(m, TAG_VALUE));
		}
	} else {
		printf("%u an answer of type %u\n", m->id, m->type);
	}
	fflush(stdout);
}

/* 0: one was shown; else nothing came. */
static int take(int ms)
{
	struct pollfd p = { .fd = broker, .events = POLLIN };
	struct msg_in m;

	if (poll(&p, 1, ms) != 1 || msg_recv(broker, &m) < 0)
		return -1;
	show(&m);
	if (m.type == MSG_PROVIDED && !answers[m.id % IDS].lost) {
		struct msg_out kept;

		msg_begin(&kept, MSG_PROVIDER_KEPT, m.id);
		if (msg_send(broker, &kept) < 0)
			die("the answer cannot be kept");
	}
	msg_in_done(&m);
	waiting--;
	return 0;
}

static void put_file(struct msg_out *m, uint16_t tag, const char *before, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct buf b;

	buf_init(&b, 65536);
	if (fd < 0 || buf_add_str(&b, str_of(before)) < 0 || fd_read(fd, &b) < 0)
		die("%s cannot be read", path);
	msg_put(m, tag, b.p, b.n);
	buf_done(&b);
	close(fd);
}

static void ask(char *line)
{
	char *save, *verb = strtok_r(line, "\t", &save), *id = strtok_r(NULL, "\t", &save);
	char *provider = strtok_r(NULL, "\t", &save), *one, name[256];
	struct msg_out m;

	if (!provider)
		die("a question has a verb, an id and a provider");
	msg_begin(&m,
		  !strcmp(verb, "provide") || !strcmp(verb, "lose") ? MSG_PROVIDE
		  : !strcmp(verb, "renew")			    ? MSG_PROVIDER_RENEW
								    : MSG_PROVIDER_REVOKE,
		  (uint32_t)number(id));
	answers[number(id) % IDS].lost = !strcmp(verb, "lose");
	msg_put_str(&m, TAG_NAME, STR("test"));
	msg_put_str(&m, TAG_KIND, str_of(provider));
	while ((one = strtok_r(NULL, "\t", &save))) {
		char *eq = strchr(one, '=');

		if (!eq)
			die("%s is not KEY=VALUE", one);
		snprintf(name, sizeof(name), "%.*s", (int)(eq - one + 1), one);
		eq++;
		if (!strcmp(name, "token="))
			put_file(&m, TAG_TOKEN, "", eq + 1);
		else if (!strcmp(name, "ttl="))
			msg_put_u64(&m, TAG_TTL, strtoull(eq, NULL, 10));
		else if (!strcmp(name, "now="))
			msg_put_u64(&m, TAG_NOW, strtoull(eq, NULL, 10) * 1000000);
		else if (!strcmp(name, "handle="))
			msg_put_str(&m, TAG_HANDLE, str_of(eq));
		else if (!strcmp(name, "value="))
			msg_put_str(&m, TAG_VALUE, str_of(eq));
		else if (!strcmp(name, "of=")) {
			if (!answers[number(eq) % IDS].handle)
				die("there is no answer %s", eq);
			msg_put_str(&m, TAG_HANDLE, str_of(answers[number(eq) % IDS].handle));
			msg_put_str(&m, TAG_VALUE, str_of(answers[number(eq) % IDS].value));
		} else if (*eq == '@')
			put_file(&m, TAG_SECRET, name, eq + 1);
		else
			msg_put_str(&m, TAG_PARAM, str_of(one));
	}
	while (msg_send(broker, &m) == -EAGAIN)
		if (take(20000) < 0)
			die("the questions are not taken");
	waiting++;
}

static void start(int argc, char **argv, int egretd, int peer)
{
	int roots = open(argv[3], O_RDONLY | O_CLOEXEC);
	struct msg_out m;

	msg_begin(&m, MSG_PROVIDER_START, 1);
	msg_put_str(&m, TAG_KIND, str_of(argv[2]));
	msg_put_fd(&m, TAG_FD_PEER, peer);
	msg_put_fd(&m, TAG_FD_ROOTS, roots);
	for (int i = 4; i < argc; i++) {
		if (!strncmp(argv[i], "hosts=", 6))
			msg_put_str(&m, TAG_HOSTS, str_of(argv[i] + 6));
		else if (!strncmp(argv[i], "dns=", 4))
			msg_put_str(&m, TAG_NAMESERVER, str_of(argv[i] + 4));
	}
	if (msg_send(egretd, &m) < 0)
		die("egret-provider takes no message");
	close(peer);
	close(roots);
}

static pid_t run(int argc, char **argv, int sock)
{
	pid_t pid = fork();
	uid_t uid = 0;

	if (pid)
		return pid;
	for (int i = 4; i < argc; i++) {
		FILE *f = !strncmp(argv[i], "pid=", 4) ? fopen(argv[i] + 4, "we") : NULL;

		if (!strncmp(argv[i], "uid=", 4))
			uid = (uid_t)number(argv[i] + 4);
		if (f) {
			fprintf(f, "%d\n", (int)getpid());
			fclose(f);
		}
	}
	if (sock == PROTO_SOCKET_FD)
		fcntl(PROTO_SOCKET_FD, F_SETFD, 0);
	else
		dup2(sock, PROTO_SOCKET_FD);
	if (uid && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
		_exit(126);
	execl(argv[1], "egret-provider", argv[2], NULL);
	_exit(127);
}

int main(int argc, char **argv)
{
	int egretd[2], peer[2], status;
	char *line = NULL;
	size_t size = 0;
	pid_t pid;

	if (argc < 4 || msg_pair(egretd) < 0 || msg_pair(peer) < 0)
		return 2;
	broker = peer[0];
	pid = run(argc, argv, egretd[1]);
	close(egretd[1]);
	start(argc, argv, egretd[0], peer[1]);
	while (getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!strcmp(line, "wait")) {
			while (waiting && take(40000) == 0)
				;
			if (waiting)
				break;
		} else if (!strncmp(line, "sleep ", 6)) {
			usleep((useconds_t)number(line + 6) * 1000);
		} else if (!strcmp(line, "close")) {
			break;
		} else if (line[0]) {
			ask(line);
		}
	}
	while (waiting && strcmp(line, "close") && take(40000) == 0)
		;
	if (waiting && strcmp(line, "close"))
		printf("no answer to %u\n", waiting);
	close(broker);
	if (waitpid(pid, &status, 0) == pid && status)
		printf("ended with %s %d\n", WIFSIGNALED(status) ? "signal" : "status",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	free(line);
	return 0;
}
