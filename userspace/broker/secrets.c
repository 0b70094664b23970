/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The administrator's questions about the store, passed on by egretd or asked by `egret secret`
 * itself. A value comes in a memory file, never in a frame that egretd holds: root does not see it.
 */
#include "broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int get_name(const struct msg_in *m, struct str *ret, char *why, size_t size)
{
	int r = msg_get_str(m, TAG_NAME, STORE_NAME_MAX, ret);

	if (r < 0)
		snprintf(why, size,
			 "store: a secret's name is 1 to 128 of A-Z a-z 0-9 . _ - and starts with "
			 "no dot");
	return r < 0 ? -EINVAL : 0;
}

/* Only a memory file is read: a pipe or a file on the network could hold the broker up. */
static int read_value(int fd, struct secret *ret, char *why, size_t size)
{
	struct secret all;
	struct stat st;
	size_t n = 0;
	int r;

	if (fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &st) < 0) {
		snprintf(why, size, "store: the value must come in a memory file");
		return -EINVAL;
	}
	if (st.st_size > (off_t)STORE_VALUE_MAX) {
		snprintf(why, size, "store: a secret has at most %u bytes", STORE_VALUE_MAX);
		return -EMSGSIZE;
	}
	r = secret_new((size_t)st.st_size, &all);
	if (r < 0) {
		snprintf(why, size, "store: no room in locked memory");
		return r;
	}
	while (n < all.n) {
		ssize_t got = pread(fd, all.p + n, all.n - n, (off_t)n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			secret_done(&all);
			snprintf(why, size, "store: the value ended early");
			return -EIO;
		}
		n += (size_t)got;
	}
	*ret = all;
	return 0;
}

int secrets_set(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	cleanup_close int fd = -1;
	struct secret value = { 0 };
	struct str name;
	int r = get_name(m, &name, why, size);

	if (r < 0)
		return r;
	if (msg_take_fd(m, TAG_FD_VALUE, &fd) < 0) {
		snprintf(why, size, "store: a value is missing");
		return -EINVAL;
	}
	r = read_value(fd, &value, why, size);
	if (r == 0)
		r = store_put(&b->store, name, value.p, value.n, why, size);
	secret_done(&value);
	return r;
}

int secrets_list(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	cleanup_free struct store_entry *list = NULL;
	struct msg_out out;
	size_t n = 0;
	int r = store_list(&b->store, &list, &n, why, size);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		msg_begin(&out, MSG_SECRET, m->id);
		msg_put_str(&out, TAG_NAME, str_of(list[i].name));
		msg_put_u64(&out, TAG_TIME, list[i].time_us);
		msg_put_u64(&out, TAG_SIZE, list[i].size);
		outbox_send(&b->egretd, &out);
	}
	msg_begin(&out, MSG_END, m->id);
	outbox_send(&b->egretd, &out);
	return 0;
}

int secrets_remove(struct broker *b, struct msg_in *m, char *why, size_t size)
{
	struct str name;
	int r = get_name(m, &name, why, size);

	return r < 0 ? r : store_remove(&b->store, name, why, size);
}
