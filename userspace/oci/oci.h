/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rooms of egret-runc share: the command line as it was understood, the container, and how
 * failure is said. Nothing stays resident: one process an engine's call, gone with it.
 */
#ifndef EGRET_OCI_OCI_H
#define EGRET_OCI_OCI_H

#include "base/bytes.h"
#include "base/msg.h"
#include "oci/found.h"

#define OCI_RUN_DIR "/run/egret"
#define OCI_ID_MAX 128
#define OCI_READER_UID 65534 /* nobody: has nothing here */
#define OCI_WAIT_MS 10000
#define OCI_LABEL_MAX (256 + 1024 + 2)

enum verb {
	VERB_OTHER,
	VERB_CREATE,
	VERB_RUN,
	VERB_EXEC,
	VERB_DELETE,
	VERB_PAUSE,
	VERB_RESUME,
	VERB_HOOK
};

/* args.c. Strings are argv's. */
struct args {
	enum verb verb;
	const char *runtime; /* --egret-runtime */
	const char *run_dir; /* --egret-run-dir, or OCI_RUN_DIR */
	const char *engine;  /* --egret-engine, or engine_called's, or NULL */
	const char *root;    /* --root, or NULL */
	const char *log;     /* --log */
	bool log_json;
	const char *bundle, *id;
	bool detach;
	const char *process; /* exec --process */
	int process_at;	     /* its place in rest: "--process=FILE" itself, or FILE */
	bool process_joined; /* the former */
	int insert_at;	     /* of exec: where more options may stand */
	bool spliced;	     /* hook --spliced */
	char **rest;	     /* argv for the real runtime: without egret's own; room for more */
	int nrest;
};
/* 0, or -EINVAL with a sentence in why. What is filled until then can be used to say it. */
int args_read(int argc, char **argv, struct args *ret, char *why, size_t n) MUST_CHECK;
bool oci_id_ok(const char *id);

/* engine.c: its name as the configuration has it, or NULL. f may be NULL. */
const char *engine_called(const struct args *a, const struct found *f);

/* sockets.c: PREPARE_SOCKET*; hidden, with room for each mount, marks engines' sockets. */
uint64_t sockets_look(const struct found *f, bool *hidden);

/* say.c: to stderr and, in the runtime's own form, to its --log file, which is all that engines
 * show. Returns 1. */
int oci_fail(const struct args *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
void oci_warn(const struct args *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* runtime.c */
int runtime_find(const struct args *a, char *to, size_t size, char *why, size_t n) MUST_CHECK;
/* Becomes the runtime, without the families that no job has. Returns only on failure. */
int runtime_exec(const char *path, char **argv, bool walls, char *why, size_t n);
/* The same in a child: its status as a shell has it, or -errno. Signals are handed on. */
int runtime_wait(const char *path, char **argv, bool walls, char *why, size_t n);

/* ask.c: one question to egretd and its answer, bounded by OCI_WAIT_MS. MSG_FAILED is -EACCES with
 * egretd's sentence in why. */
struct prepared {
	struct msg_in m; /* holds the strings */
	bool job;
	int ca, bundle, p12;
	uint64_t flags;
	char **set; /* SETENV*; ends in NULL */
};
int ask_prepare(const struct args *a, const struct found *f, uint64_t flags, struct prepared *ret,
		char *why, size_t n) MUST_CHECK;
void prepared_done(struct prepared *p);
int ask_join(const struct args *a, const struct found *state, const struct found *config, char *why,
	     size_t n) MUST_CHECK;

/* lay.c: the files of a container below RUN_DIR/oci/ID. */
struct laid {
	struct arena a;
	char folder[256]; /* RUN_DIR/oci/ID */
	int rootfs;	  /* O_PATH */
	const struct found *config;
	const struct prepared *answer;
	struct buf mounts; /* for struct splice */
	char **env;
	const char *java;
	char warning[256]; /* empty: all is in place */
};
int lay_container(const struct args *a, const struct found *config, struct str text,
		  const struct prepared *p, struct laid *ret, char *why, size_t n) MUST_CHECK;
void lay_done(struct laid *l);
/* The variables that lay_container chose, for a process that comes later. -ENOENT: none. */
int lay_again(const struct args *a, const struct prepared *p, struct laid *ret) MUST_CHECK;
void lay_remove(const struct args *a);
/* Engines pause a container to make an image of it: what was written into its root is not in it
 * meanwhile. */
void lay_take(const struct args *a, bool out);

/* the sub-commands: the exit status */
int create_main(struct args *a);
int exec_main(struct args *a);
int delete_main(struct args *a);
int pause_main(struct args *a);
int hook_main(struct args *a);

/* A regular file, whole; -EFBIG. The buf is initialised here. */
int oci_read(int dir, const char *path, size_t max, struct buf *to) MUST_CHECK;

#endif
