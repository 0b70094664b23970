/* SPDX-License-Identifier: Apache-2.0 */
/* See dialling.h. Reads nothing but the kernel's answers. */
#include "egretd/dialling.h"

#include "egretd/job.h"
#include "egretd/share.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define JOB_SAYS "upstream.netns is \"job\": "

int dialling_make(const struct job *j)
{
	uint64_t host;
	int r = j->dialling ? netns_cookie_here(&host) : 0;

	if (r < 0 || !j->dialling)
		return r;
	r = share_helpers(j->proxy_cgroup, j->d->cg.shares, NETS_MAX);
	if (r == 0)
		r = kernel_dialler_set(j->d->kernel, j->proxy_cgroup_id, j->id, host);
	return r;
}

int dialling_there(const struct job *j, enum netns_how how, bool beside, char *why, size_t n)
{
	const char *fault = NULL;

	if (beside)
		fault = "another job is in this network namespace";
	else if (j->dialling && how == NETNS_NEW)
		fault = "a job of egret run has a namespace without any link, from which nothing "
			"can be dialled: use --net host";
	if (!fault)
		return 0;
	snprintf(why, n, JOB_SAYS "%s", fault);
	return -EPERM;
}

int dialling_links(const struct net *net, char *why, size_t n)
{
	const char *lack;

	if (!net->dials || net_tc(net, &lack))
		return 0;
	snprintf(why, n, JOB_SAYS "each link of the namespace must have the wall \"tc\", and %s",
		 lack);
	return -EPERM;
}

bool dialling_stands(const struct net *net)
{
	const char *lack;

	return !net->dials || net_tc(net, &lack);
}

int dialling_source(struct net *net)
{
	const struct job *j = net->job;
	struct child_plan plan = { .program = "egret-proxy",
				   .arg = "--sockets",
				   .cgroup_dir = j->proxy_cgroup,
				   .uid = j->proxy_uid,
				   .gid = j->proxy_uid,
				   .alone = true,
				   .enter = true,
				   .netns = net->ns.netns };
	char why[WHY_MAX] = "";
	int r;

	if (!net->dials)
		return 0;
	child_end(&net->source);
	r = child_start(&plan, &net->source, why, sizeof(why));
	if (r < 0)
		log_err("job %s: %s", j->name, why);
	return r;
}

void dialling_given(struct net *net)
{
	if (net->source.sock >= 0)
		close(net->source.sock);
	net->source.sock = -1;
}
