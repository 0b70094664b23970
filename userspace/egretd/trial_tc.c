/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See trial.h: the wall at links. In a scratch namespace with a veth pair a packet socket sends
 * datagrams from one end to the other: without the program they arrive, with it one to a member
 * does and the one before it does not. The pair's interfaces have numbers that no host gives, since
 * the program knows links by their number alone.
 */
#include "egretd/trial.h"
#include "egretd/nstask.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_SIDE "egret-host"
#define JOB_SIDE "egret-job"
#define PORT 9
#define ARRIVES_MS 500

/* All of it in a namespace that nobody else sees. */
#define STRANGER 0xc6336402u /* 198.51.100.2, at the host's side */
#define MEMBER 0xc6336403u   /* .3, there too */
#define SELF 0xc6336404u     /* .4: who sends */

/* Numbers that no kernel gives, and always the same: a round that was killed leaves an entry that
 * the next one takes away. */
#define HOST_IFINDEX EGRET_TRIAL_LINK
#define JOB_IFINDEX 0x7ffffff1u

struct frame {
	uint8_t dest[6], source[6];
	uint16_t type;
	uint8_t version_len, tos;
	uint16_t len, id, frag;
	uint8_t hops, proto;
	uint16_t sum;
	uint32_t from, to;
	uint16_t sport, dport, udp_len, udp_sum;
	char byte;
} __attribute__((packed));

static int veth_make(struct nstask *t)
{
	struct nl_sock *nl = nl_socket_alloc();
	struct rtnl_link *a = rtnl_link_veth_alloc(), *b = a ? rtnl_link_veth_get_peer(a) : NULL;
	int r = nl && a && b ? nl_connect(nl, NETLINK_ROUTE) : -NLE_NOMEM;

	if (!r) {
		rtnl_link_set_name(a, HOST_SIDE);
		rtnl_link_set_ifindex(a, (int)HOST_IFINDEX);
		rtnl_link_set_name(b, JOB_SIDE);
		rtnl_link_set_ifindex(b, (int)JOB_IFINDEX);
		r = rtnl_link_add(nl, a, NLM_F_CREATE | NLM_F_EXCL);
	}
	if (b)
		rtnl_link_put(b);
	if (a)
		rtnl_link_put(a);
	if (nl)
		nl_socket_free(nl);
	if (r == -NLE_OPNOTSUPP)
		return nstask_fail(t, -ENOTSUP, "this kernel has no veth");
	return r ? nstask_fail(t, -EIO, "no veth pair for the trial") : 0;
}

static int up(int sock, const char *name, uint32_t addr)
{
	struct ifreq q = { 0 };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(addr) };

	snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", name);
	memcpy(&q.ifr_addr, &in, sizeof(in));
	if (addr && ioctl(sock, SIOCSIFADDR, &q) < 0)
		return -errno;
	if (ioctl(sock, SIOCGIFFLAGS, &q) < 0)
		return -errno;
	q.ifr_flags |= IFF_UP;
	return ioctl(sock, SIOCSIFFLAGS, &q) < 0 ? -errno : 0;
}

static int mac_of(int sock, const char *name, uint8_t to[6])
{
	struct ifreq q = { 0 };

	snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", name);
	if (ioctl(sock, SIOCGIFHWADDR, &q) < 0)
		return -errno;
	memcpy(to, q.ifr_hwaddr.sa_data, 6);
	return 0;
}

static uint16_t sum_of(const struct frame *f)
{
	const uint8_t *p = &f->version_len;
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t) ~(sum + (sum >> 16)));
}

static int frame_send(int packet, struct frame *f, uint32_t to, char byte)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = (int)JOB_IFINDEX,
				  .sll_halen = 6 };

	f->to = htonl(to);
	f->byte = byte;
	f->sum = 0;
	f->sum = sum_of(f);
	return sendto(packet, f, sizeof(*f), 0, (void *)&ll, sizeof(ll)) == sizeof(*f) ? 0 : -errno;
}

/* The byte that came; 0: none. */
static char came(int udp)
{
	struct pollfd p = { .fd = udp, .events = POLLIN };
	char b = 0;

	return poll(&p, 1, ARRIVES_MS) == 1 && recv(udp, &b, 1, MSG_DONTWAIT) == 1 ? b : 0;
}

