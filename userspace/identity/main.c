/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret-identity: asks a CI system's issuer for its keys, and says whether an ID token is good, so
 * that egretd reads neither. Two kinds of process, so that who reads a token cannot change the keys
 * that later tokens are checked with: `keys` may dial, and sees no token; `token` may not. Each is
 * started by egretd under a uid of its own with one socket, goes to jail before it reads a byte,
 * answers one question and ends. No file is opened: token, keys and trusted roots come as
 * descriptors. Hostile bytes: the token, and all that nameservers and the issuer's address answer.
 */
#include "base/clock.h"
#include "base/fd.h"
#include "base/jail.h"
#include "base/log.h"
#include "base/msg.h"
#include "base/proto.h"
#include "fetch/fetch.h"
#include "identity/claims.h"
#include "identity/fresh.h"
#include "identity/signature.h"
#include "identity/token.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define ANSWER_MS 30000
#define ROOTS_MAX (8u << 20)
#define LIST_MAX 64

struct question {
	struct str issuer, audience, kind;
	struct str hosts[LIST_MAX], nameservers[LIST_MAX], no_proxy[LIST_MAX], proxy;
	unsigned nhosts, nnameservers, nno_proxy, algs;
	struct buf token, keys, head, roots; /* head: of the answer that had the keys */
	bool have_keys;
	int64_t now; /* seconds */
};

