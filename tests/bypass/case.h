/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One way round, one file in tests/bypass/cases/: what it tries, where it was published, and what
 * class it is of. attempt() runs inside the job and tries to get the token out to the target by
 * this one way; whether anything came out is judged outside (drive.c), never here.
 *
 *	static void attempt(const struct target *t, struct attempt *a) { ... }
 *	CASE(udplite_connect) = {
 *		.title = "UDP-Lite, connected", .source = "no pre_connect hook before Linux 7;
 *CVE-...", .group = "transport", .families = FOUR | SIX, .settings = EVERYWHERE, .attempt = attempt
 *};
 *
 * All cases are linked into one static program without other libraries, so that it runs in any
 * container and in the guests of tests/vm. attempt() has a process of its own, ended after
 * CASE_LIMIT_MS; it may leave children, they are killed with the job.
 */
#ifndef EGRET_TESTS_BYPASS_CASE_H
#define EGRET_TESTS_BYPASS_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define CASE_LIMIT_MS 6000

#define FOUR 1u
#define SIX 2u

/* Where a case makes sense. */
#define OWN 1u	  /* a network namespace of its own, with a link when nobody enforces */
#define BRIDGE 2u /* a docker container on a bridge */
#define NONE 4u	  /* a docker container with --network none */
#define HOST 8u	  /* the host's network */
#define EVERYWHERE (OWN | BRIDGE | NONE | HOST)
#define LINKED (OWN | BRIDGE | HOST)
/* Not a case's to name: what runs on the host's network is taken hold of (settings: HOST). */
#define ATTACH 16u
#define FIRST 32u /* of that: it ran in the slice before the enforcer did */

struct target {
	int family;	   /* AF_INET or AF_INET6 */
	const char *addr;  /* of the outside world; answers nothing but what the sink serves */
	const char *other; /* a second address there */
	uint16_t port;	   /* TCP and UDP are served there, and on 53, 80, 443 and 853; read for the
			      token and answered with "seen" */
	const char *token; /* to be got out as it is; letters and digits, at most 48 bytes */
	const char *dev;   /* the job's link, "" when it has none */
	const char *self;  /* the job's own address of this family on it, "" when it has none */
	const char *gateway; /* next hop, "" when there is none */
	const char *friend_; /* path of a UNIX stream socket of a colluder outside the job; see
				friend_open() */
	const char *late;    /* the same, but made after the job began; "" when it is not there */
	const char *run; /* the same, made before in the host's /run, as docker.sock and the system
			    bus are; "" where the job has another /run */
	const char *abstract; /* name of an abstract UNIX socket of the colluder */
	uint16_t host_port;   /* TCP and UDP on the host's own loopback, 127.0.0.1 and ::1 */
	const char *host; /* the host's own address of this family on the job's link, or outside:
			     host_port is served there too */
	int setting;	  /* OWN, BRIDGE, NONE or HOST */
	int early;	  /* what before() made, -1 when there is none (any more) */
};

struct attempt {
	int err;     /* 0: handed to the kernel; else the errno of the call that failed */
	bool absent; /* this kernel has no such thing (EAFNOSUPPORT, ENOSYS, ...): impossible here
		      */
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
	/* Settings, ATTACH and FIRST too, where only the LSM tier closes it, as
	 * docs/threat-model.md says: where that does not stand it is shown to be open, and closed
	 * in a guest's kernel. */
	unsigned lsm_only;
	/* Of these, what is closed to jobs that are called confined. The suite's own run as root,
	 * so that they may try everything else; tests/kernel/guard shows the wall. */
	bool confined_only;
	bool needs_root;  /* makes no sense without uid 0 and docker's default capabilities */
	unsigned wait_ms; /* how long after attempt() the sink still listens; 0: 60 */
	/* A membership report is what leaks: the group is token_group(), no token is in it. */
	bool by_group;
	/* While attempt() runs the outside world connects to self, port + 1 by TCP, and sends there
	 * by UDP, over and over; what it is answered counts. */
	bool inbound;
	/* The same to the colluder's listening socket ("listen"), at host, host_port + 1. */
	bool listens;
	/* It asks for "crash" (outside_does()): it runs alone under an enforcer of its own. */
	bool crash;
	void (*attempt)(const struct target *t, struct attempt *a);
	/* Runs before the enforcer takes hold (a socket opened early); its descriptor is given to
	 * attempt() as t->early. Optional. */
	int (*before)(const struct target *t);
};

