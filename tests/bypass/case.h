/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One way round, one file in tests/bypass/cases/: what it tries, where it was published, and what
 * class it is of. attempt() runs inside the job and tries to get the token out to the target by
 * this one way; whether anything came out is judged outside (tests/bypass/run), never here.
 *
 *	static void attempt(const struct target *t, struct attempt *a) { ... }
 *	CASE(udplite_connect) = {
 *		.title = "UDP-Lite, connected", .source = "no pre_connect hook before Linux 7; CVE-...",
 *		.group = "transport", .families = FOUR | SIX, .settings = EVERYWHERE, .attempt = attempt };
 *
 * All cases are linked into one program without other libraries, so that it runs in any container
 * and in the guests of tests/vm.
 */
#ifndef EGRET_TESTS_BYPASS_CASE_H
#define EGRET_TESTS_BYPASS_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define FOUR 1u
#define SIX 2u

/* Where a case makes sense. */
#define OWN 1u	  /* a network namespace of its own, with a link when nobody enforces */
#define BRIDGE 2u /* a docker container on a bridge */
#define NONE 4u	  /* a docker container with --network none */
#define HOST 8u	  /* the host's network */
#define EVERYWHERE (OWN | BRIDGE | NONE | HOST)
#define LINKED (OWN | BRIDGE | HOST)

struct target {
	int family;	      /* AF_INET or AF_INET6 */
	const char *addr;     /* of the outside world; answers nothing but what the sink serves */
	const char *other;    /* a second address there */
	uint16_t port;	      /* TCP and UDP are served there, and read for the token */
	const char *token;    /* to be got out; text, at most 48 bytes, other for each attempt */
	const char *dev;      /* the job's link, "" when it has none */
	const char *gateway;  /* next hop, "" when there is none */
	const char *friend_;  /* path of a UNIX stream socket of a colluder outside the job; see friend.h */
	const char *abstract; /* name of an abstract UNIX socket of the colluder */
	uint16_t host_port;   /* TCP and UDP on the host's own loopback, 127.0.0.1 and ::1 */
	const char *host;     /* the host's own address of this family on the job's link, or outside */
	int setting;	      /* OWN, BRIDGE, NONE or HOST */
};

struct attempt {
	int err;       /* 0: handed to the kernel; else the errno of the call that failed */
	bool absent;   /* this kernel has no such thing (EAFNOSUPPORT, ENOSYS, ...): impossible here */
	char said[128]; /* which call, in a few words: "sendto", "socket(AF_SMC)" */
};

/* What is expected without an enforcer. */
enum expect {
	LEAKS = 0,  /* gets out: shown first */
	IMPOSSIBLE, /* this kernel, or plain permissions, already refuse it: errno is shown */
	GUEST,	    /* needs what only a guest's kernel has (modules, LSM): shown there */
};

struct bypass_case {
	const char *name, *title, *source, *group;
	unsigned families, settings;
	enum expect expect;
	bool needs_root;  /* makes no sense without uid 0 and docker's default capabilities */
	unsigned wait_ms; /* how long after attempt() the sink still listens; 0: 60 */
	void (*attempt)(const struct target *t, struct attempt *a);
	/* Runs before the enforcer takes hold (a socket opened early); its descriptor is given to
	 * attempt() as descriptor number *t. Optional; only where the enforcer can be entered with
	 * open descriptors (egret run hands on none but 0, 1, 2, which is then what is shown). */
	int (*before)(const struct target *t);
};

#define CASE(id)                                                         \
	static const struct bypass_case case_##id;                       \
	static const struct bypass_case *const case_ptr_##id             \
		__attribute__((used, section("bypass_cases"))) = &case_##id; \
	static const struct bypass_case case_##id

/* bypass/tools.c: what most cases need. */
socklen_t sa_make(int family, const char *addr, uint16_t port, struct sockaddr_storage *ret);
/* Sets err from errno, and said. Returns false for use in chains. */
bool failed(struct attempt *a, const char *what);
/* failed(), and absent when errno says that the kernel has no such thing. */
bool lacking(struct attempt *a, const char *what);
/* Waits at most ms for a connect in progress; 0 or errno. */
int wait_connected(int fd, int ms);

#endif
