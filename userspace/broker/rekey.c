/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another store key, while jobs run (MSG_SECRET_REKEY). Everything sealed is wrapped anew, a file a
 * turn of the loop: the secrets, the root's file, the journal of leases, the jobs' CAs that egretd
 * keeps. Until all is done the old key opens too, here and in the next broker (FD_STORE_KEY_NEXT),
 * so a crash at any step leaves what can be opened; asked again it goes on. egretd drops the old
 * key after the answer.
 */
#include "broker/keep.h"

#include "base/log.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

struct rekey {
	struct store_entry *list;
	size_t n, at;
	uint64_t job; /* the last whose CA was sealed */
	bool jobs;    /* secrets and root are done */
	unsigned sealed, damaged;
	uint64_t lost; /* messages to egretd, before */
	uint32_t question;
	struct timer next;
};

void rekey_to(struct broker *b, struct keys *k)
{
	secret_done(&b->store.old);
	secret_done(&b->ca_old);
	secret_done(&b->journal.old);
	b->store.old = b->store.key;
	b->ca_old = b->ca_key;
	b->journal.old = b->journal.key;
	b->store.key = k->store;
	b->ca_key = k->ca;
	b->journal.key = k->journal;
	*k = (struct keys){ 0 };
}

void rekey_done(struct broker *b)
{
	if (!b->rekey)
		return;
	timer_del(&b->rekey->next);
	free(b->rekey->list);
	free(b->rekey);
	b->rekey = NULL;
}

static void failed(struct broker *b, int err, const char *why)
{
	uint32_t question = b->rekey->question;

	rekey_done(b);
	control_failed(b, question, err, why);
}

/* Numbers of jobs go up: the next one. */
static struct job *next_job(const struct broker *b)
{
	struct job *next = NULL;

	for (struct job *j = b->jobs; j; j = j->next)
		if (j->id > b->rekey->job && (!next || j->id < next->id))
			next = j;
	return next;
}

static int seal_job(struct broker *b, struct job *j)
{
	struct msg_out m;
	struct buf sealed;
	int r;

	buf_init(&sealed, CA_SEALED_MAX);
	r = ca_seal(&j->ca, &b->ca_key, j->id, &sealed);
	if (r == 0) {
		msg_begin(&m, MSG_JOB_SEALED, 0);
		msg_put_u64(&m, TAG_JOB, j->id);
		msg_put_str(&m, TAG_SEALED, buf_str(&sealed));
		outbox_send(&b->egretd, &m);
	}
	buf_done(&sealed);
	return r;
}

static void over(struct broker *b)
{
	const struct rekey *k = b->rekey;
	struct msg_out m;
	char text[256];

	if (b->egretd.lost != k->lost) {
		failed(b, -EAGAIN,
		       "a job's CA could not be handed over under the new key: run egret secret "
		       "rekey again");
		return;
	}
	snprintf(text, sizeof(text), "%u files were sealed under the new key", k->sealed);
	if (k->damaged)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "; %u that no key opens were left as they are: set them again",
			 k->damaged);
	msg_begin(&m, MSG_OK, k->question);
	msg_put_u64(&m, TAG_SIZE, k->sealed);
	msg_put_str(&m, TAG_TEXT, str_of(text));
	outbox_send(&b->egretd, &m);
	secret_done(&b->store.old);
	secret_done(&b->ca_old);
	secret_done(&b->journal.old);
	rekey_done(b);
}

/* One file, or one job. */
static void on_next(struct timer *t)
{
	struct broker *b = t->owner;
	struct rekey *k = b->rekey;
	char why[512] = "";
	struct job *j;
	int r = 0;

	if (k->at < k->n) {
		r = store_rewrap(&b->store, str_of(k->list[k->at++].name), why, sizeof(why));
	} else if (!k->jobs) {
		r = b->store.dir < 0 ? 0 : root_rekey(b, why, sizeof(why));
		k->sealed += r > 0;
		if (r >= 0) {
			r = keep_rekey(b);
			if (r < 0)
				snprintf(why, sizeof(why),
					 "the journal of leases could not be written anew: %s",
					 strerror(-r));
		}
		k->jobs = true;
	} else if ((j = next_job(b))) {
		k->job = j->id;
		r = seal_job(b, j);
		if (r < 0)
			snprintf(why, sizeof(why), "job %llu: its CA could not be sealed",
				 (unsigned long long)j->id);
	} else {
		over(b);
		return;
	}
	if (r == -EBADMSG) { /* nobody could open it before either */
		log_warn("rekey: %s", why);
		k->damaged++;
		r = 0;
	}
	if (r < 0) {
		failed(b, r, why);
		return;
	}
	k->sealed += r > 0;
	timer_set(b->loop, &k->next, 0, on_next, b);
}

static bool same(const struct secret *a, const struct secret *b)
{
	return a->n == b->n && CRYPTO_memcmp(a->p, b->p, a->n) == 0;
}

int rekey_ask(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	cleanup_close int fd = -1;
	struct store_entry *list = NULL;
	struct keys k = { 0 };
	size_t n = 0;
	int r;

	if (msg_take_fd(m, TAG_FD_STORE_KEY, &fd) < 0) {
		snprintf(why, size, "the new key is missing");
		return -EINVAL;
	}
	r = keys_read(fd, &k, why, size);
	/* Asked in the midst of it by the egretd that took the place of one that died, which has
	 * none of what this one was told: from the beginning, what is done is passed over. */
	if (r == 0 && b->rekey && same(&k.store, &b->store.key)) {
		rekey_done(b);
	} else if (r == 0 && b->rekey) {
		snprintf(why, size, "another key is being put in already: wait for it");
		r = -EBUSY;
	}
	if (r == 0 && b->store.dir >= 0)
		r = store_list(&b->store, &list, &n, why, size);
	if (r == 0 && !same(&k.store, &b->store.key)) {
		if (b->store.old.n) {
			snprintf(why, size, "the change to another key is not over");
			r = -EBUSY;
		} else {
			rekey_to(b, &k);
		}
	}
	keys_done(&k);
	if (r < 0) {
		free(list);
		return r;
	}
	b->rekey = mem_new(sizeof(*b->rekey));
	*b->rekey =
		(struct rekey){ .list = list, .n = n, .lost = b->egretd.lost, .question = m->id };
	timer_set(b->loop, &b->rekey->next, 0, on_next, b);
	return 0;
}