struct case_entry {
	const char *name;
	const struct bypass_case *c;
};
/* The name is the macro's; .name need not be set. */
#define CASE(id)                                                                                   \
	static const struct bypass_case case_##id;                                                 \
	static const struct case_entry case_entry_##id                                             \
		__attribute__((used, aligned(16), section("bypass_cases"))) = { #id, &case_##id }; \
	static const struct bypass_case case_##id

/* tools.c: what most cases need. */

/* Fills ret; a family of AF_INET6 with an IPv4 address makes the mapped form. 0 for an address that
 * cannot be read. */
socklen_t sa_make(int family, const char *addr, uint16_t port, struct sockaddr_storage *ret);
/* Sets err from errno, and said. Returns false for use in chains. */
bool failed(struct attempt *a, const char *what);
/* failed(), and absent when errno says that the kernel has no such thing. */
bool lacking(struct attempt *a, const char *what);
/* Waits at most ms for a connect in progress; 0 or errno. */
int wait_connected(int fd, int ms);
/* socket() without blocking and connect() with patience: a descriptor, or -1 and *a filled. */
int dial(struct attempt *a, int family, int type, int proto, const char *addr, uint16_t port);
/* dial() and the token; closed after an answer, or after some hundred ms without. */
void dial_and_tell(const struct target *t, struct attempt *a, int type, int proto, const char *addr,
		   uint16_t port);
/* Sends the token by sendto(). */
bool send_token(const struct target *t, struct attempt *a, int fd, const char *addr, uint16_t port);
/* The IPv4 or IPv6 group that stands for the token. */
void token_group(const struct target *t, struct sockaddr_storage *ret);
/* A DNS question for NAME; bytes written, 0 when it does not fit. */
size_t dns_question(uint8_t *to, size_t room, const char *name, uint16_t type);
#define DNS_A 1
#define DNS_PTR 12
#define DNS_TXT 16
#define DNS_AAAA 28
#define DNS_SRV 33
#define DNS_HTTPS 65
#define DNS_ANY 255
/* The first nameserver of /etc/resolv.conf; t->other when there is none. */
const char *job_resolver(const struct target *t, int *family);
/* Asks for NAME, where %s is the token, by UDP or TCP (SOCK_*), and waits a little for an answer.
 */
void dns_tell(const struct target *t, struct attempt *a, int type, const char *server,
	      uint16_t port, const char *name, uint16_t rrtype);
/* dns_tell() to the job's own resolver, by UDP. */
void resolver_tell(const struct target *t, struct attempt *a, const char *name, uint16_t rrtype);
/* Local ports from /proc/net/NAME ("tcp", "udp6", ...) whose address begins so (as in that file)
 * and, for TCP, that listen; how many, at most max. */
size_t local_ports(const char *name, const char *begins, uint16_t *ret, size_t max);

/* The port of the job's own loopback that its connections to the target (SOCK_STREAM) or questions
 * to a nameserver (SOCK_DGRAM) are turned to; 0: it is not seen that they are. */
uint16_t turned_port(const struct target *t, int type);
/* Asks who drives the agent, by a line on its standard output, and waits for the answer. False: no
 * answer.
 *   crash        every process of the enforcer is killed at once: "done"
 *   crash proxy  its data path alone, which may come back
 *   take 4 PORT  the colluder serves that port on the host's own loopback, TCP and UDP: "here", or
 *                the errno's name
 *   pid          a process has died - the enforcer's data path, or one that the outside had - and
 *                the next one that is made has its number: the number
 *   whose PID    has a process of the agent it: "yes" or "no" */
bool outside_does(const char *what, char *ret, size_t room);

/* The colluder outside: asked by one line, answers one line. friend_tell() gives it the token;
 * friend_give() gets a descriptor of it by SCM_RIGHTS: "tcp" (connected to addr, port of the
 * family), "udp" (not connected), "raw" (SOCK_RAW, IPPROTO_RAW), "packet" (AF_PACKET, SOCK_RAW),
 * "listen" (TCP, on host_port + 1 of the host), "unix" (connected to the colluder). A datagram
 * socket that takes tokens has the name with ".d" behind it. */
int friend_open(struct attempt *a, const char *path);	   /* by path */
int friend_abstract(struct attempt *a, const char *name);  /* by abstract name */
int friend_any(const struct target *t, struct attempt *a); /* by any way that is open */
bool friend_tell(const struct target *t, struct attempt *a, int fd);
int friend_give(const struct target *t, struct attempt *a, int fd, const char *what);

#endif
