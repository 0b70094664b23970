/* SPDX-License-Identifier: Apache-2.0 */
/* See keep.h. Records are our own, opened under our own key: what does not fit is left out, and
 * said. */
#include "broker/keep.h"

#include "base/log.h"
#include <errno.h>
#include <stdio.h>

#define REWRITE_LEAST (256u << 10)

static struct lease *by_id(const struct broker *b, struct str id)
{
	struct lease *l = b->leases;

	while (l && !str_is(id, l->id))
		l = l->next;
	return l;
}

static void read_definition(struct broker *b, const struct msg_in *m)
{
	struct definition *d;
	struct str image;

	if (msg_get(m, TAG_VALUE, &image) < 0 || !(d = definition_get(b, image)))
		return;
	if (d->journalled)
		definition_put(b, d);
	d->journalled = true; /* with a reference, until all is read */
}

static struct definition *by_digest(const struct broker *b, struct str key)
{
	struct definition *d = b->definitions;

	while (d && !(key.n == HELPER_KEY && !memcmp(d->key, key.p, key.n)))
		d = d->next;
	return d;
}

static int read_secret(const struct msg_in *m, uint16_t tag, struct secret *to)
{
	struct str s;

	secret_done(to);
	return msg_get(m, tag, &s) < 0 ? 0 : secret_dup(s.p, s.n, to);
}

static void read_lease(struct broker *b, const struct msg_in *m)
{
	char name[CA_NAME_MAX + 1];
	struct str id, key, job_name;
	uint64_t job, is_static = 0, renewable = 0, flags = 0;
	struct definition *d;
	struct lease *l;

	if (msg_get_str(m, TAG_LEASE, LEASE_ID_MAX - 1, &id) < 0 ||
	    msg_get(m, TAG_DIGEST, &key) < 0 || msg_get_u64(m, TAG_JOB, &job) < 0 ||
	    msg_get_str(m, TAG_JOB_NAME, CA_NAME_MAX, &job_name) < 0 || !(d = by_digest(b, key))) {
		log_err("a lease in the journal is of another form; it is left out");
		return;
	}
	snprintf(name, sizeof(name), "%.*s", STR_ARG(job_name));
	l = by_id(b, id);
	if (!l) {
		l = lease_new(b, d, job, name);
		snprintf(l->id, sizeof(l->id), "%.*s", STR_ARG(id));
	}
	(void)!msg_get_u64(m, TAG_TIME, &l->minted_us);
	(void)!msg_get_u64(m, TAG_NOW, &l->renewed_us);
	(void)!msg_get_u64(m, TAG_EXPIRES, &l->expires_us);
	(void)!msg_get_u64(m, TAG_TTL, &l->ends_us);
	(void)!msg_get_u64(m, TAG_STATIC, &is_static);
	(void)!msg_get_u64(m, TAG_RENEWABLE, &renewable);
	(void)!msg_get_u64(m, TAG_FLAGS, &flags);
	l->is_static = is_static;
	l->renewable = renewable;
	l->replaced = flags & 1;
	l->journalled = true;
	l->state = LEASE_LIVE;
	if (read_secret(m, TAG_VALUE, &l->value) < 0 || read_secret(m, TAG_CERT, &l->cert) < 0 ||
	    read_secret(m, TAG_ACCESS_KEY, &l->access_key) < 0 ||
	    read_secret(m, TAG_SESSION, &l->session) < 0 ||
	    read_secret(m, TAG_HANDLE, &l->handle) < 0)
		log_err("no locked memory is left for a lease of the journal");
}

static void on_record(void *owner, const struct msg_in *m)
{
	struct broker *b = owner;
	struct lease *l;
	struct str id;

	switch (m->type) {
	case JOURNAL_DEFINITION:
		read_definition(b, m);
		break;
	case JOURNAL_LEASE:
		read_lease(b, m);
		break;
	case JOURNAL_OVER:
		l = msg_get(m, TAG_LEASE, &id) < 0 ? NULL : by_id(b, id);
		if (l)
			lease_free(l);
		break;
	default:
		log_err("a record of type %u in the journal of leases is of another version",
			m->type);
	}
}

static void put_secret(struct msg_out *m, uint16_t tag, const struct secret *s)
{
	if (s->n)
		msg_put(m, tag, s->p, s->n);
}

