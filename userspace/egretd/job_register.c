/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job that a CI system runs: asked for by its runner's hook (MSG_REGISTER), before any byte of
 * user code. Who may: root outside the slice, or the configured registrar of the unit it stands in.
 * A token of the CI server is checked by egret-identity; facts it vouches for stand above those
 * that the runner said.
 */
#include "egretd/authority.h"
#include "egretd/control.h"
#include "egretd/identity.h"
#include "egretd/jti.h"
#include "egretd/tier.h"
#include "egretd/worker.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

static const struct config_identity *identity_for(const struct daemon *d, struct str provider)
{
	unsigned i;

	for (i = 0; i < d->config.nidentity; i++)
		if (str_eq(d->config.identity[i].kind, provider))
			return &d->config.identity[i];
	return NULL;
}

static struct str provider_of(const struct msg_in *m)
{
	struct str label;
	size_t at = 0;

	while (msg_each(m, TAG_LABEL, &at, &label))
		if (str_starts(label, "provider="))
			return (struct str){ label.p + 9, label.n - 9 };
	return STR("");
}

static int may_register(struct daemon *d, const struct caller *who, char *why, size_t n)
{
	const struct job *in = who->job[0] ? job_by_name(d, str_of(who->job)) : NULL;

	/* Inside a unit's own job it is where registrars stand. */
	if (who->job[0] && (!in || in->origin != JOB_OF_UNIT)) {
		snprintf(why, n, "this is job %s already: the first registration stands", who->job);
		return -EPERM;
	}
	if (who->admin)
		return 0;
	if (!who->place.managed) {
		snprintf(why, n,
			 "the caller is in no managed unit: \"managed\" in the configuration names "
			 "them, and a drop-in puts the runner's unit into egret.slice");
		return -EPERM;
	}
	if (who->place.managed->registrar != (int64_t)who->uid) {
		snprintf(why, n,
			 "uid %u is not the registrar of unit %s (\"registrar\" in the "
			 "configuration)",
			 (unsigned)who->uid, who->place.managed->unit.p);
		return -EPERM;
	}
	return 0;
}

/* AUDIENCE/HOST/NONCE: good for this connection alone. Where the CI system's tokens have a fixed
 * audience it is that, and the token's own name is used once. */
static void audience_of(const struct daemon *d, const struct config_identity *id, const char *nonce,
			char *to, size_t n)
{
	if (id->by_jti)
		snprintf(to, n, "%.*s", STR_ARG(id->audience));
	else
		snprintf(to, n, "%.*s/%s/%s", STR_ARG(id->audience), d->node, nonce);
}

void job_register_begin(struct daemon *d, struct client *c, const struct caller *who,
			struct msg_in *m, char *nonce)
{
	const struct config_identity *id;
	char why[WHY_MAX], audience[512];
	struct msg_out out;
	uint64_t bits[2];
	int r = may_register(d, who, why, sizeof(why));

	if (r < 0) {
		client_failed(c, m->id, r, why);
		return;
	}
	if (getrandom(bits, sizeof(bits), 0) != sizeof(bits))
		die("no random numbers");
	snprintf(nonce, CONTROL_NONCE_MAX, "%016llx%016llx", (unsigned long long)bits[0],
		 (unsigned long long)bits[1]);
	msg_begin(&out, MSG_REGISTER_BEGIN, m->id);
	id = identity_for(d, provider_of(m));
	if (id) {
		audience_of(d, id, nonce, audience, sizeof(audience));
		msg_put_str(&out, TAG_AUDIENCE, str_of(audience));
	}
	tokens_wanted(d->library.credentials, &out);
	client_send(c, &out);
}

static void drop_fact(struct job *j, const char *key)
{
	size_t i;

	for (i = 0; i < j->facts.n; i++)
		if (str_is(j->fact_list[i].key, key)) {
			j->fact_list[i] = j->fact_list[--j->facts.n];
			return;
		}
}

/* What the CI server signed stands alone: whatever else the runner said would be believed as if it
 * had been signed too. Kept of the runner's word is what no claim says and what names only itself.
 */
