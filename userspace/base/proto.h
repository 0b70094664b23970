/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may say what to whom. A pair of processes that is not listed here shares no socket.
 *
 * egret <-> egretd control socket (run_dir/control.sock), authority in egretd/authority.c
 * egretd <-> proxy descriptor 3 of the proxy
 * egretd <-> broker descriptor 3 of the broker
 * egretd <-> audit descriptor 3 of the audit process
 * egretd <-> compile descriptor 3 of the compiler, one question, then it ends
 * egretd <-> init descriptor 3 of a job's first process, until the command is started
 * egretd <-> identity descriptor 3 of the checker of a CI system's token, one question
 * egretd <-> mount descriptor 3 of the one that lays bundles into a running container, one
 * question proxy <-> broker a pair made by egretd: the descriptor says which job
 * broker <-> provider a pair made by egretd: one login's helper that speaks to its provider
 * egretd <-> provider descriptor 3 of it, for its start
 * proxy <-> egret-proxy --sockets a pair made by egretd: sockets of one network namespace
 *
 * A child starts with 0, 1, 2 and the socket 3, enters its jail, and reads one *_START message that
 * holds all else. Strings are bounded by PROTO_TEXT_MAX unless said. Numbers are u64.
 */
#ifndef EGRET_BASE_PROTO_H
#define EGRET_BASE_PROTO_H

#define PROTO_SOCKET_FD 3
#define PROTO_SPARE_FD 4 /* keeps the pair open while egretd is away; a child never touches it */
#define PROTO_PARK_FD \
	5 /* and 6: in the broker only; egretd's parking place for jobs (egretd/adopt.h) */
#define PROTO_TEXT_MAX 4096
#define PROTO_NAME_MAX 128 /* names of policies, credentials, secrets, labels' keys */

#define PROXY_SYNC_EACH 1u /* a decision waits until its record is on disk */
#define BROKER_CA_ROOT 1u  /* jobs' CAs are signed by one root that images can carry */
#define STATUS_TRY 1u	   /* the walls are tried before it is answered; admins only */
#define AUDIT_SYNC_EACH 1u /* a batch is written to disk before it is acknowledged */

enum proto_type {
	/* answers to any question: id is the question's */
	MSG_OK = 1,
	MSG_FAILED, /* TEXT, CODE (errno, optional) */
	MSG_END,    /* closes a list */

	/* egretd -> proxy */
	MSG_PROXY_START =
		16,	  /* JOB, FD_POLICY+ (first: the policy; others only narrow it), FD_CREDS?,
			   * FD_RING, FD_RING_ACK (read-only), FD_RING_WAKE, FD_RING_SPACE,
			   * FD_RECORDS, FD_BROKER, FD_ROOTS* (PEM), NAMESERVER* ("ip" or
			   * "ip:port"), HOSTS*
			   * ("name=ip,ip"), ALLOW_PRIVATE* (CIDR), LOCAL_ADDR* (the host's own),
			   * SEARCH* (resolver suffixes), LIMIT* ("key=number"), SYNTHETIC*
			   * (CIDR: one IPv4, one IPv6), FLAGS (PROXY_*), FD_NAMES (memfd kept
			   * by egretd: the table of synthetic addresses, so that a proxy
			   * started anew knows what its forerunner handed out; empty at first) */
	MSG_PROXY_READY,  /* proxy -> egretd: ready for MSG_PROXY_LISTEN */
	MSG_PROXY_POLICY, /* FD_POLICY+, FD_CREDS?: judged by these from the next request on;
			     answered OK or FAILED */
	MSG_STOP,	  /* end cleanly */
	MSG_PROXY_BROKER, /* FD_BROKER: the broker was started anew; questions go there from now on
			   */
	MSG_PROXY_LISTEN, /* NETNS (cookie), NET ("none"|"host"), FD_TCP*, FD_DNS_UDP*, FD_DNS_TCP*,
			     FD_ENGINE_DNS? (UDP, connected to 127.0.0.11:53 of that namespace:
			     asked for nothing but names of MSG_PROXY_SERVICES), FD_DIAL? (of an
			     egret-proxy in that namespace, which gives the sockets to dial from
			     there) -> OK: they are served */
	MSG_PROXY_UNLISTEN, /* NETNS -> OK: closed, also what was accepted from it */
	MSG_PROXY_SERVICES, /* SERVICE*: the job's service containers by name, the whole list -> OK
			     */

