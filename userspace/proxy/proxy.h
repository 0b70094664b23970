/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One proxy, one job: what all of its rooms share. Made by start.c from MSG_PROXY_START, after the
 * jail; lives until the process ends.
 */
#ifndef EGRET_PROXY_PROXY_H
#define EGRET_PROXY_PROXY_H

#include "abi.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/loop.h"
#include "event/ring.h"
#include "policy/credential.h"
#include "policy/policy.h"
#include <openssl/types.h>

#define PROXY_POLICIES_MAX 4

struct credentials; /* creds.h */
struct hello_shape; /* hello.h */
struct names;	    /* names.h */
struct upstreams;   /* upstream.h */
struct leaves;	    /* leaf.h */

struct proxy {
	struct loop *loop;
	struct limits limits;
	uint64_t job;
	int control; /* socket to egretd */
	int broker;  /* socket to the broker */
	int records; /* egret_accepted: bpf_map_lookup_elem by descriptor */
	struct ring_writer *ring;
	struct policy policies[PROXY_POLICIES_MAX]; /* [0] decides; the others only narrow */
	unsigned npolicies;
	struct names *names;	     /* synthetic addresses */
	struct leaves *leaves;	     /* certificates shown to the job */
	struct upstreams *upstreams; /* resolver, dialler, pool */
	struct credentials *creds;   /* may be NULL: none for this job */
	unsigned connections;	     /* open now, against limits.connections */
	bool sync_each; /* audit.sync: each: a decision is on disk before its bytes go out */
	bool stopping;
};

/* Where a connection of the job came from and wanted to go: fixed when it was accepted. */
struct origin {
	struct egret_record record;
	uint64_t netns; /* cookie of the network namespace it was accepted in */
	char name[HOST_MAX +
		  1]; /* canonical: from the synthetic address, else from SNI or Host; "" if none */
	size_t name_n;
	bool synthetic; /* the destination was one of our synthetic addresses, so name is from the
			   record */
	bool explicit_proxy; /* CONNECT or absolute-form at the listener: name is the authority
				asked for */
	uint16_t port;
	const struct hello_shape *shape; /* of the client's TLS, or NULL */
	const uint8_t *addr; /* real destination address (record.addr), or NULL when synthetic */
};

/* Decides with every policy: the first one, narrowed by the others (decide.c). *ret_policy is the
 * one whose verdict it is. */
enum conn_way decide_connection(const struct proxy *px, const struct conn_query *q,
				struct verdict *ret, const struct policy **ret_policy);
/* Is there a policy that names this host itself, without a wildcard? */
bool decide_named(const struct proxy *px, struct str host);
void decide_request(const struct proxy *px, const struct request_query *q, struct verdict *ret,
		    const struct policy **ret_policy);
bool proxy_audits(const struct proxy *px); /* the first policy's mode is audit */

/* record.c: an event with what is known of the origin already filled in (process, dest, policy). */
void record_begin(const struct proxy *px, struct event *e, enum event_kind kind,
		  enum event_verdict v, enum reason r, const struct origin *o,
		  const struct policy *decided, struct str rule);
/* Writes it; a full ring is the caller's matter (-EAGAIN): see record_wait. */
int record_write(struct proxy *px, const struct event *e, uint64_t *ret_n) MUST_CHECK;
/* Writes an event that nothing waits for (dns.query, connect.end, http.response). If the ring is
 * full it is kept in a short bounded queue, and past that counted and reported by a `lost` event.
 */
void record_note(struct proxy *px, const struct event *e);
/* Calls fn(owner, 0, n) once the event is in the ring, at once if it can; fn(owner, -ETIMEDOUT, 0)
 * after limits.ring_wait_ms. With want_seq, waits also until the audit process has numbered it and
 * gives the stream's number instead (0 if that took too long). The returned wait may be cancelled;
 * NULL when fn was called already. */
struct record_wait;
typedef void (*record_fn)(void *owner, int err, uint64_t n_or_seq);
struct record_wait *record_wait(struct proxy *px, const struct event *e, bool want_seq,
				record_fn fn, void *owner);
/* For a decision that bytes wait for: fn(owner, 0, n) once it is in the ring, or with sync_each on
 * disk. */
struct record_wait *record_decision(struct proxy *px, const struct event *e, record_fn fn,
				    void *owner);
void record_wait_cancel(struct record_wait *w);
int records_start(struct proxy *px) MUST_CHECK; /* watches the ring's space descriptor */
void records_stop(void); /* before the loop goes: what still waits is dropped */

#endif
