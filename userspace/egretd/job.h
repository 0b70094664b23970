/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job: members (cgroups) in network namespaces (member.h), one proxy, one ring, one line in
 * `egret job list`. It comes into being in one of four ways and ends accordingly.
 *
 *   of a run      `egret run` (MSG_RUN): ends with its command, or with the caller
 *   of a runner   a registrar's MSG_REGISTER: ends with `egret job end`, or with the worker
 *   of an engine  a container that names its job by labels, or gets a policy of its own: ends when
 * it had no member for a while of a unit     a managed unit's policy for what nobody registered:
 * ends with its cgroup
 *
 *   job_run.c      MSG_RUN: what the caller asked for                             JOB_CHOOSING
 *   job_register.c MSG_REGISTER; worker.c: its processes
 *   job_select.c   policies and credentials chosen
 *   job_make.c     cgroup, namespace, ring, kernel tables; proxy, broker, audit   JOB_MAKING
 *   job_proxy.c    the proxy: started, and started anew when it dies
 *   job_start.c    the command of a run; the event that a job is there            JOB_RUNNING
 *   job_end.c      killed, drained, removed                                       JOB_ENDING
 */
#ifndef EGRET_EGRETD_JOB_H
#define EGRET_EGRETD_JOB_H

#include "egretd/daemon.h"
#include "egretd/member.h"
#include "egretd/tokens.h"
#include "event/ring.h"

#define JOB_FACTS_MAX 40
#define JOB_GROUPS_MAX 64
#define JOB_POLICIES_MAX 2
#define JOB_SERVICES_MAX 32

enum job_state { JOB_CHOOSING, JOB_MAKING, JOB_RUNNING, JOB_ENDING };
enum job_origin { JOB_OF_RUN, JOB_OF_RUNNER, JOB_OF_ENGINE, JOB_OF_UNIT };
enum job_wait { WAIT_PROXY = 1, WAIT_BROKER = 2, WAIT_AUDIT = 4, WAIT_INIT = 8 };

struct job {
	struct job *next;
	struct daemon *d;
	enum job_origin origin;
	struct client *client; /* who asked and waits; NULL when gone */
	uint32_t question;     /* id of its MSG_RUN or MSG_REGISTER */
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
	bool stale;    /* policies were read again while it was made: chosen anew before it runs */
	bool draining; /* the proxy has ended; the audit process reads what is left */
	struct str tier; /* why it is cooperative, in words */
	struct fact fact_list[JOB_FACTS_MAX];
	struct facts facts;
	struct str cwd;
	int spec, stdio[3], status, follow;

	struct compile *compile;
	int policies[JOB_POLICIES_MAX]; /* packs of one image; [0] decides, [1] narrows */
	unsigned npolicies;
	int creds;		 /* pack, or -1 */
	struct library own;	 /* what was given with the job */
	struct tokens tokens;	 /* for its credentials' providers */
	struct str wants_policy; /* by name, not by its facts; n = 0 */
	struct str policy_name, policy_digest;
	struct kernel_dial *dials;
	size_t ndials;
	struct direct
		*direct; /* direct.h; NULL: no rule of its policy is, or two policies decide */
	struct str placeholders[64]; /* "ENV=value" */
	unsigned nplaceholders;
	bool services_rule, inbound; /* of the policy */
	bool opens_tls;		     /* policy_opens_tls(), of the policies that stand now */
	unsigned capabilities;	     /* PREPARED_* that containers keep */

	struct member *members;
	unsigned nmembers;
	struct net *nets;
	unsigned nnets;
	struct str services[JOB_SERVICES_MAX];
	unsigned nservices;

	/* of a runner */
	struct worker *worker;	    /* worker.h; NULL: none */
	struct str container_label; /* GitHub's: its containers carry this label */
	struct str network;	    /* bound by the first of them */
	bool containers_only, keep, reaches_engine;
	struct identity *identity;
	/* of an engine, of a unit */
	struct timer linger;
	char *tell; /* who opens it learns here why it failed at once; NULL afterwards */
	size_t tell_n;

	int proxy_cgroup;
	uint64_t proxy_cgroup_id;
	struct ring_fds ring;
	int names; /* memfd: the proxy's table of synthetic addresses */
	int ca, bundle, p12;
	struct str sealed; /* the job's CA, sealed by the broker */

