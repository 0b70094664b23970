/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job consists of: members (a cgroup each) and network namespaces (listeners each). A
 * container, a runner's processes, a command: each is refused until the namespace it lives in is
 * served by the job's proxy, and again whenever it is not. Called by the job_*.c files,
 * container.c, held.c and unit.c; reads the kernel's answers only.
 */
#ifndef EGRET_EGRETD_MEMBER_H
#define EGRET_EGRETD_MEMBER_H

#include "egretd/child.h"
#include "egretd/daemon.h"
#include "egretd/net_link.h"
#include "egretd/netns.h"
#include "egretd/place.h"

#define MEMBERS_MAX 512 /* a job */
#define NETS_MAX 256	/* a job; the proxy's bound too */

enum member_kind { MEMBER_COMMAND, MEMBER_WORKER, MEMBER_CONTAINER, MEMBER_CGROUP };
enum member_trust {
	MEMBER_TRUST_NONE,  /* nothing was laid into it */
	MEMBER_TRUST_FILES, /* bundles over the known files, no variables */
	MEMBER_TRUST_FULL,  /* files and variables */
};

/* A network namespace of a job. Two jobs may have listeners in one (the host's). */
struct net {
	struct net *next;
	struct job *job;
	struct netns ns;
	bool shared; /* others than this job's members are in it: no loopback of its own */
	bool served; /* the proxy that runs now has its listeners */
	bool dials;  /* what the job asks for here, its proxy dials from here (dialling.h) */
	struct child source;
	uint32_t question;
	unsigned members;
	struct watch route;
	uint8_t (*addrs)[16]; /* told to the kernel as members' addresses */
	size_t naddrs;
	struct net_links links;
};

struct member;
/* Called once: the member's namespace is served (0), or never will be. */
typedef void (*member_fn)(void *owner, int err, const char *why);

struct member {
	struct member *next;
	struct job *job;
	struct net *net;
	enum member_kind kind;
	enum member_trust trust;
	char name[PLACE_ID_MAX]; /* of a container its id; else the cgroup's last part */
	char *path;		 /* below the jobs' slice */
	int cgroup;
	uint64_t cgroup_id;
	bool made;	/* the cgroup is egretd's own: removed at the end */
	bool kill;	/* its processes end with the job */
	bool published; /* the engine publishes ports of it */
	struct member_port {
		uint16_t port; /* on the host */
		uint8_t ways;  /* EGRET_PUBLISHED_* */
	} ports[16];
	unsigned nports;
	int events; /* cgroup.events */
	struct watch empty;
	member_fn served;
	void *owner;
};

/* The job's net with this namespace, made if it is new. given: a namespace descriptor (borrowed),
 * or -1 for a new one (NETNS_NEW) or egretd's own (NETNS_SHARED). A namespace that is egretd's own,
 * or that another job is in, becomes a shared one by itself. */
int net_of(struct job *j, enum netns_how how, int given, struct net **ret, char *why,
	   size_t n) MUST_CHECK;
/* Asks the proxy to serve every net that it does not serve yet. */
int nets_listen(struct job *j) MUST_CHECK;
void nets_unserved(struct job *j); /* the proxy is gone: all members are refused */
/* The proxy's answer to question `id`: true when it was one of a net's. */
bool nets_answered(struct job *j, uint32_t id, bool ok, const char *why);
bool nets_served(const struct job *j); /* all of them */
/* Its addresses and links as they are now; on news of the kernel, and (net_links_open) taken up.
 * fresh: addresses whoever could have set them. */
void net_look(struct net *net, bool fresh);
/* Takes ns over. addrs: the addresses it had, 16 bytes each; NULL: not known. */
struct net *net_unparked(struct job *j, struct netns *ns, bool shared, struct str addrs);

/* Opens (or, with `make`, makes) the cgroup `path` below the jobs' slice and registers it, refused
 * as yet. net may be NULL at first: member_net() later. */
int member_add(struct job *j, enum member_kind kind, const char *name, const char *path, bool make,
	       struct net *net, struct member **ret, char *why, size_t n) MUST_CHECK;
void member_net(struct member *m, struct net *net);
uint32_t member_flags(const struct member *m);	 /* EGRET_CG_*, as it stands now */
int member_refresh(struct member *m) MUST_CHECK; /* tells the kernel how it stands now */
int members_refresh(struct job *j) MUST_CHECK;
/* fn comes at once when it is served already. */
void member_when_served(struct member *m, member_fn fn, void *owner);
/* Follows its end: a container or cgroup that is empty leaves the job. */
int member_watch(struct member *m) MUST_CHECK;
void member_remove(struct member *m);
void members_kill(struct job *j);
/* Waits at most ms for what was killed, then removes all. */
void members_done(struct job *j, int ms);
/* These are the ports that the engine publishes of it now, and no others. -E2BIG: some of them. */
int member_publish(struct member *m, const struct member_port *list, unsigned n) MUST_CHECK;

struct member *member_by_name(struct daemon *d, const char *name, struct job **ret_job);
/* The member whose cgroup `path` (below the slice) is, or is below of: the deepest. NULL. */
struct member *member_by_path(struct daemon *d, struct str path);
struct member *member_by_cgroup(struct daemon *d, uint64_t id);

#endif
