/* SPDX-License-Identifier: Apache-2.0 */
/* A job that brings its own ID token, and a provider's process that is shown it. Included after
 * lease_rig.h, by tests whose job gets it with rig_job_more = with_token. */
#ifndef EGRET_TESTS_UNIT_BROKER_TOKEN_RIG_H
#define EGRET_TESTS_UNIT_BROKER_TOKEN_RIG_H

#include "unit/broker/lease_rig.h"

static const char *audience, *token;
static bool sealed = true;

static inline void with_token(struct msg_out *q)
{
	static int fd = -1;

	if (fd >= 0)
		close(fd);
	fd = memfd_create("token", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, token, strlen(token)), strlen(token));
	if (sealed)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK),
				 0);
	msg_put_fd(q, TAG_FD_TOKEN, fd);
	msg_put_str(q, TAG_TOKEN_AUDIENCE, str_of(audience));
}

static inline uint32_t shown(int fd, const char *want)
{
	struct msg_in m;
	struct str s;
	uint32_t id;

	do
		assert_true(recv_ms(fd, &m, WAIT_MS));
	while (m.type == MSG_PROVIDER_KEPT && (msg_in_done(&m), true));
	assert_int_equal(m.type, MSG_PROVIDE);
	assert_int_equal(msg_get(&m, TAG_TOKEN, &s), 0);
	assert_true(str_is(s, want));
	id = m.id;
	msg_in_done(&m);
	return id;
}

#endif
