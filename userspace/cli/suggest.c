// SPDX-License-Identifier: Apache-2.0
/*
 * Rules out of events (cli/suggest.h), for `egret why` and `egret summary`. The proxy writes the
 * exact line into the event; where it did not (the kernel refused, or a tunnel), one is made here.
 * Host names and addresses come from a job: they are escaped, and a person reads the line before it
 * goes into a policy.
 */
#include "cli/suggest.h"
#include "cli/render.h"
#include "event/event.h"
#include <inttypes.h>

bool suggest_helps(struct str reason)
{
	static const char *const helped[] = { "no_rule", "audit_mode", "narrowed",
					      "no_name", "protocol",   "upgrade" };

	for (size_t i = 0; i < ARRAY_SIZE(helped); i++)
		if (str_is(reason, helped[i]))
			return true;
	return false;
}

const char *suggest_sentence(struct str word)
{
	for (unsigned r = REASON_NONE + 1; r < REASONS_END; r++)
		if (str_is(word, reason_word((enum reason)r)))
			return reason_sentence((enum reason)r);
	return "";
}

static int add_request(const struct json_line *l, struct str method, struct str url, struct buf *to)
{
	const char *query = memchr(url.p, '?', url.n);
	int r = buf_add_str(to, STR("{ \"allow\": \""));

	if (query)
		url.n = (size_t)(query - url.p);
	if (!r)
		r = render_text(to, method);
	if (!r)
		r = buf_add(to, " ", 1);
	if (!r)
		r = render_text(to, url);
	return r ? r : buf_add_str(to, STR("\" }"));
}

static int add_connection(const struct json_line *l, struct buf *to)
{
	struct str host = json_text(l, "dest.host"), proto = json_text(l, "dest.proto");
	uint64_t port;
	bool address = false, six;
	int r;

	if (!host.n)
		host = json_text(l, "tls.sni");
	if (!host.n) {
		host = json_text(l, "dest.ip");
		address = true;
	}
	if (!host.n || !json_num(l, "dest.port", &port))
		return 0;
	r = buf_addf(to, "{ \"allow\": \"%s://", str_is(proto, "tls") && !address ? "tls" : "tcp");
	six = memchr(host.p, ':', host.n) != NULL;
	if (!r && six)
		r = buf_add(to, "[", 1);
	if (!r)
		r = render_text(to, host);
	if (!r && six)
		r = buf_add(to, "]", 1);
	return r ? r : buf_addf(to, ":%" PRIu64 "\" }", port);
}

int suggest_line(const struct json_line *l, struct buf *to)
{
	struct str given = json_text(l, "suggest"), method = json_text(l, "http.method"),
		   url = json_text(l, "http.url");

	if (given.n)
		return render_text(to, given);
	if (method.n && url.n)
		return add_request(l, method, url, to);
	return add_connection(l, to);
}
