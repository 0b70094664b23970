/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers: whose is it? Asked by egret-runc before one is made (MSG_PREPARE) and when its
 * namespaces are there (MSG_JOIN), by held.c for one that nobody announced, and by an admin
 * (MSG_ATTACH). What the engine wrote about it (labels, networks) is read by egret-compile
 * (inspect.h); here keys and values are compared only. Each question is a `placing`; none blocks.
 *
 *   container.c         a placing, from the question to the job
 *   container_choose.c  labels, "adopt", "unregistered": which job
 *   container_join.c    prepared, joined, executed in
 *   container_ports.c   ports that docker publishes, as it chooses them
 *   container_held.c    held, attached: bundles are laid into it while it stands still
 */
#ifndef EGRET_EGRETD_CONTAINER_H
#define EGRET_EGRETD_CONTAINER_H

#include "egretd/inspect.h"
#include "egretd/job.h"

#define PLACING_LABELS_MAX 128
#define PLACING_MS 10000
#define PLACING_PREPARED_MS 60000 /* from PREPARE to JOIN */
#define PLACING_HOLD_MS 60000
#define PLACING_HELD_MAX 64 /* tasks of one cgroup */

enum placing_why { PLACING_PREPARE, PLACING_JOIN, PLACING_HELD, PLACING_ATTACH };
enum placing_state {
	PLACING_IDENTIFY, /* egret-compile reads */
	PLACING_JOB,	  /* its job is being made */
	PLACING_PREPARED, /* answered; the container is being made */
	PLACING_SERVE,	  /* a member, not served yet */
	PLACING_MOUNT,	  /* egret-mount works in it */
	PLACING_WAIT,	  /* held until somebody attaches it */
};

struct held {
	pid_t pid;
	int pidfd;
};

struct placing {
	struct placing *next;
	struct daemon *d;
	enum placing_why why;
	enum placing_state state;
	struct client *client; /* who waits; NULL when gone or answered */
	uint32_t question;
	uint64_t flags; /* of the question */
	struct arena arena;
	struct timer late;
	bool container; /* an engine's; else a plain cgroup, and id its last part */
	char id[PLACE_ID_MAX];
	char path[CGROUP_PATH_MAX]; /* of its cgroup, below the slice; "" unknown yet */
	uint64_t cgroup_id;
	const struct config_managed *engine;
	struct str labels[PLACING_LABELS_MAX]; /* "key=value" */
	unsigned nlabels;
	struct inspect *inspect;
	struct inspected *found; /* the arena's copy of what the engine wrote; NULL: nothing */
	uint64_t job;		 /* id; 0: none */
	unsigned seen;		 /* INSPECT_* that egret-runc saw itself */
	bool hides;		 /* egret-runc leaves engines' sockets out */
	pid_t pid;
	int pidfd;
	struct held held[PLACING_HELD_MAX];
	unsigned nheld;
	struct mounting *mount;
};

/* container.c */
struct caller;
void container_prepare(struct daemon *d, struct client *c, const struct caller *who,
		       struct msg_in *m);
void container_join(struct daemon *d, struct client *c, const struct caller *who, struct msg_in *m);
void container_attach(struct daemon *d, struct client *c, const struct caller *who,
		      struct msg_in *m);
void containers_client_gone(struct daemon *d, struct client *c);
void containers_job_ready(struct job *j);
void containers_job_over(struct job *j, const char *why);
bool containers_busy(const struct daemon *d); /* one is being placed, and not just waited for */
void containers_done(struct daemon *d);	      /* egretd ends: what is held goes on, refused */
struct placing *placing_new(struct daemon *d, enum placing_why why, const char *id);
struct placing *placing_by_id(struct daemon *d, const char *id, enum placing_state state);
struct placing *placing_by_cgroup(struct daemon *d, uint64_t cgroup); /* held ones */
void placing_free(struct placing *p);
void placing_identify(struct placing *p); /* goes on by itself */
void placing_found_job(struct placing *p, struct job *j);
void placing_fail(struct placing *p, int err, const char *why);
void placing_late(struct placing *p, uint64_t ms);
bool process_lives(int pidfd);
struct job *placing_job(const struct placing *p);
struct str placing_label(const struct placing *p, const char *key); /* n = 0: none */
const struct config_managed *engine_by_name(const struct daemon *d, struct str name);

/* container_choose.c: the job (perhaps one that is just being made), NULL for none; or -errno: it
 * must not start. */
int placing_choose(struct placing *p, struct job **ret, char *why, size_t n) MUST_CHECK;
bool placing_is_exempt(const struct placing *p); /* a pod of a namespace that is not egret's */

/* container_join.c */
void placing_prepared(struct placing *p, struct job *j); /* answers MSG_PREPARE */
void placing_join(struct placing *p, struct job *j);
void placing_exec(struct placing *p);
/* Judges what it could do: the job may become cooperative by it, or it may not be in it. */
int placing_tier(struct placing *p, struct job *j, char *why, size_t n) MUST_CHECK;
/* Makes the container a member; goes on with placing_served. */
int placing_member(struct placing *p, struct job *j, enum member_trust trust, char *why,
		   size_t n) MUST_CHECK;

/* container_ports.c */
/* runs: it has been started, so the file may say them already. */
void container_follow_ports(struct member *m, const struct config_managed *engine, bool runs);
void container_ports_gone(uint64_t cgroup);

/* container_held.c */
int held_open(struct daemon *d, char *why, size_t n) MUST_CHECK;
void held_close(struct daemon *d);
void held_again(struct daemon *d); /* a failed upgrade may have read who was held */
/* A cgroup that is nobody's: the kernel refuses it and does not hold it. Takes fd over; forgotten
 * when the cgroup is empty. -errno: the kernel's table does not take it, and it would pass. */
int stranger_add(struct daemon *d, int fd, uint64_t id) MUST_CHECK;
void stranger_forget(struct daemon *d, uint64_t id);
void placing_held(struct placing *p,
		  struct job *j); /* the job of a held or attached one is ready */
void placing_held_over(struct placing *p, bool refuse); /* lets its tasks go */

#endif