static int write_lease(struct journal *j, const struct lease *l)
{
	struct definition *d = l->def;
	struct msg_out m;
	int r = 0;

	if (!d->journalled) {
		msg_begin(&m, JOURNAL_DEFINITION, 0);
		msg_put(&m, TAG_VALUE, d->bytes, d->n);
		r = journal_append(j, &m);
		if (r < 0)
			return r;
		d->journalled = true;
	}
	msg_begin(&m, JOURNAL_LEASE, 0);
	msg_put_str(&m, TAG_LEASE, str_of(l->id));
	msg_put(&m, TAG_DIGEST, d->key, sizeof(d->key));
	msg_put_u64(&m, TAG_JOB, l->job_id);
	msg_put_str(&m, TAG_JOB_NAME, str_of(l->job_name));
	msg_put_u64(&m, TAG_TIME, l->minted_us);
	msg_put_u64(&m, TAG_NOW, l->renewed_us);
	msg_put_u64(&m, TAG_EXPIRES, l->expires_us);
	msg_put_u64(&m, TAG_TTL, l->ends_us);
	msg_put_u64(&m, TAG_STATIC, l->is_static);
	msg_put_u64(&m, TAG_RENEWABLE, l->renewable);
	msg_put_u64(&m, TAG_FLAGS, l->replaced);
	put_secret(&m, TAG_VALUE, &l->value);
	put_secret(&m, TAG_CERT, &l->cert);
	put_secret(&m, TAG_ACCESS_KEY, &l->access_key);
	put_secret(&m, TAG_SESSION, &l->session);
	put_secret(&m, TAG_HANDLE, &l->handle);
	return journal_append(j, &m);
}

/* What still counts: leases that live or are owed. */
static int write_all(void *owner, struct journal *to)
{
	struct broker *b = owner;
	int r = 0;

	for (struct definition *d = b->definitions; d; d = d->next)
		d->journalled = false;
	for (struct lease *l = b->leases; l && r == 0; l = l->next)
		if (l->journalled)
			r = write_lease(to, l);
	return r;
}

static int rewrite(struct broker *b)
{
	int r = journal_rewrite(&b->journal, write_all, b);

	/* After a failure the old file counts, which may lack an image: written again, it has two.
	 */
	for (struct definition *d = b->definitions; d && r < 0; d = d->next)
		d->journalled = false;
	b->rewrite_at = b->journal.size * 2 > REWRITE_LEAST ? b->journal.size * 2 : REWRITE_LEAST;
	return r;
}

int keep_open(struct broker *b, char *why, size_t size)
{
	enum journal_found found;
	int r;

	b->journal.dir = b->store.dir;
	r = journal_open(&b->journal, on_record, b, &found, why, size);
	if (r < 0)
		return r;
	if (found == JOURNAL_TORN)
		log_warn(
			"the last record of the journal of leases was not written whole, so it was "
			"never used; it is cut off");
	if (found == JOURNAL_BAD) {
		log_err("%s", why);
		snprintf(b->damage, sizeof(b->damage), "%s", why);
	}
	/* Begins anew with what counts: no file grows over restarts. */
	if (found == JOURNAL_BAD || b->journal.size) {
		r = rewrite(b);
		if (r < 0)
			snprintf(why, size, "the journal of leases cannot be written: %s",
				 strerror(-r));
	}
	/* Each image was held since it was read. */
	for (struct definition *d = b->definitions, *next; d; d = next) {
		next = d->next;
		definition_put(b, d);
	}
	return r;
}

void keep_tell(struct broker *b)
{
	if (b->damage[0])
		peer_tell(b, 0, EVENT_CREDENTIAL_FAIL, STR(""), NULL, b->damage);
	b->damage[0] = 0;
}

int keep_lease(struct lease *l)
{
	int r = write_lease(&l->b->journal, l);

	if (r == 0)
		l->journalled = true;
	return r;
}

int keep_sync(struct broker *b)
{
	if (b->journal.size > b->rewrite_at && b->journal.size > REWRITE_LEAST)
		return rewrite(b);
	return journal_sync(&b->journal);
}

int keep_rekey(struct broker *b)
{
	int r = b->journal.size ? rewrite(b) : 0;

	return r < 0 ? r : b->journal.size > 0;
}

void keep_over(struct lease *l)
{
	struct msg_out m;
	int r;

	if (!l->journalled)
		return;
	l->journalled = false;
	msg_begin(&m, JOURNAL_OVER, 0);
	msg_put_str(&m, TAG_LEASE, str_of(l->id));
	/* Not synced: to revoke twice does no harm. */
	r = journal_append(&l->b->journal, &m);
	if (r < 0)
		log_err("that a lease is over could not be written down: %s", strerror(-r));
}

void keep_job_opened(struct job *j, bool back)
{
	for (struct lease *l = j->broker->leases, *next; l; l = next) {
		next = l->next;
		if (l->job || l->dropped || l->state != LEASE_LIVE || l->job_id != j->id)
			continue;
		if (!back || strcmp(l->job_name, j->name)) {
			lease_revoke(l); /* another job's, which had this number */
			continue;
		}
		l->job = j;
		lease_plan(l);
	}
	leases_job_changed(j);
}

void keep_jobs_told(struct broker *b)
{
	for (struct lease *l = b->leases, *next; l; l = next) {
		next = l->next;
		if (!l->job && !l->dropped && l->state == LEASE_LIVE)
			lease_revoke(l);
	}
}
