/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A push of git's smart protocol says which refs it moves in its body, not in its head. Where a
 * rule names refs, the list at the body's front is read before the decision, its record and any
 * upstream (promise P7), each ref is asked about, and the bytes that were read are sent first if
 * all of them are allowed. If one is not, nothing is sent, and the answer is the one that git
 * prints a line for each ref of. Called by exchange.c and session.c; every byte is a job's.
 */
#include "proxy/git.h"

#include "http/git.h"

#include <errno.h>
#include <stdio.h>

#define REFS_TEXT 1024 /* as FIELD_GIT_REFS */

/* In the session's arena, which lasts as long as the exchange. */
struct git_ask {
	char *bytes; /* of the body: the list, and what came with its end */
	size_t n, room;
	size_t at; /* git_list_end */
	struct git_push push;
	struct str *why; /* of each ref, once the push is refused */
	bool report;	 /* the answer can be git's own */
	char unpack[280];
};

static void ask_add(struct session *s, struct git_ask *g, struct str part)
{
	if (g->n + part.n > g->room) {
		size_t room = g->room * 2 > g->n + part.n ? g->room * 2 : g->n + part.n;
		char *bytes = arena_new(&s->arena, room);

		if (g->n)
			memcpy(bytes, g->bytes, g->n);
		g->bytes = bytes;
		g->room = room;
	}
	memcpy(g->bytes + g->n, part.p, part.n);
	g->n += part.n;
}

/* ---- the decision ---- */

/* Nothing more is read until it is made. */
static void list_over(struct session *s)
{
	s->state = SESSION_DECIDE;
	timer_del(&s->timer);
	session_want(s);
}

/* What of the push cannot be read or judged: of all of it, not of one ref. */
static void refuse_list(struct session *s, unsigned status, const char *why)
{
	struct exchange *x = &s->x;
	struct git_ask *g = x->git;

	if (proxy_audits(s->px) && s->px->npolicies == 1) {
		x->rq.verdict.verdict = VERDICT_WOULD_DENY;
		x->rq.verdict.reason = REASON_AUDIT_MODE;
		x->first = (struct str){ g->bytes, g->n };
		exchange_allowed(s);
		return;
	}
	request_fault(&x->fault, status, REASON_GIT_PUSH,
		      "this push cannot be judged by its refs: %s", why);
	g->report = g->push.says & GIT_REPORT_STATUS;
	g->push.n = 0;
	snprintf(g->unpack, sizeof(g->unpack), "egret: %s", x->fault.sentence);
	answer_refuse(s);
}

/* "egret: no rule allows pushing refs/heads/main" */
static struct str ref_why(struct session *s, const struct verdict *v, struct str ref)
{
	char name[256], text[512];
	int n;

	text_escape(name, sizeof(name), ref);
	if (v->rule.n)
		n = snprintf(text, sizeof(text), "egret: rule %.*s denies pushing %s",
			     STR_ARG(v->rule), name);
	else if (v->reason == REASON_NO_RULE)
		n = snprintf(text, sizeof(text), "egret: no rule allows pushing %s", name);
	else
		n = snprintf(text, sizeof(text), "egret: %s: pushing %s",
			     reason_sentence(v->reason), name);
	return arena_str(&s->arena, (struct str){ text, (size_t)n });
}

struct judged {
	struct verdict v;
	const struct policy *policy;
};

static bool allows(const struct verdict *v)
{
	return v->verdict == VERDICT_ALLOW || v->verdict == VERDICT_WOULD_DENY;
}

static void refuse_refs(struct session *s, const struct judged *of, size_t worst)
{
	struct git_ask *g = s->x.git;
	struct str said;

	g->why = arena_new(&s->arena, g->push.n * sizeof(*g->why));
	for (size_t i = 0; i < g->push.n; i++) {
		if (!allows(&of[i].v))
			g->why[i] = ref_why(s, &of[i].v, g->push.commands[i].ref);
		else
			g->why[i] = STR("egret: not pushed, since another ref was refused");
	}
	/* Behind "egret: ", which the refusal says itself. */
	said = (struct str){ g->why[worst].p + 7, g->why[worst].n - 7 };
	request_fault(&s->x.fault, 403, of[worst].v.reason, "%.*s", STR_ARG(said));
	g->report = g->push.says & GIT_REPORT_STATUS;
	snprintf(g->unpack, sizeof(g->unpack), "ok");
	answer_refuse(s);
}

/* "refs/tags/v1 :refs/heads/gone", as git itself writes what goes. */
static struct str refs_text(struct session *s, const struct git_push *p)
{
	struct buf b;
	struct str text;

	buf_init(&b, 2 * REFS_TEXT);
	for (size_t i = 0; i < p->n && b.n <= REFS_TEXT; i++)
		if (buf_addf(&b, "%s%s%.*s", i ? " " : "",
			     git_id_none(p->commands[i].new_id) ? ":" : "",
			     STR_ARG(p->commands[i].ref)) < 0)
			break;
	text = arena_str(&s->arena, buf_str(&b));
	buf_done(&b);
	return text;
}

