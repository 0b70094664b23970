/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSG_BROKER_START: the store's folder and key, the system's roots, this host's own. Read by main.c
 * before the jail is closed, because the jail's one hole is that folder; egretd, which is root, is
 * the only one heard by then.
 */
#include "broker/disk.h"
#include "broker/keep.h"

#include "broker/seal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int broker_memfd(const char *name, const struct str *parts, unsigned n, int *ret_fd)
{
	cleanup_close int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	for (unsigned i = 0; i < n; i++) {
		const char *p = parts[i].p;
		size_t left = parts[i].n;

		while (left) {
			ssize_t r = write(fd, p, left);

			if (r < 0 && errno == EINTR)
				continue;
			if (r <= 0)
				return r < 0 ? -errno : -EIO;
			p += r;
			left -= (size_t)r;
		}
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* 32 bytes, or 64 hex digits with or without a newline. text and key lie in locked memory. */
static int key_parse(const struct secret *text, size_t n, struct secret *key)
{
	if (n == SEAL_KEY) {
		memcpy(key->p, text->p, SEAL_KEY);
		return 0;
	}
	if (n == 2 * SEAL_KEY + 1 && text->p[n - 1] == '\n')
		n--;
	if (n != 2 * SEAL_KEY)
		return -EINVAL;
	for (size_t i = 0; i < SEAL_KEY; i++) {
		int high = hex_of((char)text->p[2 * i]), low = hex_of((char)text->p[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		key->p[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int keys_read(int fd, struct keys *ret, char *why, size_t size)
{
	struct secret text = { 0 }, key = { 0 };
	struct keys k = { 0 };
	ssize_t n = -1;
	int r;

	r = secret_new(2 * SEAL_KEY + 2, &text);
	if (r == 0)
		r = secret_new(SEAL_KEY, &key);
	if (r == 0) {
		n = pread(fd, text.p, text.n, 0);
		r = n < 0 ? -errno : key_parse(&text, (size_t)n, &key);
	}
	if (r == 0)
		r = seal_derive(&key, "egret store 1", &k.store);
	if (r == 0)
		r = seal_derive(&key, "egret job ca 1", &k.ca);
	if (r == 0)
		r = seal_derive(&key, "egret lease journal 1", &k.journal);
	secret_done(&text);
	secret_done(&key);
	if (r == -EINVAL)
		snprintf(why, size, "the store's key is not 32 bytes or 64 hex digits");
	else if (r < 0)
		snprintf(why, size, "the store's key could not be read: %s", strerror(-r));
	if (r < 0)
		keys_done(&k);
	else
		*ret = k;
	return r;
}

void keys_done(struct keys *k)
{
	secret_done(&k->store);
	secret_done(&k->ca);
	secret_done(&k->journal);
}

/* What a rekey that was not finished left is opened by either; from now on the new one seals. */
static int keys_load(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	cleanup_close int fd = -1, next = -1;
	struct keys k = { 0 };
	int r = msg_take_fd(m, TAG_FD_STORE_KEY, &fd);

	if (r < 0) {
		snprintf(why, size, "the store's key is missing");
		return -EINVAL;
	}
	r = keys_read(fd, &k, why, size);
	if (r < 0)
		return r;
	rekey_to(b, &k);
	if (msg_take_fd(m, TAG_FD_STORE_KEY_NEXT, &next) < 0)
		return 0;
	r = keys_read(next, &k, why, size);
	if (r == 0)
		rekey_to(b, &k);
	return r;
}

static int roots_load(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	struct str field;
	size_t at = 0;
	int r = 0;

	while (r == 0 && msg_each(m, TAG_FD_ROOTS, &at, &field)) {
		cleanup_free char *pem = NULL;
		cleanup_close int fd = -1;
		size_t n = 0;

		r = msg_take_fd_of(m, field, &fd);
		if (r == 0)
			r = disk_read(fd, BROKER_ROOTS_MAX, &pem, &n);
		if (r < 0)
			snprintf(why, size, "a file of roots could not be read: %s", strerror(-r));
		else
			r = bundle_add(&b->bundle, (struct str){ pem, n }, why, size);
	}
	if (r == 0) {
		r = bundle_ready(&b->bundle);
		if (r < 0)
			snprintf(why, size, "the truststore could not be prepared");
	}
	return r;
}

static int root_load(struct broker *b, const struct msg_in *m, char *why, size_t size)
{
	uint64_t flags = 0;
	int r = msg_get_u64(m, TAG_FLAGS, &flags);

	if ((r < 0 && r != -ENOENT) || (flags & ~(uint64_t)BROKER_CA_ROOT)) {
		snprintf(why, size, "the start message has flags of another version");
		return -EBADMSG;
	}
	b->root_signs = flags & BROKER_CA_ROOT;
	return b->root_signs ? root_ready(b, true, why, size) : 0;
}

int broker_start(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	int r;

	if (m->type != MSG_BROKER_START) {
		snprintf(why, size, "the first message is not the start (type %u)", m->type);
		return -EBADMSG;
	}
	r = msg_take_fd(m, TAG_FD_STORE_DIR, &b->store.dir);
	if (r < 0 && r != -ENOENT) {
		snprintf(why, size, "the store's folder did not come as a descriptor");
		return r;
	}
	r = keys_load(b, m, why, size);
	if (r == 0)
		r = roots_load(b, m, why, size);
	if (r == 0)
		r = root_load(b, m, why, size);
	return r < 0 ? r : keep_open(b, why, size);
}
