/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rules `direct` let go by no proxy, one list a policy. Called by direct.c. The kernel
 * program refuses again what is never direct (bpf/direct.h), so a list that a compiler was made to
 * write opens no loopback.
 */
#include "base/clock.h"
#include "egretd/kernel.h"
#include "egretd/kernel_pin.h"
#include "egretd/kernel_trie.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define SECOND_US 1000000u
#define UNTIL_MAX (UINT32_MAX >> EGRET_DIRECT_UNTIL)

static uint64_t boot_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec;
}

/* The kernel knows no calendar: the date becomes a second since boot. False: it is past. */
static bool until_of(uint64_t until_us, uint32_t *ret)
{
	uint64_t now = clock_wall_us(), at;

	*ret = 0;
	if (!until_us)
		return true;
	if (until_us <= now)
		return false;
	at = boot_seconds() + (until_us - now) / SECOND_US;
	if (at < UNTIL_MAX) /* else in decades: another boot's matter */
		*ret = at ? (uint32_t)at : 1;
	return true;
}

static bool is_everything(const struct kernel_direct *d)
{
	static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };

	return d->prefix == 0 || (d->prefix == 96 && !memcmp(d->addr, mapped, 12));
}

int kernel_direct_set(struct kernel *k, uint32_t policy, const struct kernel_direct *d, size_t n)
{
	struct trie_owner o = { .fd = kernel_map_fd(k, KERNEL_DIRECT), .n = sizeof(policy) };
	cleanup_free struct block *list = mem_new((n + 1) * sizeof(*list));
	size_t count = 0;
	uint32_t until;
	CHANGES(k);

	if (!policy)
		return -EINVAL;
	memcpy(o.bytes, &policy, sizeof(policy));
	for (size_t i = 0; i < n; i++) {
		if (!d[i].deny && is_everything(&d[i]))
			return -EINVAL;
		if (!until_of(d[i].until_us, &until))
			continue;
		list[count] = (struct block){ .prefix = d[i].prefix,
					      .deny = d[i].deny,
					      .port_lo = d[i].port_lo,
					      .port_hi = d[i].port_hi,
					      .flags = (d[i].udp ? EGRET_DIRECT_UDP : 0) |
						       until << EGRET_DIRECT_UNTIL };
		memcpy(list[count++].addr, d[i].addr, 16);
	}
	return kernel_trie_set(&o, list, count);
}

int kernel_direct_del(struct kernel *k, uint32_t policy)
{
	return kernel_direct_set(k, policy, NULL, 0);
}

struct kept {
	const uint32_t *policies;
	size_t n;
};

static bool is_stray(void *arg, const uint8_t *owner)
{
	const struct kept *kept = arg;
	uint32_t policy;

	memcpy(&policy, owner, sizeof(policy));
	for (size_t i = 0; i < kept->n; i++)
		if (kept->policies[i] == policy)
			return false;
	return true;
}

int kernel_direct_keep(struct kernel *k, const uint32_t *policies, size_t n)
{
	struct kept kept = { policies, n };
	CHANGES(k);

	return kernel_trie_sweep(kernel_map_fd(k, KERNEL_DIRECT), is_stray, &kept);
}
