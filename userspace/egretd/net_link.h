/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The links of a job's network namespace, and the wall at the host's side of each (bpf/tc.bpf.c):
 * followed while the namespace is served, since an engine may join it to another network later. A
 * wall goes with its link alone: who has NET_ADMIN in the namespace can hide a link or move its
 * end. Called by member.c and adopt.c. Reads the kernel's answers only; of what a job could have
 * chosen there are names of interfaces, which are shown and nothing else.
 */
#ifndef EGRET_EGRETD_NET_LINK_H
#define EGRET_EGRETD_NET_LINK_H

#include "abi.h"
#include "base/bytes.h"

#define NET_LINKS_MAX 16 /* a namespace */

struct daemon;
struct net;

struct net_links {
	uint32_t host[NET_LINKS_MAX]; /* interfaces of egretd's namespace where the wall stands */
	unsigned n;
	struct egret_link told; /* what the kernel knows of all of them */
	char why[128];		/* why not each link has the wall; "": each has */
};

/* Looks at the links through net->ns.route: the program is attached to those that are new, and all
 * are of this job. True: news came meanwhile, which were read with it; ask whatever else the socket
 * tells of again. */
bool net_links_look(struct net *net);
/* The members' flags have changed. */
void net_links_tell(struct net *net);
/* The namespace is nobody's any more. keep: another job is in it; nothing passes its links then. */
void net_links_drop(struct net *net, bool keep);
/* Each link of this namespace has the wall, or there is none but loopback. Else a sentence. */
bool net_tc(const struct net *net, const char **why);
/* 0, or -EPERM with a sentence: the configuration requires the wall, and a link cannot have it. */
int net_links_required(const struct net *net, char *why, size_t n) MUST_CHECK;

/* After adopt_jobs: the links of jobs taken up get this egretd's program; what an earlier egretd
 * left at links of jobs that nobody knows is taken away. From then on each wall is looked after:
 * one that others took away is put back, and told. */
void net_links_open(struct daemon *d);
void net_links_close(struct daemon *d);

#endif
