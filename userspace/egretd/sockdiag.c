/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See sockdiag.h. The kernel is asked for the sockets of one cgroup (a filter that it runs itself),
 * what it answers is collected, and each is ended by its cookie. MPTCP sockets are not ended
 * themselves: their TCP subflows are, which are found by the connection's token or, for listeners,
 * by the address. Alone speaks libnl's diag messages.
 */
#include "egretd/sockdiag.h"
#include "egretd/nstask.h"
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/mptcp.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <stdlib.h>

#define SOCKETS_MAX (1u << 20)

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct found {
	struct inet_diag_sockid id;
	uint8_t family, proto;
	uint32_t token; /* of MPTCP; 0: none */
};

struct list {
	struct found *p;
	size_t n, room;
};

struct ask {
	uint64_t cgroup;
	const uint64_t *inodes;
	size_t n;
	int proto; /* of the dump that runs */
	struct list mptcp, sockets;
	int err; /* of the answer that was read, negative */
	bool done;
};

static int list_add(struct list *l, const struct found *f)
{
	if (l->n == SOCKETS_MAX)
		return -E2BIG;
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 64;
		l->p = reallocarray(l->p, l->room, sizeof(*l->p));
		if (!l->p)
			die("out of memory");
	}
	l->p[l->n++] = *f;
	return 0;
}

static bool has_inode(const struct ask *a, uint32_t inode)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->inodes[i] == inode)
			return true;
	return a->n == 0;
}

static bool same_place(const struct inet_diag_sockid *a, const struct inet_diag_sockid *b)
{
	return a->idiag_sport == b->idiag_sport && a->idiag_dport == b->idiag_dport &&
	       memcmp(a->idiag_src, b->idiag_src, sizeof(a->idiag_src)) == 0 &&
	       memcmp(a->idiag_dst, b->idiag_dst, sizeof(a->idiag_dst)) == 0;
}

/* A subflow of one of the MPTCP sockets that were found before. */
static bool is_subflow(const struct ask *a, const struct found *f)
{
	for (size_t i = 0; i < a->mptcp.n; i++)
		if ((f->token && f->token == a->mptcp.p[i].token) ||
		    (f->family == a->mptcp.p[i].family && same_place(&f->id, &a->mptcp.p[i].id)))
			return true;
	return false;
}

static uint32_t token_of(struct nlattr *ulp)
{
	struct nlattr *in[INET_ULP_INFO_MAX + 1], *sub[MPTCP_SUBFLOW_ATTR_MAX + 1];

	if (!ulp || nla_parse_nested(in, INET_ULP_INFO_MAX, ulp, NULL) < 0 ||
	    !in[INET_ULP_INFO_MPTCP] ||
	    nla_parse_nested(sub, MPTCP_SUBFLOW_ATTR_MAX, in[INET_ULP_INFO_MPTCP], NULL) < 0 ||
	    !sub[MPTCP_SUBFLOW_ATTR_TOKEN_LOC])
		return 0;
	return nla_get_u32(sub[MPTCP_SUBFLOW_ATTR_TOKEN_LOC]);
}

static int on_socket(struct nl_msg *msg, void *arg)
{
	struct nlattr *at[INET_DIAG_MAX + 1];
	struct ask *a = arg;
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct inet_diag_msg *m = nlmsg_data(h);
	struct found f;

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || !nlmsg_valid_hdr(h, sizeof(*m)) ||
	    nlmsg_parse(h, sizeof(*m), at, INET_DIAG_MAX, NULL) < 0)
		return NL_SKIP;
	f = (struct found){ .id = m->id, .family = m->idiag_family, .proto = (uint8_t)a->proto };
	if (a->proto == IPPROTO_MPTCP) {
		struct mptcp_info info = { 0 };

		if (!has_inode(a, m->idiag_inode))
			return NL_OK;
		if (at[INET_DIAG_INFO])
			nla_memcpy(&info, at[INET_DIAG_INFO], sizeof(info));
		f.token = info.mptcpi_token;
		a->err = list_add(&a->mptcp, &f);
	} else {
		f.token = token_of(at[INET_DIAG_ULP_INFO]);
		if (has_inode(a, m->idiag_inode) || is_subflow(a, &f))
			a->err = list_add(&a->sockets, &f);
	}
	return a->err ? NL_STOP : NL_OK;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct ask *a = arg;

	(void)from;
	a->err = e->error;
	a->done = true;
	return NL_STOP;
}

/* The end of a dump; what stopped it comes as a number in it. */
static int on_finish(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct ask *a = arg;
	int r = 0;

	if (h->nlmsg_len >= (unsigned)nlmsg_size(sizeof(r)))
		memcpy(&r, nlmsg_data(h), sizeof(r));
	if (r < 0 && !a->err)
		a->err = r;
	a->done = true;
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct ask *a = arg;

	(void)msg;
	a->done = true;
	return NL_STOP;
}

/* Sends and reads the answer to its end. 0 or the kernel's errno. */
static int converse(struct nl_sock *nl, struct nl_msg *msg, struct ask *a)
{
	int r = nl_send_auto(nl, msg);

	a->err = 0;
	a->done = false;
	while (r >= 0 && !a->done && !a->err)
		r = nl_recvmsgs_default(nl);
	return a->err ? a->err : r < 0 && !a->done ? -EIO : 0;
}