	/* egretd -> broker */
	MSG_BROKER_START = 32, /* FD_STORE_DIR?, FD_STORE_KEY, FD_STORE_KEY_NEXT? (a rekey
				* is not over: this one seals, both open), FD_ROOTS*, FLAGS?
				* (BROKER_*) */
	MSG_JOB_OPEN, /* JOB, JOB_NAME?, FD_PEER, FD_CREDS?, SEALED?, FD_TOKEN* with TOKEN_AUDIENCE*
			 in the same order (the job's, for providers) -> MSG_JOB_OPENED or FAILED;
			 also for a job that is open */
	MSG_JOB_OPENED, /* JOB, SEALED (the job's CA, sealed under the store key), FD_CA, FD_BUNDLE,
			   FD_P12 */
	MSG_JOB_PEER,	/* JOB, FD_PEER, FD_CREDS?: a proxy was started anew, or credentials were
			   reloaded (no FD_PEER) */
	MSG_JOB_CLOSE,	/* JOB */
	MSG_SECRET_SET, /* NAME, FD_VALUE (read to its end, at most 64 KiB) -> OK */
	MSG_SECRET_LIST,   /* -> MSG_SECRET* then END */
	MSG_SECRET,	   /* NAME, TIME (wall, us), SIZE */
	MSG_SECRET_REMOVE, /* NAME -> OK */
	MSG_CA_ROOT,	   /* -> OK with FD_CA (PEM): the root for images; FAILED without
			      BROKER_CA_ROOT */

	/* proxy -> broker */
	MSG_CA_GET = 48, /* -> MSG_CA */
	MSG_CA,		 /* CERT (intermediate, DER), KEY (its key, DER), CHAIN* (DER: what the job
			  * must be shown besides, up to the root it trusts) */
	MSG_CRED_GET,	 /* INDEX in FD_CREDS, SCOPE? (sigv4: "20261122/eu-west-1/s3")
			  * -> MSG_CRED or FAILED (with INDEX) */
	MSG_CRED,	 /* INDEX, VALUE, LEASE, EXPIRES (wall, us; 0: never), STATIC (0|1), CERT?
			  * (PEM of mtls; VALUE is then its key's), ACCESS_KEY? and SESSION? (sigv4;
			  * VALUE is then the signing key of SCOPE). id 0, behind MSG_CA: unasked,
			  * what a proxy before this one had, to be searched for alone */