/* Asks about each ref; the push is what its worst ref is. */
static void judge_refs(struct session *s)
{
	struct exchange *x = &s->x;
	struct git_ask *g = x->git;
	struct judged *of = arena_new(&s->arena, (g->push.n + 1) * sizeof(*of));
	size_t worst = 0;

	for (size_t i = 0; i < g->push.n; i++) {
		x->rq.q.ref = g->push.commands[i].ref;
		decide_request(s->px, &x->rq.q, &of[i].v, &of[i].policy);
		if (allows(&of[worst].v) &&
		    (!allows(&of[i].v) || (of[i].v.verdict == VERDICT_WOULD_DENY &&
					   of[worst].v.verdict == VERDICT_ALLOW)))
			worst = i;
	}
	x->rq.q.ref = g->push.commands[worst].ref;
	x->rq.verdict = of[worst].v;
	x->rq.policy = of[worst].policy;
	if (!allows(&x->rq.verdict)) {
		refuse_refs(s, of, worst);
		return;
	}
	/* One request carries one credential. */
	for (size_t i = 1; i < g->push.n; i++) {
		if (!str_eq(of[i].v.credential, of[0].v.credential)) {
			refuse_list(s, 403,
				    "its refs go with different credentials; push them one by one");
			return;
		}
	}
	x->first = (struct str){ g->bytes, g->n };
	exchange_allowed(s);
}

static void judge(struct session *s)
{
	struct exchange *x = &s->x;
	struct git_ask *g = x->git;
	const char *why = NULL;

	if (git_list_read((struct str){ g->bytes, g->at }, &s->arena, &g->push, &why) < 0) {
		refuse_list(s, 400, why);
		return;
	}
	for (size_t i = 0; i < g->push.n; i++) {
		if (!ref_well_formed(g->push.commands[i].ref)) {
			refuse_list(s, 400,
				    "a name in its list is not one of a ref (refs/heads/main)");
			return;
		}
	}
	x->refs = refs_text(s, &g->push);
	if (g->push.says & GIT_PUSH_OPTIONS) {
		refuse_list(s, 403,
			    "push options ask for more than its refs; a rule without refs allows "
			    "them");
		return;
	}
	if (g->push.n) {
		judge_refs(s);
		return;
	}
	/* Moves nothing: git asks so before a large push. */
	x->first = (struct str){ g->bytes, g->n };
	exchange_allowed(s);
}

/* ---- reading ---- */

static void read_list(struct session *s)
{
	struct exchange *x = &s->x;
	struct git_ask *g = x->git;
	enum h1_event ev;
	int r;

	for (;;) {
		ev = flow_parse(&s->up);
		switch (ev) {
		case H1_MORE:
			if (s->up.eof)
				session_end(s);
			return;
		case H1_BODY:
			ask_add(s, g, s->req.body);
			r = git_list_end((struct str){ g->bytes, g->n }, &g->at);
			if (r == 0)
				break;
			list_over(s);
			if (r > 0)
				judge(s);
			else if (r == -EMSGSIZE)
				refuse_list(s, 413, "its list is over 64 KiB");
			else
				refuse_list(s, 400, "its list of refs is not made of packet lines");
			return;
		case H1_TRAILERS:
			break;
		case H1_END:
			x->up_done = true;
			answer_fault(s, 400, REASON_BAD_REQUEST,
				     "it ends inside of its list of refs");
			return;
		case H1_HEAD:
		case H1_FAULT:
			answer_fault(s, 400, REASON_BAD_REQUEST, "%s",
				     s->req.why ? s->req.why : "its body cannot be read");
			return;
		}
	}
}

void git_readable(struct session *s)
{
	ssize_t r = flow_fill(&s->up);

	if (r < 0 && r != -EAGAIN && r != -ENOBUFS)
		session_end(s);
	else
		read_list(s);
}

static bool encoded(const struct head *h)
{
	const struct field *f = head_find(h, "content-encoding");

	return f &&
	       (head_count(h, "content-encoding") > 1 || !str_eq_nocase(f->value, STR("identity")));
}

void git_start(struct session *s)
{
	struct exchange *x = &s->x;
	struct head *h = &s->req.head;

	x->git = arena_new(&s->arena, sizeof(*x->git));
	if (encoded(h)) {
		refuse_list(s, 415, "it comes compressed, which git never does");
		return;
	}
	if (!exchange_go_on(s))
		return;
	s->state = SESSION_LIST;
	session_deadline(s, s->px->limits.header_ms);
	session_want(s);
	read_list(s);
}

/* ---- the answer ---- */

void git_refusal(struct session *s, struct refusal *r, struct buf *to)
{
	struct git_ask *g = s->x.git;
	struct buf words;
	struct str type;

	if (!g || !g->report)
		return;
	buf_init(&words, 32768);
	if (refusal_body(r, (struct str){ NULL, 0 }, &words, &type) == 0 &&
	    git_report_write(to, &g->push, buf_str(&words), str_of(g->unpack), g->why) == 0) {
		r->status = 200;
		r->type = STR("application/x-git-receive-pack-result");
		r->body = buf_str(to);
	}
	buf_done(&words);
}
