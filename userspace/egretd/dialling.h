/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream.netns: job. What a member asks for is dialled from the network namespace that it lives
 * in, so that the namespace's routes and what the host does at its link hold for it. The sockets
 * come from an `egret-proxy --sockets`, which is born in the proxy's cgroup, so that the cage holds
 * for them, and lives in the namespace; it ends with either. On the host's network nothing differs.
 * What goes out is what was judged only if nobody in the job can change the namespace's routes and
 * rules: so the job must be confined, nobody in it may have NET_ADMIN or NET_RAW, no other job may
 * be there, and each link must have the wall that drops what went astray. Called by member.c,
 * container_join.c and job_make.c.
 */
#ifndef EGRET_EGRETD_DIALLING_H
#define EGRET_EGRETD_DIALLING_H

#include "egretd/member.h"
#include "egretd/netns.h"

/* Tells the kernel that the job's proxy dials so, and makes room for its helpers. */
int dialling_make(const struct job *j) MUST_CHECK;
/* 0, or -EPERM with a sentence: a job cannot dial from such a namespace. beside: another job is in
 * it, and one of the two would. */
int dialling_there(const struct job *j, enum netns_how how, bool beside, char *why,
		   size_t n) MUST_CHECK;
/* The same by what is known of its links now. */
int dialling_links(const struct net *net, char *why, size_t n) MUST_CHECK;
/* Nothing speaks against it now, or it is not dialled from there. */
bool dialling_stands(const struct net *net);
/* Starts its helper, where it has one: net->source.sock is the proxy's, until dialling_given(). */
int dialling_source(struct net *net) MUST_CHECK;
void dialling_given(struct net *net);

#endif