	/* broker -> egretd, which starts egret-provider, and the answer */
	MSG_PROVIDER_WANT = 56, /* KIND ("net"|"exec") -> MSG_PROVIDER or FAILED */
	MSG_PROVIDER,		/* FD_PEER: the broker's end of the child's socket */
	/* egretd -> provider, before anything else; its one argument is KIND too, as the jail comes
	 * before the message */
	MSG_PROVIDER_START, /* KIND, FD_PEER (its end), FD_ROOTS*, NAMESERVER*, HOSTS*, PARENT?,
			     * NO_PROXY* */
	/* broker -> provider: one credential's definition a child, so that it holds one login.
	 * PARAM* is "key=value" (policy/params.def; references to secrets are left out), SECRET* is
	 * "key=" and the bytes (ca_file's too). */
	MSG_PROVIDE,  /* NAME, KIND (provider's name), PARAM*, SECRET*, TOKEN? (the job's own ID
		       * token), TTL? (ms wanted), NOW? -> MSG_PROVIDED or FAILED (TEXT, CODE:
		       * EAGAIN if it is worth asking again, ENOKEY if it never is) */
	MSG_PROVIDED, /* VALUE, EXPIRES (wall, us; 0: never), RENEW_BY? (wall, us: from then on it
		       * cannot be made anew), STATIC (0|1), HANDLE? (opaque: what
		       * MSG_PROVIDER_RENEW and MSG_PROVIDER_REVOKE need), RENEWABLE (0|1), CERT?,
		       * ACCESS_KEY?, SESSION? (as MSG_CRED; VALUE is the secret key here) */
	MSG_PROVIDER_RENEW,  /* as MSG_PROVIDE with HANDLE, VALUE -> MSG_PROVIDED */
	MSG_PROVIDER_REVOKE, /* as MSG_PROVIDE with HANDLE, VALUE? -> OK or FAILED as above */
	MSG_PROVIDER_KEPT,   /* id of an answered question, no answer: the lease is in the broker's
			      * journal. A child whose broker goes revokes what it was given for
			      * questions of which it did not hear this, then ends */

	/* proxy -> egret-proxy --sockets */
	MSG_SOCKET_GET = 124, /* INDEX (AF_INET or AF_INET6) -> MSG_OK with FD_DIAL, or FAILED
				(CODE); in the order of the questions */

	/* egretd -> audit */
	MSG_AUDIT_START = 64, /* FLAGS (AUDIT_*), FD_LOG (append, readable), FD_KERNEL_EVENTS?,
				 FD_KERNEL_LOST?, NODE */
	MSG_RING_OPEN,	/* JOB, JOB_NAME, FD_RING, FD_RING_ACK, FD_RING_WAKE, FD_RING_SPACE, FACT*
			 * ("key=value"), ASSURANCE, PROXY_CGROUP and TIME (ms from a dial to its
			 * request's record, at most), FD_FOLLOW* (get this job's lines too) -> OK */
	MSG_RING_CLOSE, /* JOB: drain what is left -> OK */
	MSG_EVENT,  /* JOB?, RECORD (event/event.h): an event of egretd or the broker, no answer */
	MSG_FOLLOW, /* FD_FOLLOW: every line from now on */
	MSG_AUDIT_STATE, /* -> MSG_OK with SEQ, LOST */
	MSG_EVENTS, /* JOB, FD_FOLLOW (a socket): what the log has of this job, then its end. Also
		     * egret -> egretd, with JOB_NAME in place of JOB -> OK or FAILED */

	/* egretd -> compile */
	MSG_COMPILE = 80, /* FD_ARCHIVE (policy/archive.h: files of root's, whose texts egretd
			   * copied), or FD_SOURCE* with NAME* in the same order ("path"), KIND*
			   * ("policy"|"include"|"credential") (what a caller gave, which egretd
			   * does not read: it could be made to wait); FLAGS
			   * -> MSG_COMPILED or FAILED (TEXT: file:line:column: key: sentence) */
	MSG_COMPILED, /* FD_POLICY (pack of policies), FD_CREDS (pack of credentials), WARNING* */

	MSG_INSPECT,   /* FD_SOURCE* with KIND* ("docker-config": config.v2.json, "docker-host":
			* hostconfig.json) -> MSG_INSPECTED or FAILED */
	MSG_INSPECTED, /* NAME (the container's), IMAGE, LABEL* ("key=value"), NETWORK* (names),
			* PORT* ("tcp4:HOSTPORT:PORT", "tcp6:..."), ALIAS* (its names on networks),
			* FLAGS (INSPECT_*) */

