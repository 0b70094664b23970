/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: /etc/egret/egret.json (or --config FILE) and drop-ins in conf.d beside it,
 * closed world, every key has a default (docs/man/egret.json.5). These are root's own files: egretd
 * parses them itself, after checking that nobody else can write them.
 */
#ifndef EGRET_CONFIG_CONFIG_H
#define EGRET_CONFIG_CONFIG_H

#include "base/limits.h"

#define CONFIG_LIST_MAX 64
#define CONFIG_DEFAULT "/etc/egret/egret.json"
#define CONFIG_FILE_MAX (1u << 20)
#define CONFIG_PROXY_UIDS 4096u /* limits.jobs is smaller */

struct config_list {
	struct str at[CONFIG_LIST_MAX];
	unsigned n;
};

/* What egret looks after beyond `egret run`: cgroups below egret.slice. */
enum config_unregistered { UNREGISTERED_DENY, UNREGISTERED_HOLD, UNREGISTERED_POLICY };
#define CONFIG_MANAGED_MAX 32
#define CONFIG_EXEMPT_MAX 32
struct config_managed {
	struct str unit;   /* "actions.runner.*.service"; n = 0: an engine's containers */
	struct str engine; /* "docker", "podman", "containerd", "crio", "buildkit"; with unit: that
			      unit is this engine's daemon, and its root may prepare and join
			      containers */
	struct str root; /* of docker: where containers/ID/config.v2.json lies (/var/lib/docker) */
	enum config_unregistered unregistered;
	struct str policy; /* UNREGISTERED_POLICY: its name */
	int64_t registrar; /* unit: the uid, besides root, that may register its jobs; -1: none */
	bool adopt_sole;   /* engine: "adopt": "sole": an unlabelled container joins the only job */
	bool hide_sockets; /* engine: "engine_socket": "hide": egret-runc leaves engines' sockets
			      out of jobs' containers */
	bool jobs_gitlab;  /* engine: "jobs": "gitlab": a container with GitLab's job.id label opens
			      the job, as its runner has no hook on the host */
	bool jobs_kubernetes; /* engine: "jobs": "kubernetes": each pod is a job */
	struct str
		exempt[CONFIG_EXEMPT_MAX]; /* engine: Kubernetes namespaces that are not egret's */
	unsigned nexempt;
};
#define CONFIG_IDENTITY_MAX 8
#define CONFIG_ALGORITHMS_MAX 4
struct config_identity {
	struct str issuer, audience;
	struct str kind; /* "github", "gitlab", "buildkite", "generic": how claims become facts */
	/* The CI system gives tokens for a fixed audience alone (GitLab), so that no nonce can
	 * stand in it: each token's own name (jti) is kept until it expires instead. */
	bool by_jti;
	struct str algorithms[CONFIG_ALGORITHMS_MAX];
	unsigned nalgorithms;
};

struct config {
	struct arena arena; /* all strings; each ends in NUL */
	struct str state_dir, run_dir;
	struct config_list policies, credentials; /* folders */
	struct str run_policy; /* the installed policy of `egret run` by callers who are no admins;
				  n = 0: they are refused */
	struct config_managed managed[CONFIG_MANAGED_MAX];
	unsigned nmanaged;
	struct config_identity identity[CONFIG_IDENTITY_MAX];
	unsigned nidentity;
	bool ca_root; /* "ca": { "mode": "root" }: job CAs are signed by one root that images carry
		       */
	struct str attach; /* "kubepods" or a cgroup's path: where jobs are, among others; n = 0:
			      the instance's own slice */
	struct config_list require;	/* "tc", "lsm", "unix", "netns", "confined" */
	struct config_list nameservers; /* "ip" or "ip:port"; empty: those of /etc/resolv.conf */
	struct config_list hosts;	/* "name=ip,ip" */
	struct str upstream_ca_file;	/* instead of the system's roots; n = 0: the system's */
	struct config_list upstream_ca_extra;
	bool upstream_netns_job; /* proxies dial from the namespace that the connection came from */
	struct config_list allow_private;
	struct str upstream_proxy;   /* "http://HOST:PORT": a parent proxy; n = 0: none */
	struct config_list no_proxy; /* names that it is not asked for */
	struct config_list synthetic;
	struct config_list search; /* resolver suffixes: of /etc/resolv.conf */
	char digest[65]; /* SHA-256 of what was read, in hex: two egretds with one digest decide
			    alike */
	struct limits limits;
	bool audit_sync_each;
	struct str group_jobs, group_audit; /* who may `egret run`; who may read */
	/* Numeric, no passwd entry needed, all different: broker, audit, compiler, checker of
	 * tokens, those that ask providers of credentials, then one for each proxy that can run at
	 * once. */
	unsigned uid_broker, uid_audit, uid_compile, uid_identity, uid_provider, uid_proxy_first;
};

/* path NULL: CONFIG_DEFAULT if it exists, else the defaults. 0; -EINVAL and friends with a sentence
 * "FILE:LINE:COLUMN: key: what". */
int config_load(const char *path, struct config *ret, char *why, size_t n) MUST_CHECK;
/* A file that anybody but root could have written decides nothing: 0, or -EPERM or -EINVAL and a
 * sentence. */
int config_trusted(int fd, const char *path, char *why, size_t n) MUST_CHECK;
void config_done(struct config *c);
/* "egret" for the standard run_dir, else a short name made from run_dir: names cgroups and pins. */
void config_instance(const struct config *c, char *to, size_t n);

#endif
