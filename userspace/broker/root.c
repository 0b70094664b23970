/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The long-lived root of this host (ca.mode: root), for images that carry it. One file in the
 * store's folder, sealed as the jobs' CAs are, beside the secrets and not one of them (its name
 * starts with a dot). Called by start.c, job.c and control.c. Bytes from the disk are hostile until
 * their tag is right; a file that cannot be opened is an error, never a reason for another root.
 */
#include "broker/broker.h"
#include "broker/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_NAME ".ca-root"
#define TEMP ".ca-root.new"
#define NO_JOB UINT64_MAX /* in place of a job's number */

static int write_whole(int dir, struct str s)
{
	cleanup_close int fd = -1;

	if (unlinkat(dir, TEMP, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dir, TEMP, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* A page or less: written in one go or not at all. */
	if (write(fd, s.p, s.n) != (ssize_t)s.n || fsync(fd) < 0 ||
	    renameat(dir, TEMP, dir, FILE_NAME) < 0 || fsync(dir) < 0) {
		int err = errno ? errno : EIO;

		(void)unlinkat(dir, TEMP, 0);
		return -err;
	}
	return 0;
}

static int make_root(struct broker *b, char *why, size_t size)
{
	struct ca root = { 0 };
	struct buf sealed;
	int r;

	buf_init(&sealed, CA_SEALED_MAX);
	r = ca_root_new(&root);
	if (r == 0)
		r = ca_seal(&root, &b->ca_key, NO_JOB, &sealed);
	if (r == 0)
		r = write_whole(b->store.dir, buf_str(&sealed));
	buf_done(&sealed);
	if (r < 0) {
		snprintf(why, size, "the root could not be made or written to the store: %s",
			 strerror(-r));
		ca_done(&root);
		return r;
	}
	b->root = root;
	return 0;
}

int root_ready(struct broker *b, bool make, char *why, size_t size)
{
	cleanup_free char *bytes = NULL;
	cleanup_close int fd = -1;
	size_t n = 0;
	int r;

	if (b->root.cert.n)
		return 0;
	if (b->store.dir < 0) {
		snprintf(why, size, "ca.mode root needs the store, to keep the root in");
		return -ENOENT;
	}
	fd = openat(b->store.dir, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && make)
		return make_root(b, why, size);
	r = fd < 0 ? -errno : disk_read(fd, CA_SEALED_MAX, &bytes, &n);
	if (r == 0)
		r = ca_unseal((struct str){ bytes, n }, &b->ca_key, NO_JOB, &b->root);
	if (r == -EBADMSG && b->ca_old.n)
		r = ca_unseal((struct str){ bytes, n }, &b->ca_old, NO_JOB, &b->root);
	if (r == -EBADMSG || r == -EMSGSIZE)
		snprintf(why, size,
			 "store/" FILE_NAME " is damaged or sealed with another key; put the "
			 "right one back, or remove it: a new root is made then, and images that "
			 "carry the old one must be made anew");
	else if (r < 0)
		snprintf(why, size, "store/" FILE_NAME " cannot be read: %s", strerror(-r));
	if (r == 0 && ca_expired(&b->root)) {
		snprintf(why, size,
			 "the root in store/" FILE_NAME " has expired; remove it: a new one is "
			 "made then, and images must be made anew");
		ca_done(&b->root);
		b->root = (struct ca){ 0 };
		r = -EKEYEXPIRED;
	}
	return r;
}

int root_rekey(struct broker *b, char *why, size_t size)
{
	cleanup_free char *bytes = NULL;
	cleanup_close int fd = -1;
	struct ca root = { 0 };
	struct buf sealed;
	size_t n = 0;
	int r;

	fd = openat(b->store.dir, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	buf_init(&sealed, CA_SEALED_MAX);
	r = fd < 0 ? -errno : disk_read(fd, CA_SEALED_MAX, &bytes, &n);
	if (r == 0 && ca_unseal((struct str){ bytes, n }, &b->ca_key, NO_JOB, &root) == 0)
		goto out;
	if (r == 0)
		r = b->ca_old.n ? ca_unseal((struct str){ bytes, n }, &b->ca_old, NO_JOB, &root)
				: -EBADMSG;
	if (r == 0)
		r = ca_seal(&root, &b->ca_key, NO_JOB, &sealed);
	if (r == 0)
		r = write_whole(b->store.dir, buf_str(&sealed));
	if (r < 0)
		snprintf(why, size, "store/" FILE_NAME " could not be sealed anew: %s",
			 strerror(-r));
	r = r < 0 ? r : 1;
out:
	ca_done(&root);
	buf_done(&sealed);
	return r;
}

int root_tell(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	cleanup_close int fd = -1;
	struct msg_out out;
	struct buf pem;
	int r;

	if (!b->root_signs) {
		snprintf(why, size, "there is no root for images: ca.mode is job, not root");
		return -ENOENT;
	}
	buf_init(&pem, 8192);
	r = ca_pem(&b->root, &pem);
	if (r == 0) {
		struct str parts[] = { buf_str(&pem) };

		r = broker_memfd("egret-root", parts, 1, &fd);
	}
	buf_done(&pem);
	if (r < 0) {
		snprintf(why, size, "the root could not be written: %s", strerror(-r));
		return r;
	}
	msg_begin(&out, MSG_OK, m->id);
	msg_put_fd(&out, TAG_FD_CA, fd);
	outbox_send(&b->egretd, &out);
	return 0;
}
