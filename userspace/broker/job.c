/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job table: opened, given a new proxy or new credentials, and closed by egretd. Called by
 * control.c with egretd's messages, which are checked in form; the credential images in FD_CREDS
 * were written by egret-compile and are opened (definition.h) before the job stands.
 */
#include "broker/disk.h"
#include "broker/keep.h"
#include "broker/token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct job *find(const struct broker *b, uint64_t id)
{
	for (struct job *j = b->jobs; j; j = j->next)
		if (j->id == id)
			return j;
	return NULL;
}

static int get_id(const struct msg_in *m, uint64_t *ret, char *why, size_t size)
{
	int r = msg_get_u64(m, TAG_JOB, ret);

	if (r < 0)
		snprintf(why, size, "a message about a job without its number");
	return r < 0 ? -EBADMSG : 0;
}

static void defs_done(struct broker *b, struct definition **defs, uint32_t n)
{
	while (n) {
		defs[--n]->jobs--;
		definition_put(b, defs[n]);
	}
	free(defs);
}

/* The new ones take the place of the old, whose leases are let go, or nothing changes. */
static int creds_set(struct job *j, struct msg_in *m, char *why, size_t size)
{
	cleanup_free char *bytes = NULL;
	cleanup_close int fd = -1;
	struct broker *b = j->broker;
	struct definition **defs = NULL;
	struct pack pack = { 0 };
	bool asking = false;
	uint32_t i = 0;
	size_t n = 0;
	int r = msg_take_fd(m, TAG_FD_CREDS, &fd);

	if (r == 0)
		r = disk_read(fd, PACK_SIZE_MAX, &bytes, &n);
	if (r == 0)
		r = pack_open(bytes, n, &pack);
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && pack.count)
		defs = mem_new(pack.count * sizeof(struct definition *));
	for (; r == 0 && i < pack.count; i++) {
		defs[i] = definition_get(b, pack_at(&pack, i));
		if (!defs[i]) {
			r = -EBADMSG;
			break;
		}
		defs[i]->jobs++;
		asking |= !definition_local(defs[i]);
	}
	if (r < 0) {
		defs_done(b, defs, i);
		snprintf(why, size, "the job's credentials cannot be read: %s", strerror(-r));
		return r;
	}
	b->asking_jobs += (unsigned)asking - (unsigned)j->asking;
	j->asking = asking;
	defs_done(b, j->defs, j->ndefs);
	j->defs = defs;
	j->ndefs = pack.count;
	leases_job_changed(j);
	if (asking)
		helper_warm(b);
	return 0;
}

static int peer_set(struct job *j, struct msg_in *m, char *why, size_t size)
{
	cleanup_close int fd = -1;
	int r = msg_take_fd(m, TAG_FD_PEER, &fd);

	if (r == -ENOENT)
		return 0;
	if (r == 0) {
		job_peer_drop(j);
		r = watch_add(j->broker->loop, &j->peer, fd, EPOLLIN, job_peer_ready, j);
	}
	if (r < 0) {
		snprintf(why, size, "the proxy's socket cannot be used: %s", strerror(-r));
		return r;
	}
	j->peer_fd = TAKE_FD(fd);
	j->broker->peers++;
	return 0;
}

/* A job that was opened with ca.mode root keeps its root, whatever the mode is now. */
static int under_root(struct broker *b, struct ca *ca, char *why, size_t size)
{
	int r = 0;

	if (ca_own_root(ca))
		return 0;
	r = root_ready(b, false, why, size);
	if (r == 0 && !ca_signed_by(ca, &b->root)) {
		snprintf(why, size, "the job's CA is signed by another root than the store's");
		r = -EBADMSG;
	}
	if (r < 0) {
		ca_done(ca);
		*ca = (struct ca){ 0 };
	}
	return r;
}

/* The root that a running job trusts already, or a new one. */
static int ca_load(struct broker *b, const struct msg_in *m, uint64_t id, struct ca *ret, char *why,
		   size_t size)
{
	struct str sealed, name;
	char text[CA_NAME_MAX + 1];
	int r = msg_get(m, TAG_SEALED, &sealed);

	if (r == 0) {
		r = ca_unseal(sealed, &b->ca_key, id, ret);
		if (r == -EBADMSG && b->ca_old.n)
			r = ca_unseal(sealed, &b->ca_old, id, ret);
		if (r < 0)
			snprintf(why, size,
				 "the job's sealed root is not of this job or this store key");
		return r < 0 ? r : under_root(b, ret, why, size);
	}
	if (r == -ENOENT)
		r = msg_get_str(m, TAG_JOB_NAME, CA_NAME_MAX, &name);
	if (r == -ENOENT) {
		snprintf(text, sizeof(text), "j-%08llx", (unsigned long long)id);
		name = str_of(text);
		r = 0;
	}
	if (r == 0)
		r = ca_new(name, b->root_signs ? &b->root : NULL, ret);
	if (r < 0)
		snprintf(why, size, "the job's root could not be made: %s", strerror(-r));
	return r;
}

const struct ca *job_root(const struct job *j)
{
	return ca_own_root(&j->ca) ? &j->ca : &j->broker->root;
}