	/* egretd -> identity */
	MSG_IDENTIFY = 88, /* FD_VALUE (the token), ISSUER, AUDIENCE (what the token must be for,
			    * nonce and all), NOW? (wall, us), NAME* (algorithms; none: all), KIND
			    * ("github"|"gitlab"|"buildkite"|"generic"), FD_KEYS? -> MSG_IDENTIFIED,
			    * or FAILED (CODE ENOKEY: good so far, but keys, or newer ones, are
			    * wanted; EXDEV: another issuer's) */
	MSG_IDENTIFIED,	   /* FACT* ("repo=acme/web"), TEXT (jti), EXPIRES (wall, s) */
	MSG_IDENTITY_KEYS, /* ISSUER, FD_ROOTS*, HOSTS*, NAMESERVER*, PARENT?, NO_PROXY* ->
			    * MSG_IDENTITY_KEYS with FD_KEYS (sealed: the issuer's key set) and TTL
			    * (ms: how long the issuer's server says that it is good), or FAILED */

	/* egretd -> mount */
	MSG_MOUNT = 92, /* FD_MNTNS, FD_ROOT (O_PATH: the container's root), FD_CA, FD_BUNDLE,
			 * FD_P12, UID (of the child that reads the image's own bundles)
			 * -> OK with INDEX (how many of the known files were covered) and FLAGS
			 * (MOUNT_*), or FAILED: nothing was covered */

	/* egretd -> init */
	MSG_INIT_START = 96, /* FD_SPEC (argv and environment, base/spec.h), FD_STDIN, FD_STDOUT,
			      * FD_STDERR, CWD (path), FD_STATUS, FD_CA, FD_BUNDLE, FD_P12, UID,
			      * GID, GROUP*, NET, RUN_DIR, HIDE* (paths), SETENV* ("KEY=value"),
			      * FD_NETNS?, FLAGS (PREPARED_OWN_CA) */

	/* egretd -> the egretd that replaces it, and back (egretd/handover.h) */
	MSG_HAND_START = 112, /* RUN_DIR, STATE_DIR, CGROUP (the jobs'): what must be the same */
	MSG_HAND_READY,	      /* back: TEXT (version); or FAILED with TEXT, also later */
	MSG_HAND_GO,	      /* FD_LOCK, FD_LOCK2, FD_CONTROL; all jobs are parked */
	MSG_HAND_CLIENT,      /* FD_PEER, FD_VALUE? (pidfd of who connected), JOB? with CODE (its
			       * question): the job that ends with it; AUDIENCE? (nonce). MSG_END after
			       * the last */
	MSG_HAND_SERVING,     /* back */
	MSG_HAND_YOURS,
	MSG_PARK_LINKS, /* FD_LINK*: kept with the jobs (egretd/adopt.h)
			 */

