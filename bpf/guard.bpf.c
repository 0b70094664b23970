// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sockets, where the kernel has BPF LSM and calls it (guard.h): families that reach the network by
 * no hook of cgroups (packet, vsock, XDP ...), sockets that were made outside the job and came in
 * by SCM_RIGHTS, pidfd_getfd or fork, and UNIX sockets of others. The cgroup programs are chosen by
 * the cgroup in which a socket was made; these go by who uses it.
 */
#include "guard.h"
#include <linux/netlink.h>

static __always_inline bool may_have(int family, int type, int proto)
{
	switch (family) {
	case AF_UNIX:
		return true;
	case AF_INET:
	case AF_INET6:
		if (type == SOCK_STREAM)
			return !proto || proto == IPPROTO_TCP || proto == IPPROTO_MPTCP;
		return type == SOCK_DGRAM && (!proto || proto == IPPROTO_UDP);
	case AF_NETLINK:
		/* Speaks to other processes, not to the kernel. */
		return proto != NETLINK_USERSOCK;
	}
	return false;
}

SEC("lsm/socket_create")
int BPF_PROG(egret_family, int family, int type, int proto, int kern)
{
	struct ask a = { .family = (__u8)family, .proto = (__u8)proto };
	struct egret_cgroup *job;

	if (kern || !governed(&job))
		return 0;
	if (!job && family != AF_UNIX && family != AF_NETLINK)
		return refuse(job, EGRET_R_UNREGISTERED, &a);
	return may_have(family, type, proto) ? 0 : refuse(job, EGRET_R_FAMILY, &a);
}

/* A socket that leads to a network. UNIX sockets have rules of their own; netlink speaks to the
 * kernel, and a runner's worker brings some along. */
static __always_inline bool leads_out(const struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	return family != AF_UNIX && family != AF_NETLINK;
}

static __always_inline bool is_foreign(const struct sock *sk, const struct egret_cgroup *job)
{
	return !job || !cgroup_is_of(BPF_CORE_READ(sk, sk_cgrp_data.cgroup), job->job);
}

/* What the caller named, for the event alone: the kernel's copy of a socket address, or NULL. */
static __always_inline void ask_named(struct ask *a, const struct sock *sk, const void *name)
{
	a->family = (__u8)BPF_CORE_READ(sk, __sk_common.skc_family);
	if (a->family == AF_INET) {
		struct sockaddr_in in = { 0 };

		if (bpf_probe_read_kernel(&in, sizeof(in), name))
			return;
		a->addr[2] = ADDR_MAPPED_WORD;
		a->addr[3] = in.sin_addr.s_addr;
		a->port = bpf_ntohs(in.sin_port);
	} else if (a->family == AF_INET6) {
		struct sockaddr_in6 in6 = { 0 };

		if (bpf_probe_read_kernel(&in6, sizeof(in6), name))
			return;
		__builtin_memcpy(a->addr, &in6.sin6_addr, sizeof(a->addr));
		a->port = bpf_ntohs(in6.sin6_port);
	}
}

static __always_inline int use(const struct sock *sk, const void *name)
{
	struct egret_cgroup *job;
	struct ask a = { 0 };
	int reason = EGRET_R_FOREIGN_SOCKET;

	if (!sk || !leads_out(sk) || !governed(&job))
		return 0;
	if (!is_foreign(sk, job)) {
		/* Made in the cgroup before it became a job's, maybe before this program was there
		 * to refuse it. */
		a.proto = (__u8)BPF_CORE_READ(sk, sk_protocol);
		if (may_have(BPF_CORE_READ(sk, __sk_common.skc_family), BPF_CORE_READ(sk, sk_type),
			     BPF_CORE_READ(sk, sk_protocol)))
			return 0;
		reason = EGRET_R_FAMILY;
	}
	ask_named(&a, sk, name);
	return refuse(job, job ? reason : EGRET_R_UNREGISTERED, &a);
}

SEC("lsm/socket_connect")
int BPF_PROG(egret_dial, struct socket *sock, struct sockaddr *name)
{
	return use(sock->sk, name);
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(egret_send, struct socket *sock, struct msghdr *msg)
{
	return use(sock->sk, msg->msg_name);
}

/* UNIX sockets may be passed: whoever is at the other end could as well relay, and the standard
 * output of a job can be one. */
SEC("lsm/file_receive")
int BPF_PROG(egret_passed, struct file *file)
{
	struct socket *sock = bpf_sock_from_file(file);
	struct egret_cgroup *job;
	struct ask a = { 0 };
	struct sock *sk;

	if (!sock)
		return 0;
	sk = sock->sk;
	if (!sk || !leads_out(sk) || !governed(&job) || !is_foreign(sk, job))
		return 0;
	a.family = (__u8)sk->__sk_common.skc_family;
	return refuse(job, job ? EGRET_R_FOREIGN_FILE : EGRET_R_UNREGISTERED, &a);
}

/* A confined job speaks to its own sockets only: an engine, a message bus or a socket that somebody
 * made for it outside would send for it. Path or abstract makes no difference, nor does the mount
 * namespace: it goes by the cgroup of who made the other socket. */
static __always_inline int speak(struct sock *other)
{
	struct ask a = { .family = AF_UNIX };
	struct egret_cgroup *job;

	if (!other || !governed(&job) || !is_confined(job) || !is_foreign(other, job))
		return 0;
	if (bpf_sk_storage_get(&egret_control, other, NULL, 0))
		return 0;
	return refuse(job, EGRET_R_UNIX, &a);
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(egret_unix, struct sock *sock, struct sock *other)
{
	return speak(other);
}

/* Asked at connect() and for each datagram. Two that are each other's peers are a socketpair, which
 * was inherited. */
SEC("lsm/unix_may_send")
int BPF_PROG(egret_unix_send, struct socket *sock, struct socket *other)
{
	struct sock *sk = sock->sk, *to = other->sk;

	if (sk && to && BPF_CORE_READ((struct unix_sock *)sk, peer) == to &&
	    BPF_CORE_READ((struct unix_sock *)to, peer) == sk)
		return 0;
	return speak(to);
}

char _license[] SEC("license") = "Dual BSD/GPL";
