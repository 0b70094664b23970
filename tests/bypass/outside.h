/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outside of the bypass suite, one process: the sink in the outside world's network namespace
 * (sink.c), the colluder on the host (friend.c), and who drives the agent in the job and keeps the
 * score (drive.c), and does what a case asks the outside for (ask.c). Only tokens count: whoever
 * sees one says where.
 */
#ifndef EGRET_TESTS_BYPASS_OUTSIDE_H
#define EGRET_TESTS_BYPASS_OUTSIDE_H

#include "bypass.h"

/* Where a token was seen. */
#define BY_TCP 1u	/* the sink's TCP servers */
#define BY_UDP 2u	/* its UDP servers */
#define BY_FRAME 4u	/* a frame on the outside world's link */
#define BY_LINK 8u	/* a frame that left the job's own link, on the host */
#define BY_GROUP 16u	/* a membership report */
#define BY_FRIEND 32u	/* the colluder's UNIX sockets */
#define BY_HOST 64u	/* the colluder's servers on the host's loopback and addresses */
#define BY_INBOUND 128u /* a connection that the outside world opened */

#define MAX_TRIES 2048

/* One attempt. */
struct attempted {
	const struct bypass_case *c;
	int family;
	struct attempt said;
	unsigned how, tokens;
	unsigned frames; /* neither ARP nor neighbour discovery nor of the colluder's making */
	bool excused;	 /* frames prove nothing: the outside itself makes some */
	char frame[96];	 /* the first of them, in words */
	uint8_t group[3];
};

struct outside {
	struct request four, six; /* without token */
	char run_at[256];	  /* where the job's `run` is for us: it may have another /run */
	char origin_ns[256], origin_dev[32], host_ns[256], taps[128];
	struct attempted *tries;
	size_t n_tries, n_frames;
	char run[16]; /* begins every token of this run */
};
extern struct outside O;

/* ---- ask.c ---- */
/* What a case wants of the outside (outside_does() in case.h), answered by one line to fd. */
void ask_answer(const char *line, int fd);
/* The command that kills the enforcer's processes, with "all" or "proxy" behind it; it prints the
 * pids that are free then. */
extern char ask_crash[512];

/* ---- drive.c ---- */
extern pid_t agent;
/* Called with descriptor and arg when fd can be read; owns neither. False: closed and forgotten. */
typedef bool (*reader)(int fd, void *arg);
void watch(int fd, reader fn, void *arg);
void pump(int ms);
/* Looks for tokens; counts them. */
bool seen(const void *data, size_t n, unsigned how);
/* The attempt that runs now; NULL between them. */
struct attempted *now_trying(void);
/* socket() in another network namespace; dies with a sentence. */
int socket_in(const char *netns, int family, int type, int proto);
void die(const char *what) __attribute__((noreturn));
/* A TCP (backlog) or UDP server on all addresses of a namespace. */
int serve(const char *netns, int type, uint16_t port);

void sink_open(void);
void sink_on(int fd, int type, unsigned how); /* a bound server: whose tokens are counted so */
void sink_serve(const char *netns, uint16_t port, unsigned tcp, unsigned udp);
void sink_inbound(bool on); /* connects to the job while an attempt wants that */
void sink_tick(void);
void friend_start(void);
void friend_late(void); /* makes the second socket */
/* Serves a port of the host's loopback, TCP and UDP: 0 or the errno that neither could be had by.
 */
int friend_take(int family, uint16_t port);
void friend_stop(void);

#endif
