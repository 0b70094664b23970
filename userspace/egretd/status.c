/* SPDX-License-Identifier: Apache-2.0 */
/* What `egret status` shows of egretd itself, and what `egret doctor` asks it for: lines
 * "key=value". Called by control.c. */
#include "egretd/control.h"
#include "egretd/override.h"
#include "egretd/share.h"
#include "egretd/walls.h"

#include "base/clock.h"

#include <stdio.h>

static void put_line(struct msg_out *m, const char *key, const char *value)
{
	char line[PROTO_TEXT_MAX];

	snprintf(line, sizeof(line), "%s=%s", key, value);
	msg_put_str(m, TAG_TEXT, str_of(line));
}

/* "walls=turn sockets ...", "walls_absent=lsm ...", and of each of those "wall_lsm=why". */
static void put_walls(const struct daemon *d, struct msg_out *m)
{
	char list[2][WALLS_TEXT_MAX] = { "", "" }, key[32], when[CLOCK_TEXT_MAX];
	size_t at[2] = { 0, 0 };

	for (int i = 0; i < WALLS; i++) {
		const int absent = !wall_stands(d, (enum wall)i);

		at[absent] +=
			(size_t)snprintf(list[absent] + at[absent], WALLS_TEXT_MAX - at[absent],
					 "%s%s", at[absent] ? " " : "", wall_name((enum wall)i));
	}
	clock_text(walls_tried_us(d), when);
	put_line(m, "walls", list[0]);
	put_line(m, "walls_absent", list[1]);
	for (int i = 0; i < WALLS; i++) {
		snprintf(key, sizeof(key), "wall_%s", wall_name((enum wall)i));
		if (!wall_stands(d, (enum wall)i))
			put_line(m, key, wall_why(d, (enum wall)i));
	}
	put_line(m, "walls_tried", when);
}

/* What bounds each proxy, by cgroups; what the host does not give is named. */
static void put_shares(const struct daemon *d, struct msg_out *m)
{
	const unsigned all = SHARE_CPU | SHARE_PIDS | SHARE_MEMORY;
	char text[SHARES_TEXT_MAX];

	shares_text(d->cg.shares, text);
	put_line(m, "proxy_shares", text);
	shares_text(all & ~d->cg.shares, text);
	put_line(m, "proxy_shares_absent", text);
}

void status_put(const struct daemon *d, struct msg_out *m)
{
	uint64_t lost = 0, refused[EGRET_R_MAX] = { 0 }, total = 0;
	char text[64];
	size_t i;

	put_line(m, "version", EGRET_VERSION);
	put_line(m, "node", d->node);
	put_line(m, "instance", d->instance);
	put_line(m, "state_dir", d->config.state_dir.p);
	put_line(m, "run_dir", d->config.run_dir.p);
	put_line(m, "jobs_cgroup", d->cg.jobs_path);
	put_line(m, "config_digest", d->config.digest);
	put_line(m, "ends_when_idle", d->once ? "yes" : "no");
	put_line(m, "audit", d->audit.ready ? "running" : "away");
	put_line(m, "broker", d->broker.ready ? "running" : "away");
	snprintf(text, sizeof(text), "%u", d->library.policies.count);
	put_line(m, "policies", text);
	snprintf(text, sizeof(text), "%u", d->library.credentials.count);
	put_line(m, "credentials", text);
	snprintf(text, sizeof(text), "%u", d->njobs);
	put_line(m, "jobs", text);
	if (kernel_lost(d->kernel, &lost) == 0 && kernel_refused(d->kernel, refused) == 0) {
		for (i = 0; i < EGRET_R_MAX; i++)
			total += refused[i];
		snprintf(text, sizeof(text), "%llu", (unsigned long long)total);
		put_line(m, "kernel_refused", text);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)lost);
		put_line(m, "kernel_events_lost", text);
	}
	override_status(d, m);
	put_shares(d, m);
	put_walls(d, m);
}
