/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the store's key and folder as root. The folders above are root's own; what lies in them is
 * still checked for owner, mode and kind, without following a symbolic link, because a key that
 * others could write or read is no key.
 */
#include "base/storekey.h"

#include "base/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BYTES 32u

bool store_name_ok(struct str name)
{
	if (name.n == 0 || name.n > STORE_NAME_MAX || name.p[0] == '.')
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '.' && c != '_' && c != '-')
			return false;
	}
	return true;
}

/* Opens state_dir, and makes it (0755) when its parent is there. */
static int state_open(const char *state_dir, int *ret_fd, char *why, size_t size)
{
	int fd, r;

	if (mkdir(state_dir, 0755) < 0 && errno != EEXIST) {
		r = -errno;
		snprintf(why, size, "%s could not be made: %s", state_dir, strerror(-r));
		return r;
	}
	fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		snprintf(why, size, "%s: %s", state_dir, strerror(-r));
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* Folder `name` below state_dir, of this owner, closed to all others. */
static int folder_open(const char *state_dir, const char *name, uid_t uid, int *ret_fd, char *why,
		       size_t size)
{
	cleanup_close int state = -1, fd = -1;
	bool made = false;
	struct stat st;
	int r;

	r = state_open(state_dir, &state, why, size);
	if (r < 0)
		return r;
	if (mkdirat(state, name, 0700) == 0)
		made = true;
	else if (errno != EEXIST)
		goto fault;
	fd = openat(state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		goto fault;
	if (made && (fchown(fd, uid, uid) < 0 || fchmod(fd, 0700) < 0 || fsync(state) < 0))
		goto fault;
	if (fstat(fd, &st) < 0)
		goto fault;
	if (st.st_uid != uid || (st.st_mode & 077)) {
		snprintf(why, size,
			 "%s/%s must belong to uid %u and be closed to others: run chown %u:%u and "
			 "chmod 0700",
			 state_dir, name, (unsigned)uid, (unsigned)uid, (unsigned)uid);
		return -EPERM;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
fault:
	r = -errno;
	snprintf(why, size, "%s/%s: %s", state_dir, name, strerror(-r));
	return r;
}

/* Writes a fresh key beside its place and links it there, so that a half-written key is never
 * found. */
static int key_make(int keys, const char *as)
{
	static const char hex[] = "0123456789abcdef";
	char name[32], text[2 * KEY_BYTES + 1];
	uint8_t key[KEY_BYTES];
	int fd, r = 0;

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return -EIO;
	for (size_t i = 0; i < KEY_BYTES; i++) {
		text[2 * i] = hex[key[i] >> 4];
		text[2 * i + 1] = hex[key[i] & 15];
	}
	text[2 * KEY_BYTES] = '\n';
	snprintf(name, sizeof(name), ".new-%d", (int)getpid());
	unlinkat(keys, name, 0);
	fd = openat(keys, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
	if (fd < 0)
		r = -errno;
	else if (write(fd, text, sizeof(text)) != sizeof(text) || fsync(fd) < 0)
		r = errno ? -errno : -EIO;
	wipe(key, sizeof(key));
	wipe(text, sizeof(text));
	/* link, not rename: a key that another process made meanwhile stays. */
	if (r == 0 && linkat(keys, name, keys, as, 0) < 0 && errno != EEXIST)
		r = -errno;
	if (fd >= 0) {
		unlinkat(keys, name, 0);
		close(fd);
	}
	if (r == 0 && fsync(keys) < 0)
		r = -errno;
	return r;
}

/* Owner, mode and kind. A group may read it (systemd gives credentials 0440), nobody may write it.
 */
static int key_check(int fd, mode_t never, const char *path, char *why, size_t size)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0) {
		r = -errno;
		snprintf(why, size, "%s: %s", path, strerror(-r));
		return r;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & never)) {
		snprintf(why, size,
			 "%s must be a file of root with mode 0400, and is uid %u mode %04o: run "
			 "chown root "
			 "and chmod 0400",
			 path, (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
		return -EPERM;
	}
	if (st.st_size < (off_t)KEY_BYTES || st.st_size > (off_t)(2 * KEY_BYTES + 1)) {
		snprintf(why, size, "%s must hold 64 hex digits and holds %lld bytes", path,
			 (long long)st.st_size);
		return -EINVAL;
	}
	return 0;
}

/* A systemd credential. 0 and fd -1: there is none of that name. */
static int credential_open(const char *name, char path[4096], int *ret_fd, char *why, size_t size)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	int fd = -1, r;

	if (dir && dir[0] == '/') {
		snprintf(path, 4096, "%s/%s", dir, name);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 && errno != ENOENT) {
			r = -errno;
			snprintf(why, size, "%s: %s", path, strerror(-r));
			return r;
		}
	}
	*ret_fd = fd;
	return 0;
}

/* keys/NAME, made where make says so. -ENOENT without a sentence: there is none. */
static int file_open(const char *state_dir, const char *name, bool make, char path[4096],
		     int *ret_fd, char *why, size_t size)
{
	cleanup_close int keys = -1;
	int fd, r = folder_open(state_dir, "keys", 0, &keys, why, size);

	if (r < 0)
		return r;
	snprintf(path, 4096, "%s/keys/%s", state_dir, name);
	fd = openat(keys, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT && !make)
		return -ENOENT;
	if (fd < 0 && errno == ENOENT) {
		r = key_make(keys, name);
		if (r < 0) {
			snprintf(why, size, "%s could not be made: %s", path, strerror(-r));
			return r;
		}
		fd = openat(keys, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd < 0) {
		r = -errno;
		snprintf(why, size, "%s: %s", path, strerror(-r));
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int storekey_open(const char *state_dir, int *ret_fd, char *why, size_t size)
{
	cleanup_close int fd = -1;
	mode_t never = 0227; /* systemd gives credentials 0400 or 0440 */
	char path[4096];
	int r = credential_open("egret-store-key", path, &fd, why, size);

	if (r == 0 && fd < 0) {
		never = 0377;
		r = file_open(state_dir, "store.key", true, path, &fd, why, size);
	}
	if (r == 0)
		r = key_check(fd, never, path, why, size);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Which of the two the key is decides which the next one is. */
static int is_credential(bool *ret, char *why, size_t size)
{
	cleanup_close int fd = -1;
	char path[4096];
	int r = credential_open("egret-store-key", path, &fd, why, size);

	*ret = fd >= 0;
	return r;
}

int storekey_next(const char *state_dir, bool make, int *ret_fd, char *why, size_t size)
{
	cleanup_close int fd = -1;
	mode_t never = 0377;
	char path[4096];
	bool credential;
	int r = is_credential(&credential, why, size);

	if (r < 0)
		return r;
	if (credential) {
		never = 0227;
		r = credential_open("egret-store-key-next", path, &fd, why, size);
		if (r == 0 && fd < 0) {
			snprintf(why, size,
				 "the store's key is the systemd credential egret-store-key: give "
				 "egretd the new one as egret-store-key-next and start it anew "
				 "(killed by SIGKILL jobs go on)");
			return -ENOENT;
		}
	} else {
		r = file_open(state_dir, "store.key.new", make, path, &fd, why, size);
	}
	if (r == 0)
		r = key_check(fd, never, path, why, size);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int storekey_commit(const char *state_dir, char *why, size_t size)
{
	cleanup_close int keys = -1;
	bool credential;
	int r = is_credential(&credential, why, size);

	if (r < 0 || credential)
		return r < 0 ? r : 1;
	r = folder_open(state_dir, "keys", 0, &keys, why, size);
	if (r < 0)
		return r;
	if (renameat(keys, "store.key.new", keys, "store.key") < 0 || fsync(keys) < 0) {
		r = -errno;
		snprintf(why, size, "%s/keys/store.key.new cannot take the old key's place: %s",
			 state_dir, strerror(-r));
		return r;
	}
	return 0;
}

int store_dir_open(const char *state_dir, uid_t uid, int *ret_fd, char *why, size_t size)
{
	return folder_open(state_dir, "store", uid, ret_fd, why, size);
}