static void take_signed(struct job *j, const struct identified *ok)
{
	const struct str *facts = ok->facts;
	size_t n = ok->nfacts;
	static const char *const own[] = { "provider", "runner", "job", "stage" };
	size_t i, k, kept = 0;

	for (i = 0; i < j->facts.n; i++)
		for (k = 0; k < ARRAY_SIZE(own); k++)
			if (str_is(j->fact_list[i].key, own[k])) {
				j->fact_list[kept++] = j->fact_list[i];
				break;
			}
	j->facts.n = kept;
	j->facts.assurance = ASSURANCE_SIGNED;
	for (i = 0; i < n; i++) {
		const char *eq = memchr(facts[i].p, '=', facts[i].n);
		struct str key = { facts[i].p, eq ? (size_t)(eq - facts[i].p) : 0 };

		if (!key.n)
			continue;
		for (k = 0; k < j->facts.n && !str_eq(j->fact_list[k].key, key); k++)
			;
		if (k == JOB_FACTS_MAX)
			continue;
		j->fact_list[k].key = arena_str(&j->arena, key);
		j->fact_list[k].value =
			arena_str(&j->arena, (struct str){ eq + 1, facts[i].n - key.n - 1 });
		if (k == j->facts.n)
			j->facts.n++;
	}
}

static bool token_says(const struct identified *ok, const char *key, struct str value)
{
	size_t k = strlen(key);

	for (size_t i = 0; i < ok->nfacts; i++)
		if (str_starts(ok->facts[i], key) && ok->facts[i].p[k] == '=' &&
		    str_eq((struct str){ ok->facts[i].p + k + 1, ok->facts[i].n - k - 1 }, value))
			return true;
	return false;
}

/* The token of another job of the same project would bring that one's facts: what the runner calls
 * the run or the job must be what the token calls one of the two (runners say run_id of either). */
static int of_this_job(const struct job *j, const struct identified *ok, bool must, char *why,
		       size_t n)
{
	static const char *const ids[] = { "job_id", "run_id" };
	bool said = false;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct str id = job_fact_of(j, ids[i]);

		if (!id.n)
			continue;
		said = true;
		if (token_says(ok, "job_id", id) || token_says(ok, "run_id", id))
			continue;
		snprintf(why, n, "it is the token of another job: the runner says %s %.*s", ids[i],
			 STR_ARG(id));
		return -EACCES;
	}
	if (said || !must)
		return 0;
	snprintf(why, n,
		 "its audience is a fixed one, and the registration names neither run_id nor "
		 "job_id: whose token it is cannot be told");
	return -EACCES;
}

/* Opened with the first: in an upgrade the egretd before this one writes it until it has handed
 * over. */
static int used_once(struct daemon *d, const struct identified *ok, char *why, size_t n)
{
	uint64_t now = clock_wall_us() / 1000000;
	int r = d->jti ? 0 : jti_open(d->config.state_dir.p, now, &d->jti, why, n);

	return r < 0 ? r : jti_take(d->jti, ok->issuer, ok->jti, ok->expires, now, why, n);
}

static void on_identified(void *owner, int err, const char *text, const struct identified *ok)
{
	struct job *j = owner;
	const struct config_identity *id = identity_for(j->d, job_fact_of(j, "provider"));
	char why[WHY_MAX], what[512];

	j->identity = NULL;
	if (err == 0 && !id) {
		err = -EACCES;
		text = "its provider is configured no more";
	}
	if (err == 0) {
		text = what;
		err = of_this_job(j, ok, id->by_jti, what, sizeof(what));
	}
	if (err == 0 && id->by_jti)
		err = used_once(j->d, ok, what, sizeof(what));
	if (err < 0) {
		snprintf(why, sizeof(why), "the job's identity token was not accepted: %s", text);
		job_fail(j, why);
		return;
	}
	take_signed(j, ok);
	job_go(j);
}

/* 1: on_identified goes on. */
static int take_token(struct job *j, struct msg_in *m, const char *nonce, char *why, size_t n)
{
	const struct config_identity *id = identity_for(j->d, provider_of(m));
	cleanup_close int token = -1;
	char audience[512];
	int r = msg_take_fd(m, TAG_FD_VALUE, &token);

	drop_fact(j, "environment");
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (!id || !nonce[0]) {
		snprintf(why, n,
			 "a token came, but no audience was asked for: \"identity\" in the "
			 "configuration names the issuer");
		return -EINVAL;
	}
	audience_of(j->d, id, nonce, audience, sizeof(audience));
	r = identity_start(j->d, token, id, audience, on_identified, j, &j->identity, why, n);
	return r < 0 ? r : 1;
}

static bool is_service_name(struct str s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
		      s.p[i] == '-' || s.p[i] == '_' || s.p[i] == '.'))
			return false;
	return s.n > 0 && s.n <= 128;
}

int job_service(struct job *j, struct str name)
{
	unsigned i;

	if (!is_service_name(name))
		return -EINVAL;
	for (i = 0; i < j->nservices; i++)
		if (str_eq(j->services[i], name))
			return 0;
	if (j->nservices == JOB_SERVICES_MAX)
		return -E2BIG;
	j->services[j->nservices++] = arena_str(&j->arena, name);
	return 1;
}

