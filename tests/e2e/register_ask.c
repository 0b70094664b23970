/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A registration in two steps, for tests/e2e/identity_job.sh: prints "audience TEXT", reads the
 * name of the token's file as a line of stdin, and prints what egretd answered: "job NAME" and
 * "fact KEY=VALUE" lines, or "failed TEXT". No worker: the job has containers only.
 *
 *   register_ask CONTROL-SOCKET LABEL...
 */
#include "base/msg.h"
#include "base/proto.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int sock;

static void put_labels(struct msg_out *q, char **labels)
{
	for (; *labels; labels++)
		msg_put_str(q, TAG_LABEL, str_of(*labels));
}

static int ask(struct msg_out *q, struct msg_in *ret)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };

	return msg_send(sock, q) < 0 || poll(&p, 1, 30000) != 1 || msg_recv(sock, ret) < 0;
}

static int failed(const struct msg_in *m)
{
	struct str text = { 0 };

	(void)!msg_get_str(m, TAG_TEXT, PROTO_TEXT_MAX, &text);
	printf("failed %.*s\n", STR_ARG(text));
	return 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char path[512];
	struct msg_out q;
	struct msg_in m;
	struct str s;
	size_t k = 0;
	int token;

	if (argc < 2)
		return 2;
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", argv[1]);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock < 0 || connect(sock, (struct sockaddr *)&at, sizeof(at)) < 0)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	msg_begin(&q, MSG_REGISTER_BEGIN, 1);
	put_labels(&q, argv + 2);
	if (ask(&q, &m))
		return 2;
	if (m.type != MSG_REGISTER_BEGIN || msg_get_str(&m, TAG_AUDIENCE, 512, &s) < 0)
		return failed(&m);
	printf("audience %.*s\n", STR_ARG(s));
	msg_in_done(&m);
	if (!fgets(path, sizeof(path), stdin))
		return 2;
	path[strcspn(path, "\n")] = 0;
	token = open(path, O_RDONLY | O_CLOEXEC);
	if (token < 0)
		return 2;
	msg_begin(&q, MSG_REGISTER, 2);
	put_labels(&q, argv + 2);
	msg_put_fd(&q, TAG_FD_VALUE, token);
	if (ask(&q, &m))
		return 2;
	if (m.type != MSG_JOB || msg_get_str(&m, TAG_JOB_NAME, 128, &s) < 0)
		return failed(&m);
	printf("job %.*s\n", STR_ARG(s));
	while (msg_each(&m, TAG_FACT, &k, &s))
		printf("fact %.*s\n", STR_ARG(s));
	msg_in_done(&m);
	return 0;
}
