/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question to egretd on its control socket and the answer, in bounded time. Called by create.c,
 * exec.c and hook.c. What goes out holds words of an engine's JSON, bounded and unparsed here; what
 * comes back is egretd's, framed and checked by base/msg.c.
 */
#include "oci/oci.h"

#include "base/clock.h"
#include "base/proto.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int ready(int sock, short events, uint64_t until)
{
	for (;;) {
		struct pollfd p = { .fd = sock, .events = events };
		uint64_t now = clock_now();
		int r = now < until ? poll(&p, 1, (int)(until - now)) : 0;

		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int dial(const char *run_dir, int *ret, char *why, size_t n)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/control.sock", run_dir);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0) {
		*ret = TAKE_FD(fd);
		return 0;
	}
	r = -errno;
	if (r == -ENOENT || r == -ECONNREFUSED)
		snprintf(why, n, "egretd does not run: systemctl start egretd");
	else
		snprintf(why, n, "%s: %s", un.sun_path, strerror(-r));
	return r;
}

static int ask(const struct args *a, struct msg_out *q, uint16_t want, struct msg_in *ret,
	       char *why, size_t n)
{
	uint64_t until = clock_now() + OCI_WAIT_MS;
	cleanup_close int sock = -1;
	struct str text;
	int r = dial(a->run_dir, &sock, why, n);

	if (r < 0) {
		msg_out_done(q);
		return r;
	}
	while ((r = msg_send(sock, q)) == -EAGAIN && (r = ready(sock, POLLOUT, until)) == 0)
		;
	if (r == -ETIMEDOUT)
		msg_out_done(q);
	while (r == 0) {
		r = ready(sock, POLLIN, until);
		if (r < 0)
			break;
		r = msg_recv(sock, ret);
		if (r != -EAGAIN)
			break;
		r = 0;
	}
	if (r < 0) {
		if (r == -ETIMEDOUT)
			snprintf(why, n, "egretd did not answer within %d seconds",
				 OCI_WAIT_MS / 1000);
		else
			snprintf(why, n,
				 "egretd ended the conversation: %s; see journalctl -u egretd",
				 strerror(-r));
		return r;
	}
	if (ret->type == want)
		return 0;
	if (ret->type == MSG_FAILED && msg_get_str(ret, TAG_TEXT, PROTO_TEXT_MAX, &text) == 0) {
		snprintf(why, n, "%.*s", STR_ARG(text));
		r = -EACCES;
	} else {
		snprintf(why, n, "egretd's answer is not of this version");
		r = -EBADMSG;
	}
	msg_in_done(ret);
	return r;
}

static void put_container(struct msg_out *q, const char *id, const struct args *a,
			  const struct found *f)
{
	char label[OCI_LABEL_MAX];

	msg_put_str(q, TAG_CONTAINER, str_of(id));
	if (a->engine && *a->engine)
		msg_put_str(q, TAG_ENGINE, str_of(a->engine));
	if (!f)
		return;
	if (f->cgroup.n && f->cgroup.n <= PROTO_TEXT_MAX)
		msg_put_str(q, TAG_CGROUP, found_words(f, f->cgroup));
	for (uint32_t i = 0; i < f->nlabels; i++) {
		struct str k = found_words(f, f->label_keys[i]),
			   v = found_words(f, f->label_values[i]);
		int n = snprintf(label, sizeof(label), "%.*s=%.*s", STR_ARG(k), STR_ARG(v));

		if (n > 0 && (size_t)n < sizeof(label))
			msg_put(q, TAG_LABEL, label, (size_t)n);
	}
}

int ask_prepare(const struct args *a, const struct found *f, uint64_t flags, struct prepared *ret,
		char *why, size_t n)
{
	struct prepared p = { .ca = -1, .bundle = -1, .p12 = -1 };
	struct msg_out q;
	struct str s;
	size_t at = 0, count = 0;
	int r;

	msg_begin(&q, MSG_PREPARE, 1);
	put_container(&q, a->id, a, f);
	msg_put_u64(&q, TAG_FLAGS, flags);
	r = ask(a, &q, MSG_PREPARED, &p.m, why, n);
	if (r < 0)
		return r;
	snprintf(why, n, "egretd's answer is not complete");
	r = msg_get_u64(&p.m, TAG_FLAGS, &p.flags);
	if (r == -ENOENT)
		r = 0;
	p.job = msg_get_str(&p.m, TAG_JOB_NAME, PROTO_NAME_MAX, &s) == 0;
	if (r == 0 && p.job && !(flags & PREPARE_EXEC)) {
		r = msg_take_fd(&p.m, TAG_FD_CA, &p.ca);
		if (r == 0)
			r = msg_take_fd(&p.m, TAG_FD_BUNDLE, &p.bundle);
		if (r == 0)
			r = msg_take_fd(&p.m, TAG_FD_P12, &p.p12);
	}
	while (msg_each(&p.m, TAG_SETENV, &at, &s))
		count++;
	p.set = mem_new((count + 1) * sizeof(char *));
	for (at = count = 0; msg_each(&p.m, TAG_SETENV, &at, &s);)
		if (memchr(s.p, '=', s.n) && !memchr(s.p, 0, s.n))
			p.set[count++] = mem_dup(s);
	if (r < 0)
		prepared_done(&p);
	else
		*ret = p;
	return r;
}

void prepared_done(struct prepared *p)
{
	int *fds[] = { &p->ca, &p->bundle, &p->p12 };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		cleanup_close_p(fds[i]);
	for (char **e = p->set; e && *e; e++)
		free(*e);
	free(p->set);
	msg_in_done(&p->m);
}

int ask_join(const struct args *a, const struct found *state, const struct found *config, char *why,
	     size_t n)
{
	struct msg_in answer;
	struct msg_out q;
	int r;

	msg_begin(&q, MSG_JOIN, 1);
	put_container(&q, found_words(state, state->id).p, a, config);
	msg_put_u64(&q, TAG_PID, state->pid);
	msg_put_u64(&q, TAG_FLAGS, a->spliced ? JOIN_SPLICED : 0);
	r = ask(a, &q, MSG_OK, &answer, why, n);
	if (r == 0)
		msg_in_done(&answer);
	return r;
}
