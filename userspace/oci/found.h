/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What egret-runc wants to know of an engine's JSON: where things stand and a few facts, flat and
 * bounded. A jailed child fills it (look.c) in memory that it shares with its parent; the parent
 * believes no more than that places are inside the text, and looks at the bytes there itself
 * (splice.c).
 */
#ifndef EGRET_OCI_FOUND_H
#define EGRET_OCI_FOUND_H

#include "base/bytes.h"
#include <sys/types.h>

#define OCI_CONFIG_MAX (4u << 20)
#define OCI_STATE_MAX (64u << 10)
#define FOUND_ITEMS_MAX 16384u /* environment, mounts, hooks and capabilities together */
#define FOUND_MOUNTS_MAX 1024u
#define FOUND_HOOKS_MAX 64u
#define FOUND_LABELS_MAX 64u
#define FOUND_POOL_MAX (512u << 10)

struct place {
	uint32_t at, end;
};

/* A list that is to be edited: there, null, or absent (then `hole` says where its key may be put:
 * behind the '{' of the object that should hold it). */
enum slot_state { SLOT_ABSENT, SLOT_NULL, SLOT_LIST };
struct slot {
	uint8_t state;
	bool alone; /* absent, and nothing else is in that object: no comma behind */
	uint32_t hole;
	struct place whole;    /* null, or the list with its brackets */
	uint32_t first, count; /* in items: one place an element */
};

/* Decoded text in the pool; n = 0: none. Ends in NUL. */
struct words {
	uint32_t at, n;
};

struct found_mount {
	struct words to, from;
	bool bind, readonly;
};

enum { CAPS_SETS = 5 };

struct found {
	int r; /* 0 or -errno with fault */
	uint32_t fault_at;
	char fault[128];

	struct slot env, caps[CAPS_SETS], mounts, hooks; /* hooks.createRuntime */
	bool hooks_absent; /* hooks itself: the slot's hole is the top's */
	bool hooks_null;   /* hooks is null: hooks.whole is that null */
	struct words cgroup, root;
	bool root_readonly;
	struct words label_keys[FOUND_LABELS_MAX], label_values[FOUND_LABELS_MAX];
	uint32_t nlabels;
	struct found_mount mount_of[FOUND_MOUNTS_MAX]; /* by element of mounts */
	struct words hook_of[FOUND_HOOKS_MAX];	       /* path of each element of hooks */

	/* of a container's state */
	struct words id, bundle;
	uint64_t pid;

	uint32_t nitems;
	struct place items[FOUND_ITEMS_MAX];
	uint32_t pool_n;
	char pool[FOUND_POOL_MAX];
};

enum found_kind { FOUND_CONFIG, FOUND_PROCESS, FOUND_STATE };

/* find.c, pure: fills zeroed memory; r, fault and fault_at too. */
void found_read(enum found_kind kind, struct str text, struct found *f);

/* look.c: the same by a child without privileges; the memory is this process's own (free with
 * found_free). 0, or -errno with a sentence in why. */
int found_look(enum found_kind kind, struct str text, uid_t uid, struct found **ret, char *why,
	       size_t n) MUST_CHECK;
void found_free(struct found *f);
struct str found_words(const struct found *f, struct words w);

#endif
