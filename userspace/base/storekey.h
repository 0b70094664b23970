/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealed store's key and folder, opened by root for the broker: egretd at start, and `egret
 * secret` when no daemon runs. The key is read by the broker alone; here only its owner, mode and
 * form are looked at.
 *
 *   state_dir/keys/store.key   64 hex digits, root, 0400; made when missing.
 * $CREDENTIALS_DIRECTORY/egret-store-key, a systemd credential (32 bytes or 64 hex digits), goes
 * before it. state_dir/store            the broker's uid, 0700; made when missing.
 *
 * Another key (egret secret rekey): state_dir/keys/store.key.new, or the systemd credential
 * egret-store-key-next, lies beside the old one until everything is sealed under it. The file then
 * takes the old one's place; a credential is the administrator's to rename.
 */
#ifndef EGRET_BASE_STOREKEY_H
#define EGRET_BASE_STOREKEY_H

#include "base/bytes.h"
#include <sys/types.h>

#define STORE_BROKER_UID 65601u /* numeric: needs no passwd entry */
#define STORE_VALUE_MAX 65536u
#define STORE_NAME_MAX 128u

bool store_name_ok(struct str name); /* [A-Za-z0-9._-]{1,128}, no leading dot */

/* 0 and a descriptor; or -errno with a sentence in why (size bytes) that says what is wrong and
 * what to do. -EPERM: an owner or mode (a matter of configuration: exit status 2). */
int storekey_open(const char *state_dir, int *ret_fd, char *why, size_t size) MUST_CHECK;
/* The key that is to take its place. make: a file is made where there is none, or the one that an
 * unfinished rekey left is taken. -ENOENT: there is none. */
int storekey_next(const char *state_dir, bool make, int *ret_fd, char *why, size_t size) MUST_CHECK;
/* Everything is sealed under it: 0; 1: it is a credential, which the administrator renames. */
int storekey_commit(const char *state_dir, char *why, size_t size) MUST_CHECK;
int store_dir_open(const char *state_dir, uid_t uid, int *ret_fd, char *why,
		   size_t size) MUST_CHECK;

#endif
