/* SPDX-License-Identifier: Apache-2.0 */
/* See identity.h. Trusts of the answer: nothing but the frame; every fact is checked for its form
 * again, as egret-identity read hostile bytes. The keys of an issuer are kept for a while as they
 * came, unread. */
#include "egretd/identity.h"
#include "egretd/child_ask.h"
#include "egretd/jti.h"
#include "egretd/outside.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define IDENTITY_MS 15000 /* the program itself gives up after 10 s */
#define IDENTITY_ARENA_MAX (1u << 20)

struct identity {
	struct child_ask ask; /* first: one question at a time */
	struct daemon *d;
	const struct config_identity *issuer; /* of the configuration, which outlives it */
	int token;			      /* owned */
	bool fetched;			      /* keys, for this question */
	char *audience;
	identity_fn done;
	void *owner;
};

static bool is_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return s.n > 0;
}

/* The length of the key in "key=value", a key of small letters and '_'; 0: it is none. */
static size_t key_of(struct str s)
{
	const char *eq = memchr(s.p, '=', s.n);
	size_t n = eq ? (size_t)(eq - s.p) : 0;

	for (size_t k = 0; k < n; k++)
		if (!(s.p[k] >= 'a' && s.p[k] <= 'z') && s.p[k] != '_')
			return 0;
	return n <= 32 && n + 1 < s.n ? n : 0;
}

static int open_fact(struct identified *i, struct str s)
{
	size_t key = key_of(s);

	if (!key || i->nfacts == IDENTIFIED_FACTS_MAX || s.n > IDENTIFIED_TEXT_MAX || !is_clean(s))
		return -EBADMSG;
	for (size_t k = 0; k < i->nfacts; k++)
		if (!strncmp(i->facts[k].p, s.p, key + 1)) /* up to the '=' */
			return -EBADMSG;
	i->facts[i->nfacts++] = arena_str(&i->arena, s);
	return 0;
}

int identified_open(const struct msg_in *m, struct identified *ret)
{
	struct identified i = { 0 };
	struct str s, jti;
	size_t at = 0;
	int r = msg_get_u64(m, TAG_EXPIRES, &i.expires);

	arena_init(&i.arena, IDENTITY_ARENA_MAX);
	if (r == 0 && (msg_get_str(m, TAG_TEXT, 512, &jti) < 0 || !is_clean(jti)))
		r = -EBADMSG;
	while (r == 0 && msg_each(m, TAG_FACT, &at, &s))
		r = open_fact(&i, s);
	if (r < 0) {
		arena_done(&i.arena);
		return r;
	}
	i.jti = arena_str(&i.arena, jti);
	*ret = i;
	return 0;
}

void identified_done(struct identified *i)
{
	arena_done(&i->arena);
	*i = (struct identified){ 0 };
}

static struct keycache *keys_of(const struct identity *i)
{
	return &i->d->identity_keys[i->issuer - i->d->config.identity];
}

static void free_identity(struct identity *i)
{
	close(i->token);
	free(i->audience);
	free(i);
}

static void finish(struct identity *i, int err, const char *text, const struct identified *ok)
{
	i->done(i->owner, err, text, ok);
	free_identity(i);
}

static struct child_plan plan_of(const struct identity *i, const char *what)
{
	return (struct child_plan){ .program = "egret-identity",
				    .cgroup_dir = i->d->cg.work,
				    .uid = i->d->config.uid_identity,
				    .gid = i->d->config.uid_identity,
				    .arg = what };
}

static int ask_keys(struct identity *i, char *why, size_t n);
static int ask_token(struct identity *i, char *why, size_t n);

static void on_keys(struct child_ask *ask, int err, struct msg_in *m, const char *text)
{
	struct identity *i = (struct identity *)ask;
	uint64_t ms = KEYCACHE_UNSAID;
	char why[256] = "";
	int fd = -1;

	if (!err) {
		/* What could still change under the next reader is not kept. */
		if (msg_take_fd(m, TAG_FD_KEYS, &fd) < 0 ||
		    !(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE)) {
			cleanup_close_p(&fd);
			finish(i, -EPROTO, "egret-identity gave an answer of another form", NULL);
			return;
		}
		(void)!msg_get_u64(m, TAG_TTL, &ms);
		keycache_put(keys_of(i), fd, ms, clock_now());
		err = ask_token(i, why, sizeof(why));
		text = why;
	}
	if (err)
		finish(i, err, text, NULL);
}

/* One kind, audience and replay, which was all that could be known before the token came: a forge
 * of one's own beside the public one. */
