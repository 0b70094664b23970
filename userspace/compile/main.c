/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret-compile: reads policies and credentials that anyone may have written, and an engine's files
 * about a container, so that egretd does not. Started by egretd under a uid of its own with one
 * socket; goes to jail before it reads a byte; answers one MSG_COMPILE or MSG_INSPECT and ends. It
 * opens nothing: sources come as descriptors or in an archive, images leave in sealed memfds, and
 * egretd checks them before it uses them.
 */
#include "base/jail.h"
#include "base/log.h"
#include "base/msg.h"
#include "base/proto.h"
#include "compile/container.h"
#include "policy/archive.h"
#include "policy/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ANSWER_MS 30000

static int wait_for(int sock, short events)
{
	struct pollfd p = { .fd = sock, .events = events };
	int r;

	do
		r = poll(&p, 1, ANSWER_MS);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

/* The file's bytes from its start; -EFBIG past max. A descriptor without a place (a pipe) is read
 * as it comes. */
static int read_source(int fd, size_t max, struct buf *to)
{
	off_t at = lseek(fd, 0, SEEK_SET);

	buf_init(to, max + 8192);
	for (;;) {
		ssize_t k;
		int r = buf_reserve(to, 4096);

		if (r < 0)
			return -EFBIG;
		k = at >= 0 ? pread(fd, to->p + to->n, to->size - to->n, at)
			    : read(fd, to->p + to->n, to->size - to->n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			return 0;
		to->n += (size_t)k;
		if (at >= 0)
			at += k;
		if (to->n > max)
			return -EFBIG;
	}
}

static int kind_of(struct str s, enum source_kind *ret)
{
	static const char *const names[] = {
		[SOURCE_POLICY] = "policy",
		[SOURCE_INCLUDE] = "include",
		[SOURCE_CREDENTIAL] = "credential",
		[SOURCE_BASELINE] = "baseline",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!str_is(s, names[i]))
			continue;
		*ret = (enum source_kind)i;
		return 0;
	}
	return -EBADMSG;
}

/* Names, kinds and descriptors in one order. 0, or -errno with a sentence in why. */
static int read_question(struct msg_in *m, struct source *sources, struct buf *texts, size_t *ret_n,
			 char *why, size_t size)
{
	size_t at_fd = 0, at_name = 0, at_kind = 0, n = 0;
	struct str field, name, kind;

	while (msg_each(m, TAG_FD_SOURCE, &at_fd, &field)) {
		cleanup_close int fd = -1;
		int r;

		if (n == MSG_FDS_MAX || !msg_each(m, TAG_NAME, &at_name, &name) ||
		    !msg_each(m, TAG_KIND, &at_kind, &kind) || msg_take_fd_of(m, field, &fd) < 0 ||
		    kind_of(kind, &sources[n].kind) < 0 || name.n > PROTO_TEXT_MAX) {
			snprintf(why, size, "the question is not well-formed");
			return -EBADMSG;
		}
		sources[n].name = name;
		r = read_source(fd, SOURCE_SIZE_MAX, &texts[n]);
		if (r < 0) {
			char shown[256];

			text_escape(shown, sizeof(shown), name);
			snprintf(why, size, "%s:1:1: %s", shown,
				 r == -EFBIG ? "larger than 1 MiB" : "cannot be read");
			buf_done(&texts[n]);
			return r;
		}
		sources[n].text = buf_str(&texts[n]);
		n++;
		*ret_n = n;
	}
	return 0;
}

static int answer(int sock, struct msg_out *out)
{
	int r = wait_for(sock, POLLOUT);

	if (r < 0) {
		msg_out_done(out);
		return r;
	}
	return msg_send(sock, out);
}

static int answer_failed(int sock, uint32_t id, struct str text)
{
	struct msg_out out;

	while (text.n && text.p[text.n - 1] == '\n')
		text.n--;
	if (text.n > PROTO_TEXT_MAX) { /* whole lines only */
		size_t n = PROTO_TEXT_MAX;

		while (n > 0 && text.p[n] != '\n')
			n--;
		text.n = n ? n : PROTO_TEXT_MAX;
	}
	msg_begin(&out, MSG_FAILED, id);
	msg_put_str(&out, TAG_TEXT, text);
	msg_put_u64(&out, TAG_CODE, EINVAL);
	return answer(sock, &out);
}

static int answer_compiled(int sock, uint32_t id, const struct compiled *c)
{
	struct str left = buf_str(&c->warnings.text);
	cleanup_close int policies = -1, creds = -1;
	struct msg_out out;
	int r;

	r = pack_write(c->policies, c->npolicies, &policies);
	if (r == 0)
		r = pack_write(c->credentials, c->ncredentials, &creds);
	if (r < 0)
		return answer_failed(sock, id,
				     STR("compiled, the policies or the credentials are more than "
					 "4,096 or larger than 8 MiB in all"));
	msg_begin(&out, MSG_COMPILED, id);
	msg_put_fd(&out, TAG_FD_POLICY, policies);
	msg_put_fd(&out, TAG_FD_CREDS, creds);
	while (left.n) {
		const char *end = memchr(left.p, '\n', left.n);
		size_t n = end ? (size_t)(end - left.p) : left.n;

		msg_put_str(&out, TAG_WARNING,
			    (struct str){ left.p, n < PROTO_TEXT_MAX ? n : PROTO_TEXT_MAX });
		n += end != NULL;
		left = (struct str){ left.p + n, left.n - n };
	}
	return answer(sock, &out);
}

static int compile(int sock, uint32_t id, const struct source *sources, size_t n, unsigned flags)
{
	struct compiled compiled;
	int r;

	if (policy_compile(sources, n, flags, &compiled) == 0)
		r = answer_compiled(sock, id, &compiled);
	else
		r = answer_failed(sock, id, buf_str(&compiled.errors.text));
	compiled_done(&compiled);
	return r;
}

static int serve_archive(int sock, uint32_t id, int fd, unsigned flags)
{
	cleanup_free struct source *sources = NULL;
	struct buf bytes;
	size_t n;
	int r = read_source(fd, ARCHIVE_SIZE_MAX, &bytes);

	if (r == 0)
		r = archive_read(buf_str(&bytes), &sources, &n);
	if (r < 0)
		r = answer_failed(sock, id, STR("the policies' archive is not well-formed"));
	else
		r = compile(sock, id, sources, n, flags);
	buf_done(&bytes);
	return r;
}

static int serve_compile(int sock, struct msg_in *question)
{
	struct source sources[MSG_FDS_MAX];
	struct buf texts[MSG_FDS_MAX];
	cleanup_close int archive = -1;
	uint64_t flags = 0;
	char why[512];
	size_t n = 0;
	int r = msg_get_u64(question, TAG_FLAGS, &flags);

	if (r < 0 && r != -ENOENT)
		return -EBADMSG;
	flags = flags & 1 ? COMPILE_NO_REFERENCES : 0;
	r = msg_take_fd(question, TAG_FD_ARCHIVE, &archive);
	if (r == 0)
		return serve_archive(sock, question->id, archive, (unsigned)flags);
	if (r != -ENOENT)
		return -EBADMSG;
	r = read_question(question, sources, texts, &n, why, sizeof(why));
	if (r < 0)
		r = answer_failed(sock, question->id, str_of(why));
	else
		r = compile(sock, question->id, sources, n, (unsigned)flags);
	for (size_t i = 0; i < n; i++)
		buf_done(&texts[i]);
	return r;
}

static void put_list(struct msg_out *out, uint16_t tag, const struct container_list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		msg_put_str(out, tag, l->at[i]);
}

static int answer_inspected(int sock, uint32_t id, const struct container_facts *c)
{
	struct msg_out out;

	msg_begin(&out, MSG_INSPECTED, id);
	msg_put_str(&out, TAG_NAME, c->name);
	msg_put_str(&out, TAG_IMAGE, c->image);
	put_list(&out, TAG_LABEL, &c->labels);
	put_list(&out, TAG_NETWORK, &c->networks);
	put_list(&out, TAG_ALIAS, &c->aliases);
	put_list(&out, TAG_PORT, &c->ports);
	msg_put_u64(&out, TAG_FLAGS, c->flags);
	return answer(sock, &out);
}

/* One "docker-config" and one "docker-host", in either order. */
static int serve_inspect(int sock, struct msg_in *question)
{
	static const char *const kinds[] = { "docker-config", "docker-host" };
	static const char *const names[] = { "config.v2.json", "hostconfig.json" };
	struct buf texts[2] = { { 0 }, { 0 } };
	size_t at_fd = 0, at_kind = 0;
	struct container_facts facts;
	struct str field, kind;
	struct arena arena;
	char why[512] = "";
	int r = 0;

	arena_init(&arena, CONTAINER_ARENA_MAX);
	while (r == 0 && msg_each(question, TAG_FD_SOURCE, &at_fd, &field)) {
		cleanup_close int fd = -1;
		unsigned i;

		if (!msg_each(question, TAG_KIND, &at_kind, &kind) ||
		    msg_take_fd_of(question, field, &fd) < 0) {
			r = -EBADMSG;
			break;
		}
		i = str_is(kind, kinds[1]);
		if (!str_is(kind, kinds[i]) || texts[i].limit) {
			r = -EBADMSG;
			break;
		}
		r = read_source(fd, SOURCE_SIZE_MAX, &texts[i]);
		if (r < 0)
			snprintf(why, sizeof(why), "%s: %s", names[i],
				 r == -EFBIG ? "larger than 1 MiB" : "cannot be read");
	}
	if (r == 0 && (!texts[0].limit || !texts[1].limit))
		r = -EBADMSG;
	if (r == 0)
		r = container_read(&arena, buf_str(&texts[0]), buf_str(&texts[1]), &facts, why,
				   sizeof(why));
	if (r == 0)
		r = answer_inspected(sock, question->id, &facts);
	else if (r != -EBADMSG)
		r = answer_failed(sock, question->id, str_of(why));
	buf_done(&texts[0]);
	buf_done(&texts[1]);
	arena_done(&arena);
	return r;
}

static int serve(int sock)
{
	struct msg_in question;
	int r = wait_for(sock, POLLIN);

	if (r == 0)
		r = msg_recv(sock, &question);
	if (r < 0)
		return r;
	if (question.type == MSG_COMPILE)
		r = serve_compile(sock, &question);
	else if (question.type == MSG_INSPECT)
		r = serve_inspect(sock, &question);
	else
		r = -EBADMSG;
	msg_in_done(&question);
	return r;
}

int main(int argc, char **argv)
{
	struct jail jail = { .may = JAIL_MAY_PASS_FDS };
	char why[256];
	int r;

	log_init("egret-compile");
	if (fcntl(PROTO_SOCKET_FD, F_GETFD) < 0) {
		log_err("egret-compile is started by egretd; to check a policy, run: egret policy "
			"check FILE");
		return 2;
	}
	if (jail_enter(&jail, why, sizeof(why)) < 0) {
		log_err("%s", why);
		return 1;
	}
	r = serve(PROTO_SOCKET_FD);
	if (r < 0) {
		log_err("the question from egretd could not be answered: %s", strerror(-r));
		return 1;
	}
	return 0;
}