static int take(struct job *j, const struct caller *who, struct msg_in *m, const char *nonce,
		char *why, size_t n)
{
	struct str s;
	uint64_t flags = 0, pid = 0;
	size_t at = 0;
	int r;

	j->facts.list = j->fact_list;
	j->facts.assurance = ASSURANCE_RUNNER;
	while (msg_each(m, TAG_LABEL, &at, &s)) {
		r = job_fact(j, s, why, n);
		if (r < 0)
			return r;
	}
	for (at = 0; msg_each(m, TAG_SERVICE, &at, &s);)
		if (job_service(j, s) < 0) {
			snprintf(why, n,
				 "--service: at most %d names of lower case letters, digits, '-', "
				 "'_' and '.'",
				 JOB_SERVICES_MAX);
			return -EINVAL;
		}
	(void)!msg_get_u64(m, TAG_FLAGS, &flags);
	j->containers_only = flags & REGISTER_CONTAINERS_ONLY;
	j->keep = flags & REGISTER_KEEP;
	if (msg_get_str(m, TAG_CONTAINER_LABEL, 64, &s) == 0)
		j->container_label = arena_str(&j->arena, s);
	if (msg_get_str(m, TAG_POLICY, PROTO_NAME_MAX, &s) == 0) {
		if (!who->admin) {
			snprintf(why, n,
				 "--policy: the policy is chosen by the job's facts; only "
				 "root names another");
			return -EPERM;
		}
		j->wants_policy = arena_str(&j->arena, s);
	}
	j->uid = who->uid;
	if (msg_get_u64(m, TAG_PID, &pid) == 0 && pid) {
		struct place_of at_worker;

		r = worker_of(j, who, (pid_t)pid, why, n);
		if (r < 0)
			return r;
		if (authority_place(j->d, (pid_t)pid, &at_worker) == 0)
			j->uid = at_worker.uid;
		tier_of_worker(j, (pid_t)pid);
		r = worker_bound(j, why, n);
		if (r < 0)
			return r;
	} else if (!who->admin) {
		snprintf(why, n, "only root registers a job without a worker (--worker none)");
		return -EPERM;
	}
	if (!who->admin && msg_get(m, TAG_FD_SOURCE, &s) == 0) {
		snprintf(why, n, "--policy-file: only root gives a registered job its policy");
		return -EPERM;
	}
	r = tokens_take(&j->tokens, m, why, n);
	if (r < 0)
		return r;
	r = job_sources(j, m, why, n);
	if (r != 0)
		return r;
	return take_token(j, m, nonce, why, n);
}

/* One job at a time a unit; a label names one job. */
static int only_one(const struct job *j, char *why, size_t n)
{
	const struct job *other;

	for (other = j->d->jobs; other; other = other->next) {
		if (other == j || other->state == JOB_ENDING)
			continue;
		if (j->worker && other->worker && !strcmp(j->worker->unit, other->worker->unit)) {
			snprintf(why, n, "unit %s runs job %s already", j->worker->unit,
				 other->name);
			return -EBUSY;
		}
		if (j->container_label.n && str_eq(j->container_label, other->container_label)) {
			snprintf(why, n, "job %s has the same container label %.*s", other->name,
				 STR_ARG(j->container_label));
			return -EBUSY;
		}
	}
	return 0;
}

void job_register(struct daemon *d, struct client *c, const struct caller *who, struct msg_in *m,
		  const char *nonce)
{
	char why[WHY_MAX] = "";
	struct job *j;
	int r = may_register(d, who, why, sizeof(why));

	if (r == 0)
		r = job_admit(d, why, sizeof(why));
	if (r < 0) {
		client_failed(c, m->id, r, why);
		return;
	}
	j = job_new(d);
	j->origin = JOB_OF_RUNNER;
	j->client = c;
	j->question = m->id;
	j->admin = true; /* installed policies are chosen by its facts */
	j->caller_uid = who->uid;
	r = take(j, who, m, nonce, why, sizeof(why));
	if (r >= 0 && only_one(j, why, sizeof(why)) < 0)
		r = -EBUSY;
	if (r >= 0 && who->admin)
		client_event(c, EVENT_ADMIN_JOB, "register", str_of(j->name));
	if (r == 0)
		job_go(j);
	else if (r < 0)
		job_fail(j, why[0] ? why : strerror(-r));
}

/* Who registered it is gone before it was ready: nobody knows of it. */
void jobs_client_gone(struct daemon *d, struct client *c)
{
	struct job *j, *next;

	for (j = d->jobs; j; j = next) {
		next = j->next;
		if (j->client != c || j->origin != JOB_OF_RUNNER)
			continue;
		j->client = NULL;
		if (j->state != JOB_RUNNING && j->state != JOB_ENDING)
			job_fail(j, "its registrar is gone");
	}
}
