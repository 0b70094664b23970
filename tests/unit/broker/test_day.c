/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A day of 30 jobs with leases of an hour, on a clock of the test's: at no minute of it a lease
 * that lives has no value that is good, though the provider is down for ten minutes of each three
 * hours and cannot renew half of them. And a job whose own token ends before it does: what is made
 * with it is made once more ahead of that, ends, and is refused. And a provider that does not
 * answer: who waits is told so before its proxy gives up the broker. The broker's own code, its
 * loop and its journal; the test is the provider and the clock.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/broker/lease_rig.h"

#define broker broker_part /* the rig has things of these names */
#define job_open part_job_open
#define job_close part_job_close
#include "broker/keep.h"
#include "broker/lease.h"
#include "broker/seal.h"
#undef broker
#undef job_open
#undef job_close

#define JOBS 30u
#define MINUTES (24u * 60)
#define LIFE_MS 3600000u
#define SECOND 1000000ull

static uint64_t now_us = 1800000000000000u;

/* In place of base/clock.c. */
uint64_t clock_now(void)
{
	return now_us / 1000;
}

uint64_t clock_now_us(void)
{
	return now_us;
}

uint64_t clock_wall_us(void)
{
	return now_us;
}

uint64_t clock_boot_us(void)
{
	return now_us;
}

void clock_text(uint64_t wall_us, char *to)
{
	snprintf(to, CLOCK_TEXT_MAX, "%llu", (unsigned long long)wall_us);
}

static struct broker_part b;
static struct job jobs[JOBS];
static int egretd = -1, provider = -1;
static unsigned made, renewed, in_vain, fails, revokes, revoked;
static bool silent;
static uint32_t held; /* a question that a silent one has */
static uint16_t held_type;
static uint64_t token_ends_us; /* 0: what is made needs no token of the job's */

/* As STS does: keys for a quarter of an hour, while the token is good. */
static void answer_by_token(const struct msg_in *m)
{
	struct msg_out out;

	assert_int_equal(m->type, MSG_PROVIDE);
	if (now_us >= token_ends_us) {
		in_vain++;
		provider_says(provider, m->id, MSG_FAILED, "the job's ID token has ended", ENOKEY);
		return;
	}
	made++;
	msg_begin(&out, MSG_PROVIDED, m->id);
	msg_put_str(&out, TAG_VALUE, STR("keys"));
	msg_put_u64(&out, TAG_EXPIRES, now_us + 900 * SECOND);
	msg_put_u64(&out, TAG_RENEW_BY, token_ends_us);
	msg_put_u64(&out, TAG_STATIC, 0);
	assert_int_equal(msg_send(provider, &out), 0);
}

static void play(bool down)
{
	struct msg_out out;
	struct msg_in m;
	char value[32];

	while (msg_recv(egretd, &m) == 0) {
		if (m.type == MSG_PROVIDER_WANT && provider < 0) {
			int pair[2];

			assert_int_equal(msg_pair(pair), 0);
			provider = pair[0];
			msg_begin(&out, MSG_PROVIDER, m.id);
			msg_put_fd(&out, TAG_FD_PEER, pair[1]);
			assert_int_equal(msg_send(egretd, &out), 0);
			close(pair[1]);
			msg_in_done(&m);
			assert_true(msg_recv(b.egretd.fd, &m) == 0);
			assert_true(helper_answer(&b, &m));
		} else if (m.type == MSG_EVENT) {
			struct str record;

			assert_int_equal(msg_get(&m, TAG_RECORD, &record), 0);
			fails += (unsigned char)record.p[0] == EVENT_CREDENTIAL_FAIL;
			revoked += (unsigned char)record.p[0] == EVENT_CREDENTIAL_REVOKE;
		}
		msg_in_done(&m);
	}
	while (provider >= 0) {
		int r = msg_recv(provider, &m);

		if (r == -EAGAIN)
			break;
		if (r < 0) { /* nobody asked it for a while: it is ended */
			close(provider);
			provider = -1;
			break;
		}
		if (m.type == MSG_PROVIDER_KEPT) {
			msg_in_done(&m);
			continue;
		}
		revokes += m.type == MSG_PROVIDER_REVOKE;
		if (silent) {
			held = m.id;
			held_type = m.type;
		} else if (down) {
			provider_says(provider, m.id, MSG_FAILED, "503", EAGAIN);
		} else if (m.type == MSG_PROVIDER_REVOKE) {
			provider_says(provider, m.id, MSG_OK, NULL, 0);
		} else if (token_ends_us) {
			answer_by_token(&m);
		} else {
			made += m.type == MSG_PROVIDE;
			renewed += m.type == MSG_PROVIDER_RENEW;
			snprintf(value, sizeof(value), "v%u", m.id);
			provided(provider, m.id, value, value, LIFE_MS, m.id % 2);
		}
		msg_in_done(&m);
	}
}

