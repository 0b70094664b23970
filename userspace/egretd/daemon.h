/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egretd: what its rooms share. One loop; no room blocks but for the milliseconds that a namespace
 * takes. It loads kernel programs, makes cgroups, namespaces, listeners and rings, starts and reaps
 * egret's other programs, and answers on the control socket.
 *
 * P5: no byte that came from a network, a job, an image or an engine is interpreted here. Policies
 * and credentials are read by egret-compile; frames on the control socket have fixed fields with
 * bounds.
 */
#ifndef EGRET_EGRETD_DAEMON_H
#define EGRET_EGRETD_DAEMON_H

#include "base/loop.h"
#include "base/msg.h"
#include "base/proto.h"
#include "egretd/cgroup.h"
#include "egretd/child.h"
#include "config/config.h"
#include "egretd/kernel.h"
#include "egretd/keycache.h"
#include "event/event.h"
#include "policy/credential.h"
#include "policy/policy.h"

#define PARK_LINKS_MAX 128 /* links of one egretd's kernel programs */
#define INSTANCE_MAX 32
#define GROUP_NOBODY ((gid_t)-1)
#define WHY_MAX 1024

struct job;
struct client;
struct compile;
struct handover;

/* A process egretd keeps running for all jobs: the audit process, the broker. */
struct service {
	struct daemon *d;
	const char *name; /* "audit" */
	struct child child;
	struct watch sock, ended;
	struct timer again;
	unsigned failures; /* in a row: each doubles the wait */
	bool ready;
	bool renewing; /* asked to end, because its program was replaced */
	bool fresh;    /* started by this egretd, not taken up: it knows no job of an earlier one */
};

/* Policies and credentials of the folders in the configuration, compiled. Replaced whole, or not at
 * all. */
struct library {
	struct pack policies, credentials;
	void *policies_map, *credentials_map;
	size_t policies_size, credentials_size;
};

struct daemon {
	struct loop *loop;
	const char *config_path; /* NULL: the default */
	struct config config;
	char instance[INSTANCE_MAX];
	char node[65];
	struct cgroups cg;
	struct kernel_where where; /* its programs are attached */
	struct kernel *kernel;
	struct handover *hand; /* handover.h: in an upgrade, on either side; NULL */
	struct library library;
	struct service audit, broker;
	struct asker *providers;    /* provider.h */
	struct override *overrides; /* override.h */
	struct files *files;	    /* files.h */
	unsigned nproviders;
	int log_fd;		       /* events.ndjson, append */
	gid_t group_jobs, group_audit; /* authority.h; GROUP_NOBODY: there is no such group */
	int store_key_next;	       /* rekey.h; -1: none */
	uint32_t rekey_serial;	       /* of the question to the broker; 0: none */
	int store_key, store_dir;      /* the broker's; -1 in the store's case when there is none */
	int roots[CONFIG_LIST_MAX];
	unsigned nroots;
	int run_lock, state_lock;
	int park[2];	 /* adopt.h */
	unsigned parked; /* frames that lie there */
	int control;	 /* listening socket */
	struct watch control_watch;
	struct timer accept_again;
	struct client *clients;
	unsigned nclients;
	struct job *jobs;
	unsigned njobs;
	uint32_t serial; /* of questions to services */
	bool once; /* started by `egret run`: end when the last job is over and nobody is connected
		    */
	struct timer idle;
	bool served; /* the start succeeded */
	bool stopping;
	bool before_walls; /* jobs are taken up before this one's programs can be tried: the walls
			    * that the egretd before it found still stand */
	int old_links[PARK_LINKS_MAX]; /* of an earlier egretd whose pins are gone: they hold until
					* this one's programs are attached */
	unsigned nold_links;
	bool taking_up; /* jobs of an earlier egretd are being read out of the parking place */
	struct watch hostaddr;
	struct watch held; /* tasks that the kernel stopped */
	struct timer beat, sweep, net_links;
	struct timer links;	/* links.h */
	bool links_down;	/* a wall is gone: jobs are frozen */
	struct units *units;	/* unit.h */
	struct walls *walls;	/* walls.h */
	struct direct *directs; /* direct.h */
	uint32_t direct_last;	/* the number that was given last */
	struct compile *reload;
	struct keycache identity_keys[CONFIG_IDENTITY_MAX]; /* by the configuration's entry */
	struct jti *jti;				    /* jti.h */
};

/* services.c */
int services_start(struct daemon *d, char *why, size_t n) MUST_CHECK;
void services_stop(struct daemon *d);
/* After adopt_jobs: services that this egretd started itself learn of the jobs that it took up. */
void services_tell_jobs(struct daemon *d);
/* Services whose program was replaced on disk are ended in order and started anew, one after the
 * other. */
void services_renew(struct daemon *d);
/* To a service: 0 or -errno. A service that is away gets its jobs anew when it is back, so callers
 * need not keep the message. */
int service_send(struct service *s, struct msg_out *m) MUST_CHECK;
/* An event of egretd itself. job 0: none. */
void daemon_event(struct daemon *d, uint64_t job, const struct event *e);

/* library.c */
int library_open(int policies_fd, int credentials_fd, struct library *ret) MUST_CHECK;
void library_close(struct library *l);
/* Compiles the configured folders. At start: waits. Later (SIGHUP, MSG_RELOAD): done(owner) with 0,
 * or -errno and a text; a broken file changes nothing. */
int library_load(struct daemon *d, char *why, size_t n) MUST_CHECK;
void library_reload(struct daemon *d, void (*done)(void *owner, int err, const char *text),
		    void *owner);

/* forget.c: a cgroup is no member's any more. In a slice of ours it is unknown from now on, which
 * is refused; at an attach point that is others' too it stays known, as nobody's, until it is gone.
 */
void cgroup_forget(struct daemon *d, uint64_t id);
void forget_open(struct daemon *d); /* after adopt_jobs */
void forget_close(struct daemon *d);

/* identity.c: the keys that are kept, and the journal of used tokens */
void identity_close(struct daemon *d);

/* control.c */
int control_open(struct daemon *d, char *why, size_t n) MUST_CHECK;
void control_close(struct daemon *d);
void daemon_check_idle(struct daemon *d);

/* main.c */
void daemon_stop(struct daemon *d, int status);

#endif