/* The three files that the job sees, and the sealed root. */
static int put_files(struct broker *b, struct job *j, struct msg_out *out, int fds[3])
{
	const struct ca *trusted = job_root(j);
	struct buf pem, head, tail, sealed;
	int r;

	buf_init(&pem, 8192);
	buf_init(&head, 256);
	buf_init(&tail, 8192);
	buf_init(&sealed, CA_SEALED_MAX);
	r = ca_pem(trusted, &pem);
	if (r == 0)
		r = ca_seal(&j->ca, &b->ca_key, j->id, &sealed);
	if (r == 0)
		r = bundle_p12(&b->bundle, buf_str(&trusted->cert), &head, &tail);
	if (r == 0) {
		struct str ca[] = { buf_str(&pem) };
		struct str all[] = { buf_str(&b->bundle.pem), buf_str(&pem) };
		struct str p12[] = { buf_str(&head), buf_str(&b->bundle.safe), buf_str(&tail) };

		r = broker_memfd("egret-ca", ca, 1, &fds[0]);
		if (r == 0)
			r = broker_memfd("egret-bundle", all, 2, &fds[1]);
		if (r == 0)
			r = broker_memfd("egret-truststore", p12, 3, &fds[2]);
	}
	if (r == 0) {
		msg_put_str(out, TAG_SEALED, buf_str(&sealed));
		msg_put_fd(out, TAG_FD_CA, fds[0]);
		msg_put_fd(out, TAG_FD_BUNDLE, fds[1]);
		msg_put_fd(out, TAG_FD_P12, fds[2]);
	}
	buf_done(&pem);
	buf_done(&head);
	buf_done(&tail);
	buf_done(&sealed);
	return r;
}

static void job_free(struct job *j)
{
	leases_job_ended(j);
	job_peer_drop(j);
	ca_done(&j->ca);
	defs_done(j->broker, j->defs, j->ndefs);
	tokens_done(j);
	j->broker->asking_jobs -= j->asking;
	free(j);
}

/* A job that is open already keeps its root, unless egretd brings one that it had before this
 * broker. */
static int job_again(struct job *j, struct msg_in *m, char *why, size_t size)
{
	struct str sealed;
	struct ca ca;
	int r;

	if (msg_get(m, TAG_SEALED, &sealed) == -ENOENT)
		return 0;
	r = ca_load(j->broker, m, j->id, &ca, why, size);
	if (r < 0)
		return r;
	ca_done(&j->ca);
	j->ca = ca;
	return 0;
}

/* Also for a job that is open: its proxy was started anew, or egretd was and asks for everything
 * again. */
int job_open(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	int fds[3] = { -1, -1, -1 };
	struct msg_out out;
	struct str sealed;
	struct job *j;
	bool fresh;
	uint64_t id;
	int r = get_id(m, &id, why, size);

	if (r < 0)
		return r;
	j = find(b, id);
	fresh = !j;
	if (fresh) {
		struct str name;

		j = mem_new(sizeof(*j));
		if (msg_get_str(m, TAG_JOB_NAME, CA_NAME_MAX, &name) == 0)
			snprintf(j->name, sizeof(j->name), "%.*s", STR_ARG(name));
		j->broker = b;
		j->id = id;
		j->peer_fd = -1;
	}
	msg_begin(&out, MSG_JOB_OPENED, m->id);
	msg_put_u64(&out, TAG_JOB, id);
	r = fresh ? ca_load(b, m, id, &j->ca, why, size) : job_again(j, m, why, size);
	if (r == 0)
		r = creds_set(j, m, why, size);
	if (r == 0 && fresh)
		keep_job_opened(j, msg_get(m, TAG_SEALED, &sealed) == 0);
	if (r == 0) {
		r = tokens_set(j, m);
		if (r < 0)
			snprintf(why, size, "the job's tokens are not well formed");
	}
	if (r == 0) {
		r = put_files(b, j, &out, fds);
		if (r < 0)
			snprintf(why, size, "the job's bundles could not be made: %s",
				 strerror(-r));
	}
	if (r == 0)
		r = peer_set(j, m, why, size);
	if (r < 0) {
		msg_out_done(&out);
		if (fresh)
			job_free(j);
	} else {
		if (fresh) {
			j->next = b->jobs;
			b->jobs = j;
		}
		leases_early(j);
		outbox_send(&b->egretd, &out);
	}
	for (unsigned i = 0; i < 3; i++)
		cleanup_close_p(&fds[i]);
	return r;
}

int job_peer(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	struct str field;
	struct job *j;
	uint64_t id;
	int r = get_id(m, &id, why, size);

	if (r < 0)
		return r;
	j = find(b, id);
	if (!j) {
		snprintf(why, size, "job %llu is not open", (unsigned long long)id);
		return -ENOENT;
	}
	/* With a proxy's socket alone they are what they were. */
	if (msg_get(m, TAG_FD_CREDS, &field) == 0 || msg_get(m, TAG_FD_PEER, &field) < 0) {
		r = creds_set(j, m, why, size);
		if (r < 0)
			return r;
	}
	return peer_set(j, m, why, size);
}

int job_close(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	uint64_t id;
	int r = get_id(m, &id, why, size);

	if (r < 0)
		return r;
	for (struct job **at = &b->jobs; *at; at = &(*at)->next) {
		struct job *j = *at;

		if (j->id != id)
			continue;
		*at = j->next;
		job_free(j);
		return 0;
	}
	return 0; /* closed already: egretd may ask twice */
}

int jobs_told(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	keep_jobs_told(b);
	return 0;
}

void jobs_done(struct broker *b)
{
	while (b->jobs) {
		struct job *j = b->jobs;

		b->jobs = j->next;
		job_free(j);
	}
}
