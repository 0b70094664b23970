/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deciding with every policy of the job: the first one speaks, the others (given with `egret run
 * --policy` by a caller who may only narrow) can take away and never add. Called for each
 * connection and each request; the matching itself is policy/, the same code that `egret policy
 * explain` runs.
 */
#include "proxy/proxy.h"

bool proxy_audits(const struct proxy *px)
{
	return px->npolicies && policy_mode_of(&px->policies[0]) == POLICY_AUDIT;
}

static void nothing_decides(struct verdict *ret, const struct policy **ret_policy)
{
	*ret = (struct verdict){ .verdict = VERDICT_DENY,
				 .reason = REASON_NO_RULE,
				 .rule_index = UINT32_MAX };
	*ret_policy = NULL;
}

static bool refuses(const struct verdict *v)
{
	return v->verdict != VERDICT_ALLOW && v->verdict != VERDICT_WOULD_DENY;
}

/* A narrower one that refuses without a rule of its own did so because it is narrower. */
static void narrowed(struct verdict *to, const struct verdict *v)
{
	*to = *v;
	to->credential = (struct str){ NULL, 0 };
	if (to->verdict == VERDICT_DENY && to->reason == REASON_NO_RULE)
		to->reason = REASON_NARROWED;
}

enum conn_way decide_connection(const struct proxy *px, const struct conn_query *q,
				struct verdict *ret, const struct policy **ret_policy)
{
	enum conn_way way, w;
	struct verdict v;

	if (!px->npolicies) {
		nothing_decides(ret, ret_policy);
		return CONN_REFUSE;
	}
	way = policy_connection(&px->policies[0], q, ret);
	*ret_policy = &px->policies[0];
	for (unsigned i = 1; i < px->npolicies && way != CONN_REFUSE; i++) {
		w = policy_connection(&px->policies[i], q, &v);
		if (w == CONN_REFUSE || (w == CONN_PASS && refuses(&v))) {
			narrowed(ret, &v);
			*ret_policy = &px->policies[i];
			return CONN_REFUSE;
		}
		/* One that wants to see requests is the narrower of the two. */
		if (w == CONN_OPEN && way == CONN_PASS) {
			*ret = v;
			*ret_policy = &px->policies[i];
			way = CONN_OPEN;
		}
	}
	return way;
}

bool decide_named(const struct proxy *px, struct str host)
{
	for (unsigned i = 0; i < px->npolicies; i++)
		if (policy_names(&px->policies[i], host))
			return true;
	return false;
}

void decide_request(const struct proxy *px, const struct request_query *q, struct verdict *ret,
		    const struct policy **ret_policy)
{
	struct verdict v;
	bool refs;

	if (!px->npolicies) {
		nothing_decides(ret, ret_policy);
		return;
	}
	policy_request(&px->policies[0], q, ret);
	*ret_policy = &px->policies[0];
	for (unsigned i = 1; i < px->npolicies && !refuses(ret); i++) {
		policy_request(&px->policies[i], q, &v);
		refs = ret->refs || v.refs; /* one of them asks about refs: all are asked */
		if (refuses(&v)) {
			narrowed(ret, &v);
			*ret_policy = &px->policies[i];
		} else if (v.verdict == VERDICT_WOULD_DENY && ret->verdict == VERDICT_ALLOW) {
			struct str credential = ret->credential;

			*ret = v;
			ret->credential = credential;
			*ret_policy = &px->policies[i];
		}
		ret->refs = refs;
	}
}