static bool next_issuer(struct identity *i)
{
	const struct config *c = &i->d->config;

	for (const struct config_identity *o = i->issuer + 1; o < c->identity + c->nidentity; o++) {
		if (!str_eq(o->kind, i->issuer->kind))
			continue;
		i->issuer = o;
		i->fetched = false;
		return true;
	}
	return false;
}

static void on_token(struct child_ask *ask, int err, struct msg_in *m, const char *text)
{
	struct identity *i = (struct identity *)ask;
	struct identified ok = { .nfacts = 0 };
	char why[256] = "";
	uint64_t code = 0;

	if (err && m && msg_get_u64(m, TAG_CODE, &code) == 0 && code == ENOKEY && !i->fetched &&
	    keycache_ask(keys_of(i), clock_now())) {
		err = ask_keys(i, why, sizeof(why));
		if (err)
			finish(i, err, why, NULL);
		return;
	}
	if (err && code == EXDEV && next_issuer(i)) {
		err = ask_token(i, why, sizeof(why));
		if (err)
			finish(i, err, why, NULL);
		return;
	}
	if (!err && identified_open(m, &ok) < 0) {
		err = -EPROTO;
		text = "egret-identity gave an answer of another form";
	}
	ok.issuer = i->issuer->issuer;
	finish(i, err, text, err ? NULL : &ok);
	if (!err)
		identified_done(&ok);
}

static int ask_keys(struct identity *i, char *why, size_t n)
{
	struct child_plan plan = plan_of(i, "keys");
	struct msg_out m;

	i->fetched = true;
	msg_begin(&m, MSG_IDENTITY_KEYS, 1);
	msg_put_str(&m, TAG_ISSUER, i->issuer->issuer);
	put_outside(i->d, &m);
	i->ask = (struct child_ask){
		.answer = MSG_IDENTITY_KEYS,
		.refused = -EACCES,
		.ms = IDENTITY_MS,
		.late = "the issuer's keys could not be had within 15 s",
		.done = on_keys,
	};
	return child_ask_start(i->d, &plan, &m, &i->ask, why, n);
}

static int ask_token(struct identity *i, char *why, size_t n)
{
	struct child_plan plan = plan_of(i, "token");
	int keys = keycache_get(keys_of(i), clock_now());
	struct msg_out m;

	msg_begin(&m, MSG_IDENTIFY, 1);
	msg_put_fd(&m, TAG_FD_VALUE, i->token);
	msg_put_str(&m, TAG_ISSUER, i->issuer->issuer);
	msg_put_str(&m, TAG_AUDIENCE, str_of(i->audience));
	msg_put_str(&m, TAG_KIND, i->issuer->kind);
	for (unsigned a = 0; a < i->issuer->nalgorithms; a++)
		msg_put_str(&m, TAG_NAME, i->issuer->algorithms[a]);
	if (keys >= 0)
		msg_put_fd(&m, TAG_FD_KEYS, keys);
	i->ask = (struct child_ask){
		.answer = MSG_IDENTIFIED,
		.refused = -EACCES,
		.ms = IDENTITY_MS,
		.late = "the token could not be checked within 15 s",
		.done = on_token,
	};
	return child_ask_start(i->d, &plan, &m, &i->ask, why, n);
}

int identity_start(struct daemon *d, int token_fd, const struct config_identity *issuer,
		   const char *audience, identity_fn done, void *owner, struct identity **ret,
		   char *why, size_t why_n)
{
	struct identity *i;
	int token = fcntl(token_fd, F_DUPFD_CLOEXEC, 3), r;

	if (token < 0) {
		r = -errno;
		snprintf(why, why_n, "the token cannot be kept: %s", strerror(-r));
		return r;
	}
	i = mem_new(sizeof(*i));
	i->d = d;
	i->issuer = issuer;
	i->token = token;
	i->audience = mem_dup(str_of(audience));
	i->done = done;
	i->owner = owner;
	r = ask_token(i, why, why_n);
	if (r < 0) {
		free_identity(i);
		return r;
	}
	if (ret)
		*ret = i;
	return 0;
}

void identity_cancel(struct identity *i)
{
	if (!i)
		return;
	child_ask_stop(&i->ask);
	free_identity(i);
}

void identity_close(struct daemon *d)
{
	for (unsigned i = 0; i < ARRAY_SIZE(d->identity_keys); i++)
		keycache_done(&d->identity_keys[i]);
	jti_close(d->jti);
}
