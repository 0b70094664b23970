/* SPDX-License-Identifier: Apache-2.0 */
/* The line that would allow a request, for refusals and `egret policy explain`. The request is a
 * job's: what is printed is JSON, escaped. */
#include "policy/model.h"

#include <arpa/inet.h>
#include <errno.h>

static int add_host(const struct request_query *q, struct buf *to)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	char text[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	if (q->host.n && addr_parse(q->host, addr) < 0)
		return buf_add_str(to, q->host);
	if (!q->host.n) {
		if (!q->addr)
			return -EINVAL;
		memcpy(addr, q->addr, 16);
	}
	if (memcmp(addr, mapped, 12) == 0)
		return buf_addf(to, "%s", inet_ntop(AF_INET, addr + 12, text, sizeof(text)));
	return buf_addf(to, "[%s]", inet_ntop(AF_INET6, addr, text, sizeof(text)));
}

static int add_path(struct str path, struct buf *to)
{
	for (size_t i = 0; i < path.n; i++) {
		unsigned char c = (unsigned char)path.p[i];
		int r = c < 0x20 || c >= 0x7f || c == '"' || c == '\\' ? buf_addf(to, "\\u%04x", c)
								       : buf_add(to, path.p + i, 1);

		if (r < 0)
			return r;
	}
	return 0;
}

int policy_suggest(const struct request_query *q, struct buf *to)
{
	bool tls = q->scheme == SCHEME_HTTPS;
	uint64_t bit = method_bit(q->method);
	struct str method = bit ? q->method : STR("ANY"), path = q->path, repo;
	unsigned git = git_service(q, bit, &repo);
	size_t start = to->n;
	int r;

	if (git) {
		method = git == GIT_PUSH ? STR("GIT-PUSH") : STR("GIT-FETCH");
		path = repo;
	}
	for (size_t i = 0; i < q->ref.n; i++)
		if ((unsigned char)q->ref.p[i] >= 0x80)
			return -EINVAL; /* perhaps no text of any encoding */
	r = buf_addf(to, "{ \"allow\": \"%.*s %s://", STR_ARG(method), tls ? "https" : "http");
	if (r == 0)
		r = add_host(q, to);
	if (r == 0 && q->port != (tls ? 443 : 80))
		r = buf_addf(to, ":%u", q->port);
	if (r == 0)
		r = add_path(path, to);
	if (r == 0)
		r = buf_addf(to, q->ref.n ? "\", \"refs\": [\"" : "\" }");
	if (r == 0 && q->ref.n)
		r = add_path(q->ref, to);
	if (r == 0 && q->ref.n)
		r = buf_addf(to, "\"] }");
	if (r < 0)
		to->n = start;
	return r;
}
