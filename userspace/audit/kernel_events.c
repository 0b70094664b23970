// SPDX-License-Identifier: Apache-2.0
/*
 * Reads struct egret_event (bpf/abi.h) through libbpf and makes records of them. The bytes are the
 * kernel programs' own; what a job chose in them is its command's name and the address it asked
 * for. Works without a privilege: the descriptors came from egretd, and looking up in a map, asking
 * what it is and mapping it need no more than the descriptor.
 */
#include "audit/kernel_events.h"
#include "abi.h"
#include "base/clock.h"
#include "event/rows.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

struct kernel_events {
	struct ring_buffer *rb;
	int lost;
	int cpus;
	uint64_t dials;
	uint64_t odd; /* of a kind or size that this build does not know: counted as lost */
	kernel_event_fn fn;
	void *owner;
	bool more;
	void (*on_dial)(void *owner, const struct egret_record *r);
	void *dial_owner;
};

static int possible_cpus;

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0;
}

void kernel_events_prepare(void)
{
	libbpf_set_print(quiet);
	possible_cpus = libbpf_num_possible_cpus();
}

static uint64_t wall_of(uint64_t monotonic_ns)
{
	uint64_t now = clock_now_us(), then = monotonic_ns / 1000, wall = clock_wall_us();

	return then && then <= now && now - then < wall ? wall - (now - then) : wall;
}

/* A refusal, or a connection to a service of the job, which passes no proxy that could tell. */
static void connection(const struct egret_event *in, struct event *e)
{
	static const uint8_t nowhere[16];
	const struct egret_record *r = &in->record;
	struct str comm = { r->comm, strnlen(r->comm, sizeof(r->comm)) };

	if (in->kind == EGRET_EV_MEMBER)
		event_begin(e, EVENT_CONNECT, VERDICT_ALLOW, REASON_SERVICES);
	else if (in->kind == EGRET_EV_DIRECT)
		event_begin(e, EVENT_CONNECT, VERDICT_ALLOW, REASON_DIRECT);
	else
		event_begin(e, EVENT_CONNECT, VERDICT_DENY, reason_of_kernel(in->reason));
	event_num(e, FIELD_PROCESS_PID, r->pid);
	if (comm.n)
		event_text(e, FIELD_PROCESS_COMM, comm);
	event_num(e, FIELD_PROCESS_UID, r->uid);
	/* A socket that was refused has no destination yet. */
	if ((r->family == AF_INET || r->family == AF_INET6) &&
	    (in->reason == EGRET_R_UNSPECIFIED || memcmp(r->addr, nowhere, sizeof(nowhere)))) {
		event_addr(e, FIELD_DEST_IP, r->addr);
		event_num(e, FIELD_DEST_PORT, r->port);
	}
	if (r->proto == IPPROTO_TCP)
		event_text(e, FIELD_DEST_PROTO, STR("tcp"));
	else if (r->proto == IPPROTO_UDP)
		event_text(e, FIELD_DEST_PROTO, STR("udp"));
}

static int on_sample(void *owner, void *p, size_t n)
{
	struct kernel_events *k = owner;
	struct egret_event in;
	struct event e;

	if (n < sizeof(in)) {
		k->odd++;
		return 0;
	}
	memcpy(&in, p, sizeof(in));
	if (in.kind == EGRET_EV_DIAL) {
		k->dials++;
		if (k->on_dial)
			k->on_dial(k->dial_owner, &in.record);
		return 0;
	}
	if (in.kind != EGRET_EV_REFUSED && in.kind != EGRET_EV_MEMBER &&
	    in.kind != EGRET_EV_DIRECT) {
		k->odd++;
		return 0;
	}
	connection(&in, &e);
	event_stamp(&e, wall_of(in.record.time_ns));
	if (k->fn(k->owner, &e, in.record.job))
		return 0;
	k->more = true;
	return -EAGAIN; /* this one was taken; libbpf stops behind it */
}

int kernel_events_open(int map, int lost, struct kernel_events **ret)
{
	struct kernel_events *k = mem_new(sizeof(*k));
	int r;

	if (possible_cpus <= 0)
		kernel_events_prepare();
	k->cpus = possible_cpus;
	k->lost = lost;
	k->rb = ring_buffer__new(map, on_sample, k, NULL);
	if (!k->rb) {
		r = errno ? -errno : -EINVAL;
		free(k);
		return r;
	}
	*ret = k;
	return 0;
}

struct kernel_events *kernel_events_free(struct kernel_events *k)
{
	if (k)
		ring_buffer__free(k->rb);
	free(k);
	return NULL;
}

bool kernel_events_read(struct kernel_events *k, kernel_event_fn fn, void *owner)
{
	k->fn = fn;
	k->owner = owner;
	k->more = false;
	if (ring_buffer__consume(k->rb) < 0)
		return k->more;
	return false;
}

void kernel_events_on_dial(struct kernel_events *k,
			   void (*fn)(void *owner, const struct egret_record *r), void *owner)
{
	k->on_dial = fn;
	k->dial_owner = owner;
}

int kernel_events_lost(const struct kernel_events *k, uint64_t *ret)
{
	cleanup_free uint64_t *each = NULL;
	uint64_t sum = k->odd;
	uint32_t key = 0;

	if (k->lost >= 0 && k->cpus > 0) {
		each = mem_new(sizeof(*each) * (size_t)k->cpus);
		if (bpf_map_lookup_elem(k->lost, &key, each))
			return -errno;
		for (int i = 0; i < k->cpus; i++)
			sum += each[i];
	}
	*ret = sum;
	return 0;
}

uint64_t kernel_events_dials(const struct kernel_events *k)
{
	return k->dials;
}
