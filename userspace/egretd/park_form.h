/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The form of what is parked (park.h). Another version of egretd reads it, a later or an earlier
 * one, so it only grows: a new field goes to the END of its struct, nothing is moved, widened or
 * taken away, and a field of zeroes must mean what it meant before there was the field. A frame
 * that is shorter is filled with zeroes, of a longer one the tail is not read; unknown tags and
 * frames are passed over. What cannot be said so needs another PARK_FORM, and is then refused with
 * a sentence. tests/unit/egretd/test_park.c holds every offset.
 */
#ifndef EGRET_EGRETD_PARK_FORM_H
#define EGRET_EGRETD_PARK_FORM_H

#include "abi.h"
#include "base/bytes.h"
#include "base/msg.h"

#define PARK_FORM 0x31504745u /* "EGP1": first in each struct */

struct park_job {
	uint32_t form;
	uint32_t origin; /* enum job_origin */
	uint64_t id, started_us, proxy_started, init_started, worker_started;
	uint32_t uid, gid, caller_uid, proxy_uid;
	int32_t proxy, init, worker; /* pids; 0: none */
	uint32_t npolicies, capabilities;
	uint32_t assurance; /* enum assurance */
	uint8_t admin, host_net, confined, own_policy, services_rule, inbound;
	uint8_t containers_only, keep, reaches_engine, pad[7];
	uint32_t direct, pad2;	 /* number of its policy's rules (direct.h); 0: none */
	uint32_t dialling, pad3; /* its proxy dials from the job's network namespaces */
};

struct park_net {
	uint32_t form;
	uint32_t shared;
	uint64_t cookie;
	uint8_t addr4[4], addr6[16];
	uint16_t tcp4_be, tcp6_be, dns4_be, dns6_be;
	uint32_t pad;
};

#define PARK_PORTS 16
#define PARK_ADDRS 1024 /* of one namespace */
struct park_member {
	uint32_t form;
	uint32_t kind;	 /* enum member_kind */
	uint64_t cookie; /* of its namespace; 0: none */
	uint32_t trust;	 /* enum member_trust */
	uint8_t made, kill, pad[2];
	uint32_t nports;
	struct park_port {
		uint16_t port;
		uint8_t ways, pad;
	} ports[PARK_PORTS];
	uint32_t pad2;
};

/* Bytes of a frame into one of these. -EPROTO: another form. */
int park_words(struct str from, void *to, size_t n) MUST_CHECK;

/* The frames lie in the place one after the other; a set of them ends with MSG_END. A new set is
 * written behind the old one, which is removed only then, and whoever takes up looks without taking
 * away: an egretd that dies at any moment leaves a whole set. This is the last one: frames from
 * `from` up to, not including, `to`, of `count` in all. What an egretd of before had parked has no
 * mark: all of it. */
struct park_set {
	unsigned from, to, count;
};
void park_look(int sock, struct park_set *ret);
/* From the first frame on; the caller counts. -EAGAIN: there are no more. -EBADMSG: one of another
 * form was passed over. */
void park_rewind(int sock);
int park_next(int sock, struct msg_in *m) MUST_CHECK;
void park_stop(int sock); /* reading takes away again */

#endif