static int judge(struct nstask *t, struct kernel *k, int udp, int packet, struct frame *f)
{
	int r = frame_send(packet, f, STRANGER, '1');
	char got;

	if (r || came(udp) != '1')
		return nstask_fail(t, r ? r : -EIO,
				   "a packet socket's frame did not arrive, although nothing "
				   "stood in its way");
	r = kernel_link_attach(k, HOST_IFINDEX);
	if (r == -EOPNOTSUPP)
		return nstask_fail(t, -ENOTSUP,
				   "this kernel has no clsact or cls_bpf: load sch_ingress and "
				   "cls_bpf");
	if (r)
		return nstask_fail(t, trial_fault(r), "the program cannot be attached to a link");
	/* What is sent on one CPU comes in its order: when the second is there the first is lost.
	 */
	r = frame_send(packet, f, STRANGER, '2');
	if (!r)
		r = frame_send(packet, f, MEMBER, '3');
	if (r)
		return nstask_fail(t, trial_fault(r), "a packet socket's frame cannot be sent");
	got = came(udp);
	/* The rest of the namespace's life is nobody's news. */
	if (kernel_link_detach(k, HOST_IFINDEX) < 0)
		return nstask_fail(t, -EIO, "the program cannot be taken from a link");
	if (got == '2')
		return nstask_fail(t, -EPERM, "a packet socket's frame went through a job's link");
	return got == '3' ? 0
			  : nstask_fail(t, -EIO, "what a member may be sent did not arrive either");
}

static int work(struct nstask *t, void *arg)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	struct frame f = { .type = htons(ETH_P_IP),
			   .version_len = 0x45,
			   .len = htons(sizeof(f) - ETH_HLEN),
			   .hops = 64,
			   .proto = IPPROTO_UDP,
			   .from = htonl(SELF),
			   .sport = htons(PORT),
			   .dport = htons(PORT),
			   .udp_len = htons(9) };
	cleanup_close int udp = -1, packet = -1;
	cpu_set_t one;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0 || unshare(CLONE_NEWNET) < 0)
		return nstask_fail(t, -EIO, "no network namespace for the trial");
	r = veth_make(t);
	if (r)
		return r;
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (udp < 0 || packet < 0 || bind(udp, (void *)&any, sizeof(any)) < 0)
		return nstask_fail(t, trial_fault(-errno), "no sockets for the trial");
	r = up(udp, HOST_SIDE, STRANGER);
	if (!r)
		r = up(udp, HOST_SIDE ":1", MEMBER);
	if (!r)
		r = up(udp, JOB_SIDE, 0);
	if (!r)
		r = mac_of(udp, HOST_SIDE, f.dest);
	if (!r)
		r = mac_of(udp, JOB_SIDE, f.source);
	if (r)
		return nstask_fail(t, trial_fault(r), "the trial's veth pair cannot be set up");
	return judge(t, arg, udp, packet, &f);
}

static void mapped(uint32_t addr, uint8_t to[16])
{
	uint32_t be = htonl(addr);

	memset(to, 0, 16);
	to[10] = to[11] = 0xff;
	memcpy(to + 12, &be, 4);
}

int trial_tc(const struct trial *t, char *why, size_t n)
{
	const struct egret_link link = { .job = TRIAL_JOB, .flags = EGRET_CG_TRIAL };
	uint8_t member[16], self[16];
	struct nstask said;
	int r;

	mapped(MEMBER, member);
	mapped(SELF, self);
	r = kernel_link_set(t->k, HOST_IFINDEX, &link);
	if (!r)
		r = kernel_member_set(t->k, TRIAL_JOB, member);
	if (!r)
		r = kernel_member_set(t->k, TRIAL_JOB, self);
	if (r)
		snprintf(why, n, "the kernel's tables cannot take the trial's link (%s)",
			 strerror(-r));
	r = r ? trial_fault(r) : nstask_run(-1, -1, work, t->k, &said, why, n);
	if (kernel_member_del(t->k, TRIAL_JOB, member) < 0 ||
	    kernel_member_del(t->k, TRIAL_JOB, self) < 0 || kernel_link_del(t->k, HOST_IFINDEX) < 0)
		return -EIO;
	return r;
}
