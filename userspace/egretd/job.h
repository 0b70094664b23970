/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job: a cgroup and a network namespace (a set of them in a later issue: the kernel's tables and
 * the messages already have it so), one proxy, one ring, one line in `egret job list`. Made by
 * MSG_RUN; ends with its command, with `egret job end`, or with the `egret run` that asked for it.
 *
 *   job_run.c    what the caller asked for, policies and credentials chosen      JOB_CHOOSING
 *   job_make.c   cgroup, namespace, ring, kernel tables; proxy, broker, audit    JOB_MAKING
 *   job_proxy.c  the proxy: started, and started anew when it dies
 *   job_start.c  the command itself                                              JOB_RUNNING
 *   job_end.c    killed, drained, removed                                        JOB_ENDING
 */
#ifndef EGRET_EGRETD_JOB_H
#define EGRET_EGRETD_JOB_H

#include "egretd/daemon.h"
#include "egretd/netns.h"
#include "event/ring.h"

#define JOB_FACTS_MAX 24
#define JOB_GROUPS_MAX 64
#define JOB_POLICIES_MAX 2

enum job_state { JOB_CHOOSING, JOB_MAKING, JOB_RUNNING, JOB_ENDING };
enum job_wait { WAIT_PROXY = 1, WAIT_BROKER = 2, WAIT_AUDIT = 4, WAIT_INIT = 8 };

struct job {
	struct job *next;
	struct daemon *d;
	struct client *client; /* who asked and waits; NULL when gone */
	uint32_t question;     /* id of its MSG_RUN */
	uint64_t id;
	char name[24];
	uint32_t serial; /* id of the questions about this job to services */
	enum job_state state;
	unsigned waiting;   /* enum job_wait */
	struct arena arena; /* facts, cwd, names */

	uid_t uid, caller_uid;
	gid_t gid, groups[JOB_GROUPS_MAX];
	unsigned ngroups;
	bool admin, host_net, confined;
	bool own_policy; /* judged by a file that came with it: a reload changes nothing for it */
	bool draining;	 /* the proxy has ended; the audit process reads what is left */
	struct fact fact_list[JOB_FACTS_MAX];
	struct facts facts;
	struct str cwd;
	int spec, stdio[3], status, follow;

	struct compile *compile;
	int policies[JOB_POLICIES_MAX]; /* packs of one image; [0] decides, [1] narrows */
	unsigned npolicies;
	int creds;	    /* pack, or -1 */
	struct library own; /* what was given with the job */
	struct str policy_name, policy_digest;
	struct kernel_dial *dials;
	size_t ndials;
	struct str placeholders[64]; /* "ENV=value" */
	unsigned nplaceholders;

	int cgroup, proxy_cgroup;
	uint64_t cgroup_id, proxy_cgroup_id;
	struct netns ns;
	struct ring_fds ring;
	int names; /* memfd: the proxy's table of synthetic addresses */
	int ca, bundle, p12;
	struct str sealed; /* the job's CA, sealed by the broker */

	struct child proxy, init;
	struct watch proxy_sock, proxy_ended, init_sock, init_ended;
	struct timer proxy_again, late;
	unsigned proxy_failures;
	uid_t proxy_uid; /* this job alone has it while it lasts; 0: not picked yet */
	int broker_pair; /* the proxy's end, until it is sent */
	int exit_status;
	uint64_t started_us;
};

/* What is parked of a job besides descriptors and texts (adopt.c): read only by an egretd of the
 * same build's form. */
struct job_words {
	uint64_t id, cookie, started_us, proxy_started, init_started;
	struct egret_listener listener;
	uid_t uid, caller_uid, proxy_uid;
	gid_t gid;
	pid_t proxy, init;
	unsigned npolicies;
	enum assurance assurance;
	bool admin, host_net, confined, own_policy;
};

struct job *job_new(struct daemon *d);
void job_taken_up(
	struct job *j); /* a running job of an earlier egretd: its processes are watched again */

/* MSG_RUN. Takes descriptors out of m. Answers the client by itself, now or later. */
struct caller;
void job_run(struct daemon *d, struct client *c, const struct caller *who, struct msg_in *m);
void job_make(struct job *j); /* policies are chosen */
int job_select(struct job *j, char *why,
	       size_t n) MUST_CHECK; /* job_select.c: policy, credentials, placeholders, dials */
void jobs_reload(struct daemon *d);
void job_answered(struct job *j, unsigned wait); /* one of the things waited for has come */
void job_start_command(struct job *j);
/* Says why to the client and takes the job down. */
void job_fail(struct job *j, const char *why);
void job_end(struct job *j);	 /* idempotent */
void job_drained(struct job *j); /* the audit process has read the last of it */

/* job_proxy.c */
int proxy_start(struct job *j, char *why, size_t n) MUST_CHECK;
void proxy_taken_up(struct job *j); /* watches an adopted one, or starts another */
void proxy_stop(struct job *j);
int proxy_ready(struct job *j,
		bool ready) MUST_CHECK; /* opens or closes the job's door in the kernel */

/* Questions about a job to the services, also asked anew when a service was started anew. */
int job_ask_audit(struct job *j) MUST_CHECK;
int job_ask_broker(struct job *j) MUST_CHECK;
void job_broker_opened(struct job *j, struct msg_in *m); /* MSG_JOB_OPENED */

struct job *job_by_name(struct daemon *d, struct str name);
struct job *job_by_serial(struct daemon *d, uint32_t serial);
void job_put(const struct job *j, struct msg_out *m); /* the fields of MSG_JOB */
const char *job_state_name(enum job_state s);

#endif
