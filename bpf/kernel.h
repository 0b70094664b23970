/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel structures that the programs read, with only the fields that are read: the loader
 * relocates each access to the running kernel's layout (CO-RE), so building needs no kernel BTF and
 * no vmlinux.h. Included by every .bpf.c.
 */
#ifndef EGRET_KERNEL_H
#define EGRET_KERNEL_H

#include <stdbool.h>
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>

#ifndef AF_INET
#define AF_INET 2
#define AF_INET6 10
#endif
#ifndef SOCK_STREAM
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef SOL_SOCKET
#define SOL_SOCKET 1
#define SO_BINDTODEVICE 25
#endif
#ifndef SIGSTOP
#define SIGSTOP 19
#endif
#ifndef AF_UNIX
#define AF_UNIX 1
#define AF_NETLINK 16
#endif
#ifndef EPERM
#define EPERM 1
#endif
#define LO_IFINDEX 1 /* in every network namespace */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	__u64 id;
};

/* The parent's name before and since 6.15. */
struct kernfs_node___old {
	struct kernfs_node___old *parent;
	__u64 id;
};

struct kernfs_node___new {
	struct kernfs_node___new *__parent;
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
	int level;
};

struct cgroup___ancestors {
	struct cgroup *ancestors[1];
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct ns_common {
	unsigned int inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
};

struct task_struct {
	struct css_set *cgroups;
	struct nsproxy *nsproxy;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct sock_common {
	unsigned short skc_family;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_type;
	__u16 sk_protocol;
	struct sock_cgroup_data sk_cgrp_data;
};

struct unix_sock {
	struct sock *peer;
};

struct socket {
	struct sock *sk;
};

struct msghdr {
	void *msg_name;
};

struct super_block {
	unsigned long s_magic;
};

struct inode {
	struct super_block *i_sb;
	void *i_private; /* of a file in cgroup2: its kernfs_node */
};

struct dentry {
	struct super_block *d_sb;
};

struct vfsmount {
	struct super_block *mnt_sb;
};

struct path {
	struct dentry *dentry;
};

struct file {
	unsigned int f_mode;
	struct inode *f_inode;
};

/* What is behind the pointer of a cgroup/connect and its kin (struct bpf_sock_addr). */
struct bpf_sock_addr_kern {
	struct sock *sk;
};

#pragma clang attribute pop

#endif
