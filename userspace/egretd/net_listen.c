/* SPDX-License-Identifier: Apache-2.0 */
/* A job's network namespaces and its proxy: who listens there is handed over, see member.h. */
#include "egretd/dialling.h"
#include "egretd/job.h"
#include "egretd/member.h"

#include "base/log.h"

static void put_fd(struct msg_out *m, uint16_t tag, int fd)
{
	if (fd >= 0)
		msg_put_fd(m, tag, fd);
}

int nets_listen(struct job *j)
{
	struct net *net;
	struct msg_out m;
	int r = 0;

	for (net = j->nets; net && r == 0; net = net->next) {
		if (net->served || net->question)
			continue;
		r = dialling_source(net);
		if (r < 0)
			break;
		net->question = ++j->d->serial & 0x7fffffffu;
		msg_begin(&m, MSG_PROXY_LISTEN, net->question);
		msg_put_u64(&m, TAG_NETNS, net->ns.cookie);
		msg_put_str(&m, TAG_NET, net->shared ? STR("host") : STR("none"));
		put_fd(&m, TAG_FD_TCP, net->ns.tcp4);
		put_fd(&m, TAG_FD_TCP, net->ns.tcp6);
		put_fd(&m, TAG_FD_DNS_UDP, net->ns.dns_udp4);
		put_fd(&m, TAG_FD_DNS_UDP, net->ns.dns_udp6);
		put_fd(&m, TAG_FD_DNS_TCP, net->ns.dns_tcp4);
		put_fd(&m, TAG_FD_DNS_TCP, net->ns.dns_tcp6);
		put_fd(&m, TAG_FD_ENGINE_DNS, net->ns.engine_dns);
		put_fd(&m, TAG_FD_DIAL, net->source.sock);
		r = msg_send(j->proxy.sock, &m);
		msg_out_done(&m);
		dialling_given(net);
	}
	return r;
}

void nets_unserved(struct job *j)
{
	struct net *net;

	for (net = j->nets; net; net = net->next) {
		net->served = false;
		net->question = 0;
		child_end(&net->source);
	}
	if (members_refresh(j) < 0)
		log_err("job %s: the kernel's table cannot be changed: connections wait unanswered",
			j->name);
}

bool nets_served(const struct job *j)
{
	const struct net *net;

	for (net = j->nets; net; net = net->next)
		if (!net->served)
			return false;
	return true;
}
