/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients in a job must find so that they trust the job's CA unchanged: files, variables, and
 * how an image's own bundle and the CA become one. Used by egret-init (egret run), egret-runc
 * (containers that are being made) and egret-mount (containers that run). The tables are the one
 * place that names them.
 */
#ifndef EGRET_TRUST_TRUST_H
#define EGRET_TRUST_TRUST_H

#include "base/bytes.h"
#include <sys/types.h>

#define TRUST_DIR "/run/egret"
#define TRUST_CA TRUST_DIR "/ca.pem"	     /* the job's CA alone */
#define TRUST_BUNDLE TRUST_DIR "/bundle.pem" /* public roots and the job's CA */
#define TRUST_P12 TRUST_DIR "/trust.p12"     /* the same for Java; password "changeit" */
#define TRUST_BUNDLE_MAX (16u << 20)

/* NULL-terminated lists of absolute paths. */
extern const char
	*const trust_bundles[];	       /* files that clients read when no variable says otherwise */
extern const char *const trust_java[]; /* Java's stores */
extern const char *const trust_anchors[]; /* folders whose *.crt update-ca-certificates and
					     update-ca-trust put into the bundle */

enum trust_kind {
	TRUST_REPLACES,	 /* gets the combined bundle */
	TRUST_ADDS,	 /* gets the CA alone */
	TRUST_SWITCH,	 /* has a value of its own */
	TRUST_NO_FOLDER, /* a folder that is read whole besides the file of another variable. Where
			    the job's CA is all that is met it names that file: no folder, so
			    nothing is read. Elsewhere, or set already: left as it is */
};
struct trust_variable {
	const char *name; /* NULL ends the table */
	enum trust_kind kind;
	const char *value;
};
extern const struct trust_variable trust_variables[];
extern const char *const trust_proxy_variables[]; /* taken away; compared without case */
#define TRUST_JAVA_VARIABLE "JAVA_TOOL_OPTIONS"
extern const char trust_java_options[];

/* NAME=VALUE names one of these? Without looking at the value. */
bool trust_is_proxy(const char *entry);

/* The new environment of a process: env with trust variables set, proxy variables gone, `more`
 * (placeholders; may be NULL) in place of entries of the same name. A variable that was set to a
 * file that is none of trust_bundles is left to `extend` (may be NULL), which returns the path to
 * put there (a file with its content and the CA) or NULL (then the combined bundle). Lists end in
 * NULL; all memory is the arena's. */
typedef const char *(*trust_extend)(void *owner, const char *name, const char *file);
struct trust_how {
	bool own_ca; /* the job meets no other certificates than its own CA's: variables name that
			alone, and a process need not read 140 roots to begin. The files that
			programs read without a variable, and copy, hold all */
	trust_extend extend;
	void *owner;
};
char **trust_environment(struct arena *a, char *const *env, char *const *more,
			 const struct trust_how *how);

/* Certificates of `image` (-1: none), of `roots` when image has none (-1: none), and of `ca`, one
 * after the other in PEM, written anew from what was parsed: bytes between certificates are not
 * carried over. At most TRUST_BUNDLE_MAX bytes and 4096 certificates are read. Parsing is done by a
 * child without privileges (no file, no network, uid `uid`, seccomp); this process only copies what
 * it sends into `to`. ret_n: how many of the image's own. 0; -EBADMSG: not PEM; -E2BIG; -errno. */
int trust_combine(int image, int roots, int ca, int to, uid_t uid, unsigned *ret_n) MUST_CHECK;

/* The whole of `from`, whose offset others may share, into `to`. 0; -EFBIG past TRUST_BUNDLE_MAX;
 * -errno. */
int trust_copy(int from, int to) MUST_CHECK;

#endif
