/* SPDX-License-Identifier: Apache-2.0 */
/* See direct.h. */
#include "egretd/direct.h"

#include "egretd/job.h"

#include "base/log.h"
#include "policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct direct *by_digest(struct daemon *d, struct str digest)
{
	struct direct *x;

	for (x = d->directs; x && !str_is(digest, x->digest); x = x->next)
		;
	return x;
}

static bool id_taken(const struct daemon *d, uint32_t id)
{
	const struct direct *x;

	for (x = d->directs; x && x->id != id; x = x->next)
		;
	return x;
}

/* Not the number that was given last: an entry of the kernel's that is being deleted keeps none
 * that is new. */
static uint32_t id_new(struct daemon *d, uint32_t wanted)
{
	if (wanted && !id_taken(d, wanted)) {
		if (wanted > d->direct_last)
			d->direct_last = wanted;
		return wanted;
	}
	do
		d->direct_last++;
	while (!d->direct_last || id_taken(d, d->direct_last));
	return d->direct_last;
}

/* What the policy says, and the addresses that stand for names: they are nobody's, whatever block
 * holds them. */
static size_t list_of(const struct daemon *d, const struct policy *p, struct kernel_direct *list,
		      size_t room)
{
	const struct config_list *synthetic = &d->config.synthetic;
	struct policy_direct b;
	size_t at = 0, n = 0;
	bool any = false;
	struct kernel_dial dial;

	while (n < room && policy_each_direct(p, &at, &b)) {
		list[n] = (struct kernel_direct){ .prefix = b.prefix,
						  .deny = b.deny,
						  .udp = b.udp,
						  .port_lo = b.port_lo,
						  .port_hi = b.port_hi,
						  .until_us = b.until_us };
		memcpy(list[n++].addr, b.addr, 16);
		any |= !b.deny;
	}
	for (unsigned i = 0; any && i < 2 * synthetic->n && n < room; i++) {
		if (dial_of(synthetic->at[i / 2].p, &dial) < 0)
			continue;
		list[n] = (struct kernel_direct){ .prefix = dial.prefix,
						  .deny = true,
						  .udp = i % 2,
						  .port_lo = 1,
						  .port_hi = 65535 };
		memcpy(list[n++].addr, dial.addr, 16);
	}
	return any ? n : 0;
}

int direct_take(struct daemon *d, const struct policy *p, uint32_t wanted, struct direct **ret,
		char *why, size_t n)
{
	const size_t room = POLICY_DIRECT_MAX + 2 * CONFIG_LIST_MAX;
	cleanup_free struct kernel_direct *list = NULL;
	struct direct *x = by_digest(d, policy_digest(p));
	size_t count;
	int r;

	if (x) {
		x->jobs++;
		*ret = x;
		return 0;
	}
	list = mem_new(room * sizeof(*list));
	count = list_of(d, p, list, room);
	if (count == 0) {
		*ret = NULL;
		return 0;
	}
	x = mem_new(sizeof(*x));
	x->id = id_new(d, wanted);
	x->jobs = 1;
	snprintf(x->digest, sizeof(x->digest), "%.*s", STR_ARG(policy_digest(p)));
	r = kernel_direct_set(d->kernel, x->id, list, count);
	if (r < 0) {
		snprintf(why, n,
			 "the kernel's table cannot take the policy's rules \"direct\": %s; write "
			 "wider blocks, or let fewer policies have such rules",
			 strerror(-r));
		if (kernel_direct_del(d->kernel, x->id) < 0)
			log_warn("entries of rules \"direct\" that nobody has stay in the kernel's "
				 "table");
		free(x);
		return r;
	}
	x->next = d->directs;
	d->directs = x;
	*ret = x;
	return 0;
}

void direct_drop(struct daemon *d, struct direct *x)
{
	struct direct **at;

	if (!x || --x->jobs)
		return;
	for (at = &d->directs; *at != x; at = &(*at)->next)
		;
	*at = x->next;
	/* Nobody's cgroup has this number any more: what stays opens nothing. */
	if (kernel_direct_del(d->kernel, x->id) < 0)
		log_warn("entries of rules \"direct\" that nobody has stay in the kernel's table");
	free(x);
}

void direct_sweep(struct daemon *d)
{
	cleanup_free uint32_t *ids = NULL;
	const struct direct *x;
	size_t n = 0;

	for (x = d->directs; x; x = x->next)
		n++;
	ids = mem_new((n + 1) * sizeof(*ids));
	n = 0;
	for (x = d->directs; x; x = x->next)
		ids[n++] = x->id;
	if (kernel_direct_keep(d->kernel, ids, n) < 0)
		log_warn("the kernel's table of rules \"direct\" cannot be read: what nobody has "
			 "stays in it");
}
