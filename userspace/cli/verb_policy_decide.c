/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request as a person writes it, decided by the code that the proxy runs: connection first,
 * then the request on it. Called by `egret policy explain` and `egret policy test`.
 */
#include "cli/verb_policy.h"

#include <errno.h>
#include <stdio.h>

/* "GIT-PUSH https://host/owner/repo refs/heads/main", as rules are written: what git asks for. */
static struct str git_words(struct str *url, struct request_query *q)
{
	const char *blank = url->n ? memchr(url->p, ' ', url->n) : NULL;
	bool push = str_is(q->method, "GIT-PUSH");

	if (!push && !str_is(q->method, "GIT-FETCH"))
		return (struct str){ 0 };
	q->method = STR("POST");
	if (push && blank) {
		q->ref = (struct str){ blank + 1, (size_t)(url->p + url->n - blank) - 1 };
		url->n -= q->ref.n + 1;
	}
	return push ? STR("/git-receive-pack") : STR("/git-upload-pack");
}

static int split(struct str s, struct request_query *q, bool *ret_udp, struct str *ret_authority,
		 struct str *ret_target, struct str *ret_git)
{
	static const char *const names[] = { "http", "https", "tls", "tcp", "udp" };
	const char *blank = s.n ? memchr(s.p, ' ', s.n) : NULL, *mark = NULL, *end = NULL;
	struct str url = s;
	unsigned k;

	q->method = STR("GET");
	if (blank) {
		q->method = (struct str){ s.p, (size_t)(blank - s.p) };
		url = (struct str){ blank + 1, s.n - q->method.n - 1 };
		*ret_git = git_words(&url, q);
	}
	for (size_t i = 0; i + 2 < url.n && !mark; i++)
		if (memcmp(url.p + i, "://", 3) == 0)
			mark = url.p + i;
	if (!mark || q->method.n == 0)
		return -EINVAL;
	for (k = 0; k < ARRAY_SIZE(names); k++)
		if (str_is((struct str){ url.p, (size_t)(mark - url.p) }, names[k]))
			break;
	if (k == ARRAY_SIZE(names))
		return -EINVAL;
	*ret_udp = k > SCHEME_TCP;
	q->scheme = *ret_udp ? SCHEME_TCP : (enum scheme)k;
	url = (struct str){ mark + 3, (size_t)(url.p + url.n - mark) - 3 };
	for (size_t i = 0; i < url.n && !end; i++)
		if (url.p[i] == '/' || url.p[i] == '?')
			end = url.p + i;
	*ret_authority = (struct str){ url.p, end ? (size_t)(end - url.p) : url.n };
	*ret_target = end ? (struct str){ end, url.n - ret_authority->n } : STR("/");
	return 0;
}

static void refused(struct decision *d, enum reason reason, const char *why)
{
	d->verdict.verdict = VERDICT_DENY;
	d->verdict.reason = reason;
	d->why = why;
}

int policy_decide(const struct policy *p, struct str request, struct decision *ret,
		  const char **why)
{
	static const uint16_t ports[] = { 80, 443, 443, 0 };
	struct request_query q = { 0 };
	struct str authority_text, target_text, git = { 0 };
	struct conn_query conn;
	struct authority a;
	struct target t = { 0 };
	struct buf to, line, asked;
	const char *fault = NULL;
	struct verdict direct;
	enum conn_way way;
	bool http, udp = false;

	*ret = (struct decision){ .verdict = { .rule_index = UINT32_MAX } };
	if (split(request, &q, &udp, &authority_text, &target_text, &git) < 0) {
		*why = "a request is written 'POST https://host/path', 'GIT-PUSH "
		       "https://host/repo refs/heads/main', 'tls://host:port', "
		       "'tcp://host:port' or 'udp://address:port'";
		return -EINVAL;
	}
	http = q.scheme == SCHEME_HTTP || q.scheme == SCHEME_HTTPS;
	if (git.n && !http) {
		*why = "git's smart protocol is https:// or http://";
		return -EINVAL;
	}
	if (q.ref.n && !ref_well_formed(q.ref)) {
		*why = "a ref is written whole: refs/heads/main, refs/tags/v1";
		return -EINVAL;
	}
	if (authority_parse(authority_text, &a) < 0) {
		refused(ret, REASON_BAD_NAME, reason_sentence(REASON_BAD_NAME));
		return 0;
	}
	q.port = a.port ? a.port : ports[q.scheme];
	if (q.port == 0) {
		*why = "tcp:// and udp:// need a port";
		return -EINVAL;
	}
	if (a.is_addr)
		q.addr = a.addr;
	else
		q.host = (struct str){ a.host, a.host_n };
	if (udp && !a.is_addr) {
		*why = "udp:// needs an address: names are the proxy's, and it carries no UDP";
		return -EINVAL;
	}
	ret->direct = a.is_addr && !http && policy_direct(p, a.addr, q.port, udp, &direct);
	if (udp) {
		ret->verdict = direct;
		ret->passed_through = ret->direct;
		return 0;
	}
	conn = (struct conn_query){ q.scheme == SCHEME_TLS ? SCHEME_HTTPS : q.scheme, q.host,
				    q.addr, q.port };
	way = policy_connection(p, &conn, &ret->verdict);
	if (way == CONN_PASS) {
		ret->passed_through = true;
		return 0;
	}
	if (!http) {
		/* Opened is not passed through: what is asked about is the connection as it is. */
		if (ret->verdict.verdict == VERDICT_ALLOW)
			ret->verdict = (struct verdict){ .verdict = VERDICT_DENY,
							 .reason = REASON_NO_RULE,
							 .rule_index = UINT32_MAX };
		return 0;
	}
	if (way == CONN_REFUSE && !a.is_addr)
		return 0;
	buf_init(&to, 65536);
	buf_init(&asked, 65536);
	if (git.n && target_text.n && target_text.p[target_text.n - 1] == '/')
		target_text.n--;
	if (git.n && buf_add_str(&asked, target_text) == 0 && buf_add_str(&asked, git) == 0)
		target_text = buf_str(&asked);
	if (target_canonical(target_text, &to, &t, &fault) < 0) {
		refused(ret, REASON_BAD_TARGET, fault);
	} else {
		q.path = t.path;
		q.query = t.query;
		policy_request(p, &q, &ret->verdict);
		buf_init(&line, sizeof(ret->suggest) - 1);
		if (ret->verdict.verdict != VERDICT_ALLOW &&
		    ret->verdict.reason != REASON_DENY_RULE && policy_suggest(&q, &line) == 0)
			memcpy(ret->suggest, line.p, line.n);
		buf_done(&line);
	}
	buf_done(&asked);
	buf_done(&to);
	return 0;
}

void out_json(struct str s)
{
	putchar('"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

void out_text(struct str s)
{
	char shown[4096];

	text_escape(shown, sizeof(shown), s);
	fputs(shown, stdout);
}