static void settle(bool down)
{
	for (unsigned i = 0; i < 12; i++) {
		play(down);
		assert_int_equal(loop_turn(b.loop, 0), 0);
	}
}

static bool has_good(const struct job *j)
{
	for (const struct lease *l = b.leases; l; l = l->next)
		if (l->job == j && !l->replaced && l->state == LEASE_LIVE && l->value.n &&
		    l->expires_us > now_us)
			return true;
	return false;
}

static void up(void)
{
	char why[256];
	int pair[2];

	b = (struct broker_part){ 0 };
	b.store.dir = store_fd;
	b.journal.fd = -1;
	assert_int_equal(secret_dup("0123456789abcdef0123456789abcdef", 32, &b.store.key), 0);
	assert_int_equal(secret_dup("0123456789abcdef0123456789abcdef", 32, &b.journal.key), 0);
	assert_int_equal(store_put(&b.store, STR("client"), client_secret, strlen(client_secret),
				   why, sizeof(why)),
			 0);
	assert_int_equal(keep_open(&b, why, sizeof(why)), 0);
	assert_int_equal(msg_pair(pair), 0);
	egretd = pair[0];
	outbox_init(&b.egretd, pair[1]);
	b.loop = loop_new();
}

static void down(unsigned njobs)
{
	leases_done(&b);
	helpers_done(&b);
	for (unsigned i = 0; i < njobs; i++) {
		definition_put(&b, jobs[i].defs[0]);
		free(jobs[i].defs);
	}
	close(egretd);
	close(b.egretd.fd);
	outbox_done(&b.egretd);
	loop_free(b.loop);
	journal_done(&b.journal);
	secret_done(&b.store.key);
	if (provider >= 0)
		close(provider);
	provider = -1;
}

static void begin(struct job *j, uint64_t id, struct str image)
{
	*j = (struct job){ .broker_part = &b, .id = id, .peer_fd = -1, .ndefs = 1 };
	j->defs = mem_new(sizeof(*j->defs));
	j->defs[0] = definition_get(&b, image);
	assert_non_null(j->defs[0]);
	lease_want(j, 1, 0, STR(""));
}

static void compile(struct compiled *c)
{
	const struct source s[] = {
		{ SOURCE_CREDENTIAL, STR("token.json"), STR(CREDENTIAL_TOKEN("token")) },
	};

	assert_int_equal(policy_compile(s, 1, 0, c), 0);
}

static void test_day(void **state)
{
	struct compiled c;
	unsigned lost = 0;

	assert_int_equal(secret_arena_init(4 << 20), 0);
	up();
	compile(&c);
	for (unsigned i = 0; i < JOBS; i++) {
		begin(&jobs[i], i + 1, c.credentials[0]);
		now_us += 7000000;
		settle(false);
	}
	compiled_done(&c);
	for (unsigned minute = 0; minute < MINUTES; minute++) {
		bool away = minute % 180 < 10;

		/* In steps, as its retries are a second apart at first. */
		for (unsigned i = 0; i < 6; i++) {
			now_us += 10000000;
			settle(away);
		}
		for (unsigned i = 0; i < JOBS; i++)
			lost += !has_good(&jobs[i]);
	}
	printf("# %u jobs, a day: %u made, %u renewed, %u minutes without a good value; journal "
	       "%llu "
	       "KiB\n",
	       JOBS, made, renewed, lost, (unsigned long long)b.journal.size >> 10);
	assert_int_equal(lost, 0);
	assert_true(made > JOBS && renewed > JOBS);
	assert_true(b.journal.size < 1 << 20);
	/* And each is revoked at its job's end. */
	for (unsigned i = 0; i < JOBS; i++)
		leases_job_ended(&jobs[i]);
	for (unsigned i = 0; i < 100; i++)
		settle(false);
	for (const struct lease *l = b.leases; l; l = l->next)
		assert_int_equal(l->state, LEASE_OVER);
	down(JOBS);
}

/* A token of five minutes, keys of fifteen. */
static void test_token_ends(void **state)
{
	const uint64_t begun = now_us;
	struct job *j = &jobs[0];
	struct compiled c;

	up();
	compile(&c);
	made = in_vain = fails = 0;
	token_ends_us = now_us + 300 * SECOND;
	begin(j, 1, c.credentials[0]);
	settle(false);
	assert_int_equal(made, 1);
	while (now_us < token_ends_us) {
		now_us += SECOND;
		settle(false);
	}
	assert_int_equal(made, 2); /* once more, while it could be */
	assert_int_equal(in_vain, 0);
	/* Good for longer than the first keys were; the failure to renew is told once, and nobody
	 * is asked each minute. */
	while (now_us < begun + 1120 * SECOND) {
		now_us += 5 * SECOND;
		settle(false);
		assert_true(has_good(j));
	}
	assert_int_equal(in_vain, 1);
	assert_int_equal(fails, 1);
	/* Over: nothing old is given to who asks. */
	while (now_us < begun + 1200 * SECOND) {
		now_us += 5 * SECOND;
		settle(false);
	}
	assert_false(has_good(j));
	lease_want(j, 2, 0, STR(""));
	settle(false);
	assert_int_equal(in_vain, 2);
	assert_int_equal(fails, 1);
	assert_false(has_good(j));
	assert_int_equal(made, 2);
	token_ends_us = 0;
	compiled_done(&c);
	leases_job_ended(j);
	settle(false);
	down(1);
}

