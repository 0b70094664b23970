/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of rules `direct` share: rules as lists, who has them, and what was told. */
#ifndef EGRET_TESTS_KERNEL_DIRECT_H
#define EGRET_TESTS_KERNEL_DIRECT_H

#include "kernel/town.h"
#include <bpf/libbpf.h>

#define FAR4 "10.77.0.9" /* the stranger: what the rules name */
#define FAR6 "2001:db8:77::9"
#define MAPPED "::ffff:10.77.0.9"
#define POLICY 7u
#define OTHER 8u /* a policy of others */

static struct egret_event last;
static unsigned told;

static int on_event(void *owner, void *p, size_t n)
{
	struct egret_event e;

	(void)owner;
	assert_int_equal(n, sizeof(e));
	memcpy(&e, p, sizeof(e));
	if (e.kind == EGRET_EV_DIRECT) {
		last = e;
		told++;
	}
	return 0;
}

/* Direct connections that were told since the last look. */
UNUSED static unsigned events(void)
{
	static struct ring_buffer *rb;
	int fd;

	if (!rb) {
		need(kernel_events_fd(W.k, &fd), "events");
		rb = ring_buffer__new(fd, on_event, NULL, NULL);
		assert_non_null(rb);
	}
	told = 0;
	assert_true(ring_buffer__consume(rb) >= 0);
	return told;
}

/* "10.0.5.0/24" or an address alone. */
static struct kernel_direct rule(const char *block, uint16_t lo, uint16_t hi, bool udp)
{
	struct kernel_direct d = { .port_lo = lo, .port_hi = hi, .udp = udp };
	const char *slash = strchr(block, '/');
	uint64_t prefix;
	char ip[64];
	bool six;

	snprintf(ip, sizeof(ip), "%.*s", slash ? (int)(slash - block) : 63, block);
	six = strchr(ip, ':') != NULL;
	addr16(ip, d.addr);
	prefix = six ? 128 : 32;
	if (slash)
		need(str_u64(str_of(slash + 1), &prefix), block);
	d.prefix = (uint8_t)(prefix + (six ? 0 : 96));
	return d;
}

UNUSED static struct kernel_direct deny(const char *block, uint16_t lo, uint16_t hi, bool udp)
{
	struct kernel_direct d = rule(block, lo, hi, udp);

	d.deny = true;
	return d;
}

UNUSED static void link_has(uint32_t flags, uint32_t policy)
{
	struct egret_link v = { JOB_A, EGRET_CG_READY | flags, policy };

	need(kernel_link_set(W.k, H[A1].link, &v), "link");
	need(kernel_link_set(W.k, H[A2].link, &v), "link");
}

/* Both houses of job A, and their links. */
UNUSED static void has_policy(uint32_t flags, uint32_t policy)
{
	struct egret_cgroup v = { JOB_A, EGRET_CG_READY | flags, policy };

	link_has(flags, policy);
	need(kernel_cgroup_put(W.k, W.a, &v), "put");
	need(kernel_cgroup_put(W.k, H[A2].id, &v), "put");
}

#define RULES(policy, ...)                                                                 \
	do {                                                                               \
		const struct kernel_direct list_[] = { __VA_ARGS__ };                      \
		need(kernel_direct_set(W.k, (policy), list_, ARRAY_SIZE(list_)), "rules"); \
	} while (0)

/* A connection of job A that comes to its proxy. */
UNUSED static void is_turned(const char *to, uint16_t port)
{
	struct dial d = { .ip = to, .port = port, .type = SOCK_STREAM };
	bool six = strchr(to, ':') && strncmp(to, "::ffff:", 7) != 0;
	struct egret_record rec = { 0 };

	assert_int_equal(task_run(W.a_fd, H[A1].netns, dial_fn, &d), 0);
	need(taken(six ? H[A1].ns.tcp6 : H[A1].ns.tcp4, &rec), to);
	assert_int_equal(rec.flags, EGRET_REC_REDIRECTED);
	assert_int_equal(rec.port, port);
}

#endif