	/* egret -> egretd */
	MSG_STATUS = 128, /* FLAGS? (STATUS_TRY) -> MSG_STATUS with KEY=value TEXTs, then JOB lines
			     as for MSG_JOB_LIST, END */
	MSG_RUN, /* FD_SPEC, FD_STDIN.., CWD (path), FD_STATUS, NET, UID?, GID?, GROUP*, LABEL*,
		  * FD_TOKEN* with TOKEN_AUDIENCE*,
		  * POLICY?, FD_SOURCE* NAME* KIND*, FD_FOLLOW?
		  * -> MSG_JOB (ready, running) or FAILED; MSG_JOB_ENDED when it is over */
	MSG_JOB_LIST,  /* -> MSG_JOB*, END */
	MSG_JOB_SHOW,  /* JOB_NAME -> MSG_JOB */
	MSG_JOB,       /* JOB_NAME, STATE, NET, POLICY, DIGEST, FACT*, ASSURANCE, CONFINED, WALL*,
			  STARTED, CGROUP, PID, PROXY_PID, FLAGS? (JOB_*) */
	MSG_JOB_END,   /* JOB_NAME -> OK */
	MSG_JOB_ENDED, /* JOB_NAME, CODE */
	MSG_SIGNAL,    /* JOB_NAME, CODE (signal number): to the command of a job one started */
	MSG_RELOAD,    /* -> OK or FAILED */
	/* A job that the CI system runs. Registrars (configuration) and admins. */
	MSG_REGISTER_BEGIN, /* LABEL* ("provider=github") -> MSG_REGISTER_BEGIN: AUDIENCE to get a
			     * token for, with a nonce good on this connection only; empty: no token
			     * is wanted. TOKEN_AUDIENCE*: others, for providers of credentials */
	MSG_REGISTER,	    /* LABEL* (facts; provider among them), FD_VALUE? (the token), PID? (the
			     * worker: an ancestor of the caller, moved with all its descendants;
			     * absent: no process is moved, the job has containers only),
			     * CONTAINER_LABEL? (label key that its containers carry), SERVICE*,
			     * FLAGS (REGISTER_*), POLICY? (name; admins only), FD_SOURCE* NAME*
			     * KIND*, FD_TOKEN* TOKEN_AUDIENCE* (as MSG_RUN) -> MSG_JOB (ready)
			     * or FAILED */
	MSG_TRUST,  /* JOB_NAME -> MSG_PREPARED: what the steps of a worker need to trust its job's
		     * CA and to find placeholders; for who may see the job */
	MSG_ATTACH, /* CONTAINER (id or its first 12 or more digits) or CGROUP (path below the jobs'
		     * slice), JOB_NAME? (that job) or LABEL*, POLICY?, FD_SOURCE*.. (a job of its
		     * own) -> MSG_JOB or FAILED; admins */
	/* egret-runc; only from engines: root of the host */
	MSG_PREPARE,  /* CONTAINER, CGROUP (cgroupsPath of config.json), ENGINE, LABEL*
		       * (annotations), FLAGS (PREPARE_*; EXEC: for a process of a container that
		       * runs; the caller is to start it) -> MSG_PREPARED or FAILED (the container
		       * must  not start) */
	MSG_PREPARED, /* JOB_NAME? (none: it belongs to no job and stays refused), FD_CA FD_BUNDLE
		       * FD_P12 (with a job), SETENV* (placeholders and EGRET_JOB), FLAGS
		       * (PREPARED_*) */
	MSG_JOIN,     /* createRuntime: CONTAINER, PID (its first process: its network namespace is
		       * there), CGROUP, ENGINE, LABEL*, FLAGS (JOIN_SPLICED) -> OK with JOB_NAME?:
		       * served, or known to be nobody's; or FAILED (must not start) */
	MSG_UPGRADE,  /* -> OK (TEXT: the version that serves now) or FAILED (the old one does);
		       * admins */

	/* broker -> egretd */
	MSG_PROVIDER_END = 160, /* id of its MSG_PROVIDER_WANT, FLAGS?, no answer: that one ends by
				 * its socket's end, or is killed (PROVIDER_END_NOW) */
	/* egretd -> broker */
	MSG_FILE,      /* NAME (path), FD_VALUE? (read-only; root's), TEXT? (why there is none), no
			* answer: a file that a credential names, at the start and when it changed */
	MSG_JOBS_TOLD, /* no answer: all jobs that live were told; leases of others are owed */
	/* egret -> egretd -> broker */
	MSG_LEASE_LIST,	  /* FLAGS? (LEASE_ALL: also what is over) -> MSG_LEASE*, END; admins */
	MSG_LEASE,	  /* LEASE, NAME (credential), JOB_NAME, STATE ("live"|"replaced"|"owed"|
			   * "revoked"|"over"), STATIC, HOSTS* (patterns), SIZE (requests), TIME
			   * (minted), NOW (renewed), EXPIRES, REVOKED (all wall, us; 0: not), TEXT?
			   * (the last failure) */
	MSG_LEASE_REVOKE, /* LEASE?, JOB_NAME?, NAME? (credential): those that fit all that is
			   * there; or FLAGS (LEASE_ALL) -> OK with SIZE (how many) and STATIC (how
			   * many of them end nothing at a provider); admins */
	/* egret -> egretd */
	MSG_OVERRIDE, /* NAME (repository), TTL (ms), TEXT (reason), ASSURANCE? (who must have said
		       * it) -> OK with TEXT, or FAILED; admins */
	/* proxy -> broker */
	MSG_CRED_USED, /* INDEX, SIZE: so many requests more had it; no answer */
	/* broker -> proxy */
	MSG_CRED_GONE, /* INDEX: what it has of this credential is forgotten, and asked for anew
			* when it is needed */
	/* egret -> egretd -> broker */
	MSG_SECRET_REKEY, /* egretd adds FD_STORE_KEY (the new one) -> MSG_JOB_SEALED*, OK with SIZE
			   * (files that were sealed anew) and TEXT; admins. Asked again it goes on
			   */
	/* broker -> egretd */
	MSG_JOB_SEALED, /* JOB, SEALED: takes the place of MSG_JOB_OPENED's */
};
#define LEASE_ALL 1u
#define PROVIDER_END_NOW 1u
#define JOB_ONCE 1u  /* its egretd ends with its last job: who runs the job sweeps up after it */
#define MOUNT_DIR 1u /* the container has TRUST_DIR too */
#define REGISTER_CONTAINERS_ONLY \
	1u /* the runner refuses jobs without a job container: no step runs on the host */