static int dump(struct nl_sock *nl, int family, int proto, struct ask *a)
{
	struct {
		struct inet_diag_bc_op op;
		uint64_t cgroup;
	} __attribute__((packed))
	only = { { INET_DIAG_BC_CGROUP_COND, sizeof(only), sizeof(only) + sizeof(only.op) },
		 a->cgroup };
	struct inet_diag_req_v2 q = { .sdiag_family = (uint8_t)family,
				      .sdiag_protocol = (uint8_t)proto,
				      .idiag_ext = 1 << (INET_DIAG_INFO - 1),
				      .idiag_states = ~0u };
	struct nl_msg *msg = nlmsg_alloc_simple(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP);
	int r;

	if (!msg)
		return -ENOMEM;
	a->proto = proto;
	r = nlmsg_append(msg, &q, sizeof(q), NLMSG_ALIGNTO);
	if (!r && a->cgroup)
		r = nla_put(msg, INET_DIAG_REQ_BYTECODE, sizeof(only), &only);
	if (!r && proto > UINT8_MAX)
		r = nla_put_u32(msg, INET_DIAG_REQ_PROTOCOL, (uint32_t)proto);
	r = r ? -ENOMEM : converse(nl, msg, a);
	nlmsg_free(msg);
	return r;
}

static int destroy(struct nl_sock *nl, const struct found *f, struct ask *a)
{
	struct inet_diag_req_v2 q = { .sdiag_family = f->family,
				      .sdiag_protocol = f->proto,
				      .idiag_states = ~0u,
				      .id = f->id };
	struct nl_msg *msg = nlmsg_alloc_simple(SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK);
	int r;

	if (!msg)
		return -ENOMEM;
	r = nlmsg_append(msg, &q, sizeof(q), NLMSG_ALIGNTO);
	r = r ? -ENOMEM : converse(nl, msg, a);
	nlmsg_free(msg);
	return r;
}

static const char *sentence(int err)
{
	switch (err) {
	case -EOPNOTSUPP:
		return "the kernel cannot end sockets (CONFIG_INET_DIAG_DESTROY): connections made "
		       "before the job began stay refused, but open";
	case -EPERM:
	case -EACCES:
		return "sockets of this network namespace may not be ended: CAP_NET_ADMIN is "
		       "missing there";
	case -ENOENT:
		return "the kernel does not list sockets (CONFIG_INET_DIAG)";
	case -EINVAL:
		return "the kernel does not list sockets by cgroup: 6.1 or newer is needed";
	case -E2BIG:
		return "the cgroup has more than a million sockets";
	default:
		return "sockets made before the job began could not be ended";
	}
}

/* What a kernel was built without has no sockets; TCP it must have. */
static int find(struct nl_sock *nl, struct ask *a)
{
	static const int protos[] = { IPPROTO_MPTCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE };
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
			int r = dump(nl, families[f], protos[i], a);

			if (r == -ENOENT && !(protos[i] == IPPROTO_TCP && families[f] == AF_INET))
				r = 0;
			if (r)
				return r;
		}
	return 0;
}

static int end_all(struct nl_sock *nl, struct ask *a, unsigned *ret)
{
	unsigned count = 0;

	for (size_t i = 0; i < a->sockets.n; i++) {
		int r = destroy(nl, &a->sockets.p[i], a);

		/* Gone by itself meanwhile; or (-EINVAL) the listener of an MPTCP socket, which no
		 * kernel ends: nothing passes through it, what it accepts was made outside. */
		if (r && r != -ENOENT && r != -ESTALE && r != -ENOTCONN && r != -EINVAL)
			return r;
		count += r == 0;
	}
	*ret = count;
	return 0;
}

static int work(struct ask *a, unsigned *ret)
{
	struct nl_sock *nl = nl_socket_alloc();
	int r;

	if (!nl)
		return -ENOMEM;
	nl_socket_disable_auto_ack(nl);
	nl_socket_modify_cb(nl, NL_CB_VALID, NL_CB_CUSTOM, on_socket, a);
	nl_socket_modify_cb(nl, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, a);
	nl_socket_modify_cb(nl, NL_CB_ACK, NL_CB_CUSTOM, on_ack, a);
	nl_socket_modify_err_cb(nl, NL_CB_CUSTOM, on_error, a);
	r = nl_connect(nl, NETLINK_SOCK_DIAG) < 0 ? -EIO : find(nl, a);
	if (!r)
		r = end_all(nl, a, ret);
	nl_socket_free(nl);
	free(a->mptcp.p);
	free(a->sockets.p);
	return r;
}

static int work_inside(struct nstask *t, void *arg)
{
	unsigned count = 0;
	int r = work(arg, &count);

	memcpy(t->data, &count, sizeof(count));
	return r ? nstask_fail(t, r, sentence(r)) : 0;
}

int sockdiag_destroy(int netns, uint64_t cgroup, const uint64_t *inodes, size_t n,
		     unsigned *ret_count, char *why, size_t size)
{
	struct ask a = { .cgroup = cgroup, .inodes = inodes, .n = n };
	unsigned count = 0;
	struct nstask t;
	int r;

	if (netns >= 0) {
		r = nstask_run(-1, netns, work_inside, &a, &t, why, size);
		if (!r)
			memcpy(&count, t.data, sizeof(count));
	} else {
		r = work(&a, &count);
		if (r)
			snprintf(why, size, "%s (%s)", sentence(r), strerror(-r));
	}
	if (!r)
		*ret_count = count;
	return r;
}
