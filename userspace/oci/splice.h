/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New text from an engine's JSON: bytes are put in and left out at the places that found.h gives,
 * everything else stays as it was written. What is put in was made by egret-runc; what is left out
 * is held against what it must be, byte by byte, because the places come from a child that read
 * hostile text. Pure.
 */
#ifndef EGRET_OCI_SPLICE_H
#define EGRET_OCI_SPLICE_H

#include "oci/found.h"

struct splice {
	char *const *env;	 /* NAME=VALUE, put behind; entries of these names go. NULL: the
				    environment stays */
	const char *java;	 /* put behind an existing JAVA_TOOL_OPTIONS; env names it too */
	bool net_raw, net_admin; /* capabilities that stay */
	const bool *hidden;	 /* mounts that go, by their place in the list; NULL: none */
	struct str mounts;     /* JSON objects with commas between them, put behind; may be empty */
	struct str hook;       /* one JSON object, or empty */
	struct str our_folder; /* mounts with sources below it were put in by an earlier run: they
				  go */
	struct str our_hook;   /* and hooks with this path */
};

/* to is a buf whose limit holds twice OCI_CONFIG_MAX. 0; -EINVAL with a sentence in why; -EMSGSIZE.
 */
int splice_text(struct str text, const struct found *f, const struct splice *s, struct buf *to,
		char *why, size_t n) MUST_CHECK;

/* Entries of the environment that name trust variables and hold no escape, as they are; for
 * trust_environment. Ends in NULL; the arena's. */
char **splice_env_set(struct arena *a, struct str text, const struct found *f);
bool splice_env_has(struct str text, const struct found *f, const char *name);

int splice_quote(struct buf *to, struct str s) MUST_CHECK; /* a JSON string */

#endif