#define REGISTER_KEEP 2u /* what is left at the end is not killed */
#define PREPARE_EXEC 1u
#define PREPARE_SOCKET 2u	 /* an engine's socket is mounted, as the host's links lead */
#define PREPARE_SOCKET_FOLDER 4u /* a folder that holds one */
#define PREPARE_POWERS \
	8u /* capabilities with which a container leaves: privileged ones have them */
#define PREPARED_NET_RAW 1u /* the policy leaves NET_RAW */
#define PREPARED_NET_ADMIN 2u
#define PREPARED_HIDE_SOCKETS 4u /* mounts of engines' sockets are to be left out */
#define PREPARED_EXEMPT 8u	 /* not egret's: the runtime goes on with what the engine wrote */
#define PREPARED_OWN_CA 16u	 /* clients meet the job's CA alone: their variables name it */
#define JOIN_SPLICED 1u		 /* config.json was edited: variables and bundles are in place */
#define INSPECT_PRIVILEGED 1u
#define INSPECT_ENGINE_SOCKET 2u /* a folder that holds an engine's socket is mounted */
#define INSPECT_HOST_NET 4u
#define INSPECT_HOST_PID 8u
#define INSPECT_CAPABILITIES \
	16u /* SYS_ADMIN, NET_ADMIN, SYS_PTRACE, SYS_MODULE, BPF or ALL added */
#define INSPECT_DEVICES                                                          \
	32u /* host devices, or the host's root or /proc, /sys/fs/cgroup mounted \
	     */

#define INSPECT_ENGINE_SOCKET_FILE 64u /* an engine's socket is */

