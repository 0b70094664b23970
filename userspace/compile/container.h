/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What egret wants to know of a container of docker, read from the two files that the engine keeps
 * of it: config.v2.json and hostconfig.json. The engine writes them, but names, labels, mounts and
 * values in them are the words of images and workflows: hostile. Called by main.c in the jail;
 * fuzzed by tests/fuzz/fuzz_inspect.c.
 */
#ifndef EGRET_COMPILE_CONTAINER_H
#define EGRET_COMPILE_CONTAINER_H

#include "base/bytes.h"
#include "base/proto.h"

#define CONTAINER_TEXT_MAX 400 /* bytes of an image's name and of a label's value */
#define CONTAINER_ARENA_MAX (64u << 20)

struct container_list {
	struct str at[64];
	unsigned n;
};

struct container_facts {
	struct str name, image;
	struct container_list labels;	/* "key=value": only those of runners and egret's own */
	struct container_list networks; /* names */
	struct container_list aliases;	/* its names on them */
	struct container_list ports;	/* "tcp4:HOSTPORT:PORT", "tcp6:..." (see read_ports) */
	uint64_t flags;			/* INSPECT_* */
};

/* 0; or -EINVAL with a sentence that names file and key. Strings are in the arena. */
int container_read(struct arena *a, struct str config, struct str host, struct container_facts *ret,
		   char *why, size_t n) MUST_CHECK;

#endif