/* The place where it is taken back does not answer: asked again, less and less often, told again
 * when twice as many were in vain, until it does; or until what is owed has ended by itself. */
static void test_not_revoked(void **state)
{
	struct job *j = &jobs[0], *other = &jobs[1];
	uint64_t until;
	struct compiled c;

	up();
	compile(&c);
	begin(j, 1, c.credentials[0]);
	begin(other, 2, c.credentials[0]);
	settle(false);
	fails = revokes = revoked = 0;
	leases_job_ended(j);
	settle(true);
	assert_int_equal(revokes, 1); /* at once */
	assert_int_equal(fails, 1);
	for (until = now_us + 600 * SECOND; now_us < until;) {
		now_us += SECOND;
		settle(true);
	}
	/* After 1, 2, 4 ... 60 s, then each minute. */
	assert_in_range(revokes, 10, 20);
	assert_in_range(fails, 4, 5);
	assert_int_equal(revoked, 0);
	for (until = now_us + 70 * SECOND; now_us < until;) {
		now_us += SECOND;
		settle(false);
	}
	assert_int_equal(revoked, 1);
	/* Down for longer than what is owed lives: nothing claims that it was revoked. */
	leases_job_ended(other);
	for (until = now_us + LIFE_MS * 1000ull + 120 * SECOND; now_us < until;) {
		now_us += 10 * SECOND;
		settle(true);
	}
	assert_int_equal(revoked, 1);
	revokes = 0;
	for (until = now_us + 300 * SECOND; now_us < until;) {
		now_us += 10 * SECOND;
		settle(false);
	}
	assert_int_equal(revokes, 0);
	for (const struct lease *l = b.leases; l; l = l->next)
		assert_int_equal(l->state, LEASE_OVER);
	compiled_done(&c);
	down(2);
}

/* Seconds go by until the proxy has its answer: how many. */
static unsigned refused_after(int peer, bool down, const char *why)
{
	struct pollfd p = { .fd = peer, .events = POLLIN };
	unsigned s = 0;

	while (settle(down), !poll(&p, 1, 0)) {
		now_us += SECOND;
		assert_in_range(++s, 0, 60);
	}
	cred_refused(peer, 1, why);
	return s;
}

/* A proxy gives up the broker after 20 s (proxy/creds.c). */
static void test_silent(void **state)
{
	static const char late[] = "oauth2: the provider did not answer in time";
	struct job *j = &jobs[0];
	struct compiled c;
	int peer[2];

	up();
	compile(&c);
	assert_int_equal(msg_pair(peer), 0);
	silent = true;
	begin(j, 1, c.credentials[0]);
	j->peer_fd = peer[1];
	assert_in_range(refused_after(peer[0], false, late), 14, 16);
	/* What comes after all is nobody's: revoked, and not given. */
	provided(provider, held, token_value, "late", LIFE_MS, false);
	settle(false);
	assert_int_equal(held_type, MSG_PROVIDER_REVOKE);
	provider_says(provider, held, MSG_OK, NULL, 0);
	/* The process says after 10 s that its server does not answer: a second try would end too
	 * late. */
	lease_want(j, 1, 0, STR(""));
	settle(false);
	now_us += 10 * SECOND;
	provider_says(provider, held, MSG_FAILED, "oauth2: no answer within 10 s", EAGAIN);
	assert_in_range(refused_after(peer[0], false, "oauth2: no answer within 10 s"), 0, 1);
	/* Down, and quick to say so: tried thrice. */
	silent = false;
	lease_want(j, 1, 0, STR(""));
	assert_in_range(refused_after(peer[0], true, "oauth2: 503"), 3, 6);
	/* Silent from the second try on. */
	lease_want(j, 1, 0, STR(""));
	settle(true);
	silent = true;
	assert_in_range(refused_after(peer[0], false, late), 15, 19);
	/* A process that stays silent is ended, and the next one is asked. */
	for (unsigned i = 0; i < 40; i++) {
		now_us += SECOND;
		settle(false);
	}
	assert_int_equal(provider, -1);
	silent = false;
	lease_want(j, 1, 0, STR(""));
	settle(false);
	assert_true(has_good(j));
	leases_job_ended(j);
	settle(false);
	compiled_done(&c);
	down(1);
	close(peer[0]);
	close(peer[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_day, test_over),
		cmocka_unit_test_teardown(test_token_ends, test_over),
		cmocka_unit_test_teardown(test_not_revoked, test_over),
		cmocka_unit_test_teardown(test_silent, test_over),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("day", tests, set_up, tear_down);
}