/* Field tags. (*) after a name above: a list, walked by msg_each. */
enum proto_tag {
	TAG_TEXT = 1,
	TAG_CODE,
	TAG_JOB,      /* u64, never reused while egretd's state lasts */
	TAG_JOB_NAME, /* text form, e.g. "j-7f3a2c91" */
	TAG_NAME,
	TAG_KIND,
	TAG_FLAGS,
	TAG_INDEX,
	TAG_VALUE,
	TAG_LEASE,
	TAG_EXPIRES,
	TAG_STATIC,
	TAG_CERT,
	TAG_KEY,
	TAG_SEALED,
	TAG_TIME,
	TAG_SIZE,
	TAG_SEQ,
	TAG_LOST,
	TAG_NODE,
	TAG_FACT,
	TAG_ASSURANCE,
	TAG_RECORD,
	TAG_WARNING,
	TAG_UID,
	TAG_GID,
	TAG_GROUP,
	TAG_NET,
	TAG_RUN_DIR,
	TAG_HIDE,
	TAG_SETENV,
	TAG_LABEL,
	TAG_POLICY,
	TAG_DIGEST,
	TAG_STATE,
	TAG_CONFINED,
	TAG_WALL,
	TAG_STARTED,
	TAG_CGROUP,
	TAG_PID,
	TAG_PROXY_PID,
	TAG_NAMESERVER,
	TAG_HOSTS,
	TAG_ALLOW_PRIVATE,
	TAG_LOCAL_ADDR,
	TAG_SEARCH,
	TAG_LIMIT,
	TAG_SYNTHETIC,
	TAG_CWD,
	TAG_NETNS, /* u64 cookie */
	TAG_SERVICE,
	TAG_NETWORK,
	TAG_IMAGE,
	TAG_PORT,
	TAG_ALIAS,
	TAG_ISSUER,
	TAG_AUDIENCE,
	TAG_NOW,
	TAG_CONTAINER,
	TAG_CONTAINER_LABEL,
	TAG_ENGINE,
	TAG_MEMBER, /* of MSG_JOB, one each: "kind id state trust netns" (docs/man/egret-job.1) */
	TAG_TIER,   /* of MSG_JOB: why it is cooperative, in words */
	TAG_CHAIN,
	TAG_STATE_DIR,
	TAG_PROXY_CGROUP, /* u64: the id of the cgroup that the job's proxies run in */
	TAG_PARENT,	  /* upstream.proxy */
	TAG_NO_PROXY,
	TAG_SCOPE,
	TAG_ACCESS_KEY,
	TAG_SESSION,
	TAG_PARAM,
	TAG_SECRET,
	TAG_TOKEN,
	TAG_TTL,
	TAG_HANDLE,
	TAG_RENEWABLE,
	TAG_TOKEN_AUDIENCE,
	TAG_REVOKED,
	TAG_RENEW_BY,

	/* descriptors */
	TAG_FD_TCP = 256,
	TAG_FD_DNS_UDP,
	TAG_FD_DNS_TCP,
	TAG_FD_POLICY,
	TAG_FD_CREDS,
	TAG_FD_RING,
	TAG_FD_RING_ACK,
	TAG_FD_RING_WAKE,
	TAG_FD_RING_SPACE,
	TAG_FD_RECORDS,
	TAG_FD_BROKER,
	TAG_FD_ROOTS,
	TAG_FD_STORE_DIR,
	TAG_FD_STORE_KEY,
	TAG_FD_PEER,
	TAG_FD_CA,
	TAG_FD_BUNDLE,
	TAG_FD_P12,
	TAG_FD_VALUE,
	TAG_FD_LOG,
	TAG_FD_KERNEL_EVENTS,
	TAG_FD_KERNEL_LOST,
	TAG_FD_FOLLOW,
	TAG_FD_SOURCE,
	TAG_FD_SPEC,
	TAG_FD_STDIN,
	TAG_FD_STDOUT,
	TAG_FD_STDERR,
	TAG_FD_STATUS,
	TAG_FD_NETNS,
	TAG_FD_NAMES,
	TAG_FD_TCP6, /* the parking place names each descriptor by itself */
	TAG_FD_DNS_UDP6,
	TAG_FD_DNS_TCP6,
	TAG_FD_RING_ACK_RO,
	TAG_FD_POLICY2,
	TAG_FD_ENGINE_DNS,
	TAG_FD_MNTNS,
	TAG_FD_ROOT,
	TAG_FD_ROUTE,
	TAG_FD_LOCK,
	TAG_FD_LOCK2,
	TAG_FD_CONTROL,
	TAG_FD_LINK,
	TAG_FD_KEYS,
	TAG_FD_TOKEN,
	TAG_FD_DIAL,
	TAG_FD_STORE_KEY_NEXT,
	TAG_FD_ARCHIVE,
};

#endif