static int wait_for(int sock, short events)
{
	struct pollfd p = { .fd = sock, .events = events };
	int r;

	do
		r = poll(&p, 1, ANSWER_MS);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

static int take_list(const struct msg_in *m, uint16_t tag, struct str *to, unsigned *ret)
{
	struct str spare;
	size_t at = 0;
	unsigned n = 0;

	while (n < LIST_MAX && msg_each(m, tag, &at, &to[n]))
		n++;
	*ret = n;
	return msg_each(m, tag, &at, &spare) ? -E2BIG : 0;
}

static int read_fd(struct msg_in *m, uint16_t tag, struct buf *to, const char *what, char *why,
		   size_t n)
{
	cleanup_close int fd = -1;
	int r = msg_take_fd(m, tag, &fd);

	if (r < 0)
		return r == -ENOENT ? r : -EBADMSG;
	r = fd_read(fd, to);
	if (r < 0) {
		snprintf(why, n, r == -EFBIG ? "the %s larger than %zu KiB" : "the %s not readable",
			 what, to->limit >> 10);
		return -EINVAL;
	}
	return 0;
}

static int read_algs(const struct msg_in *m, unsigned *ret)
{
	struct str name;
	size_t at = 0;

	*ret = 0;
	while (msg_each(m, TAG_NAME, &at, &name)) {
		if (!token_alg(name))
			return -EBADMSG;
		*ret |= token_alg(name);
	}
	if (!*ret)
		*ret = TOKEN_ALGS;
	return 0;
}

/* 0; -EBADMSG: egretd asked in another form; else a sentence in why. */
static int read_token_question(struct msg_in *m, struct question *q, char *why, size_t n)
{
	uint64_t now;
	int r;

	if (msg_get_str(m, TAG_ISSUER, 512, &q->issuer) < 0 ||
	    msg_get_str(m, TAG_AUDIENCE, PROTO_TEXT_MAX, &q->audience) < 0 ||
	    msg_get_str(m, TAG_KIND, PROTO_NAME_MAX, &q->kind) < 0 || read_algs(m, &q->algs) < 0)
		return -EBADMSG;
	r = msg_get_u64(m, TAG_NOW, &now);
	if (r < 0 && r != -ENOENT)
		return -EBADMSG;
	if (r < 0)
		now = clock_wall_us();
	q->now = (int64_t)(now / 1000000);
	r = read_fd(m, TAG_FD_KEYS, &q->keys, "issuer's keys are", why, n);
	q->have_keys = r == 0;
	if (r < 0 && r != -ENOENT)
		return r;
	r = read_fd(m, TAG_FD_VALUE, &q->token, "token is", why, n);
	return r == -ENOENT ? -EBADMSG : r;
}

static int read_keys_question(struct msg_in *m, struct question *q, char *why, size_t n)
{
	struct str field;
	size_t at = 0;

	if (msg_get_str(m, TAG_ISSUER, 512, &q->issuer) < 0 ||
	    take_list(m, TAG_HOSTS, q->hosts, &q->nhosts) < 0 ||
	    take_list(m, TAG_NAMESERVER, q->nameservers, &q->nnameservers) < 0 ||
	    take_list(m, TAG_NO_PROXY, q->no_proxy, &q->nno_proxy) < 0)
		return -EBADMSG;
	if (msg_get(m, TAG_PARENT, &q->proxy) < 0)
		q->proxy.n = 0;
	while (msg_each(m, TAG_FD_ROOTS, &at, &field)) {
		cleanup_close int fd = -1;

		if (msg_take_fd_of(m, field, &fd) < 0)
			return -EBADMSG;
		if (fd_read(fd, &q->roots) < 0 || buf_add(&q->roots, "\n", 1) < 0) {
			snprintf(why, n,
				 "the trusted roots cannot be read, or are more than 8 MiB");
			return -EINVAL;
		}
	}
	return 0;
}

/* What needs no key comes first: a token that is not for us makes nobody dial. -ENOKEY: egretd is
 * to bring keys, or newer ones. */
static int identify(struct question *q, struct arena *a, struct token *t,
		    struct claims_facts *facts, char *why, size_t n)
{
	struct token_key key;
	int r = token_open(a, buf_str(&q->token), q->algs, t, why, n);

	if (r == 0)
		r = token_check(t, q->issuer, q->audience, q->now, why, n);
	if (r == 0 && !q->have_keys)
		r = -ENOKEY;
	if (r == 0)
		r = keys_find(a, buf_str(&q->keys), t, &key, why, n);
	if (r == 0)
		r = signature_check(t, &key, why, n);
	return r < 0 ? r : claims_facts(a, t, q->kind, facts, why, n);
}

static uint64_t left(uint64_t until)
{
	uint64_t now = clock_now();

	return now < until ? until - now : 0;
}

/* The key set as it came: only who reads a token looks into it. */
static int fetch_keys(struct question *q, struct arena *a, int *ret_fd, char *why, size_t n)
{
	const struct fetch_names names = { .hosts = q->hosts,
					   .nameservers = q->nameservers,
					   .no_proxy = q->no_proxy,
					   .nhosts = q->nhosts,
					   .nnameservers = q->nnameservers,
					   .nno_proxy = q->nno_proxy,
					   .proxy = q->proxy };
	const struct fetch_trust trust = { .roots = buf_str(&q->roots) };
	const uint64_t until = clock_now() + FETCH_MS; /* both documents together */
	struct loop *loop = loop_new();
	struct fetch *f = fetch_new(loop, &names);
	struct buf document;
	struct str uri;
	char url[600];
	int r;

	buf_init(&document, FETCH_SIZE_MAX);
	snprintf(url, sizeof(url), "%.*s%s.well-known/openid-configuration", STR_ARG(q->issuer),
		 q->issuer.n && q->issuer.p[q->issuer.n - 1] == '/' ? "" : "/");
	r = fetch_trust(f, &trust, why, n);
	if (r == 0)
		r = fetch_get(loop, f, url, left(until), &document, NULL, why, n);
	if (r == 0)
		r = discovery_keys(a, buf_str(&document), q->issuer, &uri, why, n);
	if (r == 0)
		r = fetch_get(loop, f, arena_str(a, uri).p, left(until), &q->keys, &q->head, why,
			      n);
	if (r == 0) {
		*ret_fd = memfd_create("egret-keys", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (*ret_fd < 0 || write(*ret_fd, q->keys.p, q->keys.n) != (ssize_t)q->keys.n ||
		    fcntl(*ret_fd, F_ADD_SEALS,
			  F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
			snprintf(why, n, "no memory for the issuer's keys");
			r = -ENOMEM;
		}
	}
	fetch_free(f);
	loop_free(loop);
	buf_done(&document);
	return r;
}

static int send_answer(int sock, struct msg_out *out)
{
	int r = wait_for(sock, POLLOUT);

	if (r < 0) {
		msg_out_done(out);
		return r;
	}
	return msg_send(sock, out);
}

static int refused(int sock, uint32_t id, int r, const char *why)
{
	struct msg_out out;

	msg_begin(&out, MSG_FAILED, id);
	msg_put_str(&out, TAG_TEXT, str_of(why));
	msg_put_u64(&out, TAG_CODE, (uint64_t)-r);
	return send_answer(sock, &out);
}

static int answer_token(int sock, struct msg_in *m, struct arena *a, char *why, size_t n)
{
	struct question q = { 0 };
	struct claims_facts facts;
	struct token t;
	struct msg_out out;
	struct str jti;
	int r;

	buf_init(&q.token, TOKEN_SIZE_MAX + 64); /* blanks behind it */
	buf_init(&q.keys, FETCH_SIZE_MAX);
	r = read_token_question(m, &q, why, n);
	if (r == 0)
		r = identify(&q, a, &t, &facts, why, n);
	if (r == 0) {
		msg_begin(&out, MSG_IDENTIFIED, m->id);
		for (unsigned i = 0; i < facts.n; i++)
			msg_put_str(&out, TAG_FACT, facts.at[i]);
		if (claim_text(t.claims, "jti", &jti))
			msg_put_str(&out, TAG_TEXT, jti);
		msg_put_u64(&out, TAG_EXPIRES, (uint64_t)token_expires(&t));
		r = send_answer(sock, &out);
	} else if (r != -EBADMSG) {
		r = refused(sock, m->id, r, why);
	}
	buf_done(&q.token);
	buf_done(&q.keys);
	return r;
}

static int answer_keys(int sock, struct msg_in *m, struct arena *a, char *why, size_t n)
{
	cleanup_close int fd = -1;
	struct question q = { 0 };
	struct msg_out out;
	uint64_t ms;
	int r;

	buf_init(&q.roots, ROOTS_MAX);
	buf_init(&q.keys, FETCH_SIZE_MAX);
	buf_init(&q.head, FETCH_SIZE_MAX);
	r = read_keys_question(m, &q, why, n);
	if (r == 0)
		r = fetch_keys(&q, a, &fd, why, n);
	if (r == 0) {
		msg_begin(&out, MSG_IDENTITY_KEYS, m->id);
		msg_put_fd(&out, TAG_FD_KEYS, fd);
		if (fresh_ms(buf_str(&q.head), &ms))
			msg_put_u64(&out, TAG_TTL, ms);
		r = send_answer(sock, &out);
	} else if (r != -EBADMSG) {
		r = refused(sock, m->id, r, why);
	}
	buf_done(&q.roots);
	buf_done(&q.keys);
	buf_done(&q.head);
	return r;
}

static int serve(int sock, bool keys)
{
	struct arena arena;
	struct msg_in m;
	char why[1024] = "";
	int r = wait_for(sock, POLLIN);

	if (r == 0)
		r = msg_recv(sock, &m);
	if (r < 0)
		return r;
	arena_init(&arena, TOKEN_ARENA_MAX);
	if (m.type != (keys ? MSG_IDENTITY_KEYS : MSG_IDENTIFY))
		r = -EBADMSG;
	else if (keys)
		r = answer_keys(sock, &m, &arena, why, sizeof(why));
	else
		r = answer_token(sock, &m, &arena, why, sizeof(why));
	arena_done(&arena);
	msg_in_done(&m);
	return r;
}

int main(int argc, char **argv)
{
	bool keys = argc == 2 && !strcmp(argv[1], "keys");
	struct jail jail = { .may = keys ? JAIL_MAY_PASS_FDS | JAIL_MAY_SOCKET_INET |
						    JAIL_MAY_SOCKET_PAIR
					 : JAIL_MAY_PASS_FDS };
	char why[256];
	int r;

	log_init("egret-identity");
	if (fcntl(PROTO_SOCKET_FD, F_GETFD) < 0 || argc != 2 ||
	    (!keys && strcmp(argv[1], "token"))) {
		log_err("egret-identity is started by egretd and is of no use by hand");
		return 2;
	}
	if ((keys && fetch_early() < 0) || signature_early() < 0) {
		log_err("libcurl, c-ares or cjose cannot be started");
		return 1;
	}
	if (jail_enter(&jail, why, sizeof(why)) < 0) {
		log_err("%s", why);
		return 1;
	}
	r = serve(PROTO_SOCKET_FD, keys);
	if (r < 0) {
		log_err("the question from egretd could not be answered: %s", strerror(-r));
		return 1;
	}
	return 0;
}