	struct child proxy, init;
	struct watch proxy_sock, proxy_ended, init_sock, init_ended;
	struct timer proxy_again, late;
	bool proxy_up;	       /* it has said READY */
	uint64_t proxy_killed; /* by the kernel, at its memory's bound */
	unsigned proxy_failures;
	bool dialling;	 /* its proxy dials from its members' network namespaces (dialling.h) */
	uid_t proxy_uid; /* this job alone has it while it lasts; 0: not picked yet */
	int broker_pair; /* the proxy's end, until it is sent */
	int exit_status;
	uint64_t started_us;
};

struct job *job_new(struct daemon *d);
void job_taken_up(
	struct job *j); /* a running job of an earlier egretd: its processes are watched again */

/* MSG_RUN. Takes descriptors out of m. Answers the client by itself, now or later. */
struct caller;
void job_run(struct daemon *d, struct client *c, const struct caller *who, struct msg_in *m);
/* MSG_REGISTER_BEGIN, MSG_REGISTER. */
void job_register_begin(struct daemon *d, struct client *c, const struct caller *who,
			struct msg_in *m, char *nonce); /* nonce: CONTROL_NONCE_MAX */
void job_register(struct daemon *d, struct client *c, const struct caller *who, struct msg_in *m,
		  const char *nonce);
void jobs_client_gone(struct daemon *d, struct client *c);

/* job_run.c: parts that the ways of coming into being share. */
int job_admit(const struct daemon *d, char *why, size_t n) MUST_CHECK;
int job_fact(struct job *j, struct str label, char *why, size_t n) MUST_CHECK;
int job_sources(struct job *j, struct msg_in *m, char *why, size_t n) MUST_CHECK; /* count */
int job_service(struct job *j, struct str name) MUST_CHECK; /* 1: new; 0: known; -E2BIG, -EINVAL */
void job_cooperative(struct job *j, const char *why);	    /* the first reason is kept */
void job_go(struct job *j); /* policy chosen, then made; or failed */

void job_make(struct job *j); /* policies are chosen */
int job_select(struct job *j, char *why,
	       size_t n) MUST_CHECK; /* job_select.c: policy, credentials, placeholders, dials */
int job_dials(struct job *j) MUST_CHECK; /* what its proxy may dial, read anew out of its policy */
void jobs_reload(struct daemon *d);
/* Policies changed, or what it may have did: chosen anew. False: it is ended, and may be gone. */
bool job_reselect(struct job *j);
void job_answered(struct job *j, unsigned wait); /* one of the things waited for has come */
void job_start_command(struct job *j);
void job_start_event(struct job *j);
void job_running(struct job *j); /* to who asked, and to the parking place */
/* Says why to the client and takes the job down. */
void job_fail(struct job *j, const char *why);
void job_end(struct job *j);	 /* idempotent */
void job_drained(struct job *j); /* the audit process has read the last of it */
/* A member's cgroup is empty or gone (NULL: none is left): it is removed, and the job may be over.
 */
void job_member_left(struct job *j, struct member *m);
void job_linger(struct job *j); /* of an engine and without a member: ends in a while */

int dial_of(const char *text, struct kernel_dial *ret) MUST_CHECK; /* "addr" or "addr/prefix" */
int dials_close_synthetic(struct daemon *d) MUST_CHECK;		   /* for every proxy */

/* job_files.c */
int job_files_lay(const struct job *j) MUST_CHECK;
void job_files_remove(const struct job *j);

/* job_proxy.c */
int proxy_start(struct job *j, char *why, size_t n) MUST_CHECK;
void proxy_taken_up(struct job *j); /* watches an adopted one, or starts another */
void proxy_stop(struct job *j);
int proxy_services(struct job *j) MUST_CHECK; /* tells the list of services */

/* Questions about a job to the services, also asked anew when a service was started anew. */
int job_ask_audit(struct job *j) MUST_CHECK;
int job_ask_broker(struct job *j) MUST_CHECK;
void job_broker_opened(struct job *j, struct msg_in *m); /* MSG_JOB_OPENED */

struct job *job_by_name(struct daemon *d, struct str name);
struct job *job_by_id(struct daemon *d, uint64_t id); /* NULL, also for one that ends */
struct job *job_by_serial(struct daemon *d, uint32_t serial);
struct str job_fact_of(const struct job *j, const char *key); /* n = 0: none */
void job_put(const struct job *j, struct msg_out *m);	      /* the fields of MSG_JOB */
void job_put_trust(const struct job *j, struct msg_out *m);   /* the fields of MSG_PREPARED */
const char *job_state_name(enum job_state s);

#endif
