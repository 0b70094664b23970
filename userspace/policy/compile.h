/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From files to images: the whole of what egret-compile does behind its socket, also called
 * in-process by `egret policy`. Opens nothing: sources are bytes. All errors of all sources are
 * reported together.
 */
#ifndef EGRET_POLICY_COMPILE_H
#define EGRET_POLICY_COMPILE_H

#include "policy/diag.h"
#include "policy/policy.h"

#define COMPILE_SOURCES_MAX 4096u
#define COMPILE_BYTES_MAX (8u << 20)
/* What is said of the file with which it is too much. */
#define COMPILE_SOURCES_TEXT "with it there are more than %u policy and credential files"
#define COMPILE_BYTES_TEXT "with it policies and credentials are larger than 8 MiB in all"

enum source_kind {
	SOURCE_POLICY,	/* gives an image (one more for each set of roles) */
	SOURCE_INCLUDE, /* read when a policy includes it by name */
	SOURCE_CREDENTIAL,
	SOURCE_BASELINE /* a policy whose deny rules are added to every policy; an allow in it is an
			   error */
};

struct source {
	enum source_kind kind;
	struct str name; /* path, as errors show it */
	struct str text;
};

#define COMPILE_NO_REFERENCES \
	1u /* the caller is no admin: no store:, file:, exec: or provider references */

struct compiled {
	struct arena arena; /* holds the images */
	struct str *policies, *credentials;
	uint32_t npolicies, ncredentials;
	struct diag errors, warnings;
};

/* 0; -EINVAL with errors. Free with compiled_done in each case. */
int policy_compile(const struct source *sources, size_t n, unsigned flags,
		   struct compiled *ret) MUST_CHECK;
void compiled_done(struct compiled *c);

#endif
