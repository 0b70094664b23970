/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's side of the stream: the BPF ring buffer and the counter of what it did not take.
 * libbpf's only door here. */
#ifndef EGRET_AUDIT_KERNEL_EVENTS_H
#define EGRET_AUDIT_KERNEL_EVENTS_H

#include "abi.h"
#include "event/event.h"

struct kernel_events;

void kernel_events_prepare(void); /* before the jail: how many CPUs there can be */
/* map: BPF_MAP_TYPE_RINGBUF of struct egret_event, borrowed. lost: PERCPU_ARRAY[1] of u64,
 * borrowed, or -1. */
int kernel_events_open(int map, int lost, struct kernel_events **ret) MUST_CHECK;
struct kernel_events *kernel_events_free(struct kernel_events *k); /* NULL */
/* Calls fn for each refusal until it returns false or there is none. True when there may be more.
 */
typedef bool (*kernel_event_fn)(void *owner, const struct event *e, uint64_t job);
bool kernel_events_read(struct kernel_events *k, kernel_event_fn fn, void *owner);
/* A dial of a proxy (EGRET_EV_DIAL) comes here, as the kernel wrote it. */
void kernel_events_on_dial(struct kernel_events *k,
			   void (*fn)(void *owner, const struct egret_record *r), void *owner);
/* Events that were lost since the map was made. 0 or -errno. */
int kernel_events_lost(const struct kernel_events *k, uint64_t *ret) MUST_CHECK;
uint64_t kernel_events_dials(const struct kernel_events *k); /* EGRET_EV_DIAL seen */

#endif
