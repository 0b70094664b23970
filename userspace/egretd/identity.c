/* SPDX-License-Identifier: Apache-2.0 */
/* See identity.h. Trusts of the answer: nothing but the frame; every fact is checked for its form
 * again, as egret-identity read hostile bytes. */
#include "egretd/identity.h"
#include "egretd/child_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define IDENTITY_MS 15000 /* the program itself gives up after 10 s */
#define IDENTITY_ARENA_MAX (1u << 20)

struct identity {
	struct child_ask ask;
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
	int r = 0;

	arena_init(&i.arena, IDENTITY_ARENA_MAX);
	if (msg_get_str(m, TAG_TEXT, 512, &jti) < 0 || !is_clean(jti))
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

static void on_answer(struct child_ask *ask, int err, struct msg_in *m, const char *text)
{
	struct identity *i = (struct identity *)ask;
	struct identified ok = { .nfacts = 0 };

	if (!err && identified_open(m, &ok) < 0) {
		err = -EPROTO;
		text = "egret-identity gave an answer of another form";
	}
	i->done(i->owner, err, text, err ? NULL : ok.facts, ok.nfacts);
	if (!err)
		identified_done(&ok);
	free(i);
}

static void put_list(struct msg_out *m, uint16_t tag, const struct config_list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		msg_put_str(m, tag, l->at[i]);
}

int identity_start(struct daemon *d, int token_fd, const struct config_identity *issuer,
		   const char *audience, identity_fn done, void *owner, struct identity **ret,
		   char *why, size_t why_n)
{
	struct child_plan plan = { .program = "egret-identity",
				   .cgroup_dir = d->cg.work,
				   .uid = d->config.uid_identity,
				   .gid = d->config.uid_identity };
	struct identity *i = mem_new(sizeof(*i));
	struct msg_out m;
	int r;

	msg_begin(&m, MSG_IDENTIFY, 1);
	msg_put_fd(&m, TAG_FD_VALUE, token_fd);
	msg_put_str(&m, TAG_ISSUER, issuer->issuer);
	msg_put_str(&m, TAG_AUDIENCE, str_of(audience));
	msg_put_str(&m, TAG_KIND, issuer->kind);
	for (unsigned k = 0; k < d->nroots && k < MSG_FDS_MAX - 1; k++)
		msg_put_fd(&m, TAG_FD_ROOTS, d->roots[k]);
	put_list(&m, TAG_HOSTS, &d->config.hosts);
	put_list(&m, TAG_NAMESERVER, &d->config.nameservers);
	i->ask = (struct child_ask){
		.answer = MSG_IDENTIFIED,
		.refused = -EACCES,
		.ms = IDENTITY_MS,
		.late = "the token could not be checked within 15 s",
		.done = on_answer,
	};
	i->done = done;
	i->owner = owner;
	r = child_ask_start(d, &plan, &m, &i->ask, why, why_n);
	if (r < 0) {
		free(i);
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
	free(i);
}
