/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of field names, one for both wires. Called by the codecs and the proxy; pure. */
#include "http/fields.h"

#define NAME(s)                  \
	{                        \
		s, sizeof(s) - 1 \
	}

static const struct str hop[] = {
	NAME("connection"),
	NAME("keep-alive"),
	NAME("te"),
	NAME("transfer-encoding"),
	NAME("content-length"),
	NAME("upgrade"),
	NAME("host"),
	NAME("http2-settings"),
	NAME("proxy-authenticate"),
	NAME("proxy-authentication-info"),
	NAME("proxy-authorization"),
	NAME("proxy-connection"),
};

/* Never dropped at the sender's word. */
static const struct str ours[] = {
	NAME("accept-encoding"),
	NAME("authorization"),
	NAME("cache-control"),
	NAME("content-encoding"),
	NAME("content-length"),
	NAME("content-range"),
	NAME("content-type"),
	NAME("cookie"),
	NAME("date"),
	NAME("etag"),
	NAME("expect"),
	NAME("host"),
	NAME("if-match"),
	NAME("if-none-match"),
	NAME("location"),
	NAME("range"),
	NAME("set-cookie"),
	NAME("transfer-encoding"),
	NAME("www-authenticate"),
};

static const struct str not_trailer[] = {
	/* framing, routing, the hop: also what `hop` has */
	NAME("trailer"),
	NAME("max-forwards"),
	NAME("forwarded"),
	NAME("via"),
	NAME("alt-svc"),
	/* what changes a request */
	NAME("cache-control"),
	NAME("expect"),
	NAME("if-match"),
	NAME("if-modified-since"),
	NAME("if-none-match"),
	NAME("if-range"),
	NAME("if-unmodified-since"),
	NAME("pragma"),
	NAME("range"),
	NAME("x-http-method"),
	NAME("x-http-method-override"),
	NAME("x-method-override"),
	NAME("x-original-url"),
	NAME("x-rewrite-url"),
	/* who asks */
	NAME("authorization"),
	NAME("authentication-info"),
	NAME("cookie"),
	NAME("set-cookie"),
	NAME("www-authenticate"),
	/* what an answer is */
	NAME("age"),
	NAME("content-encoding"),
	NAME("content-range"),
	NAME("content-type"),
	NAME("date"),
	NAME("expires"),
	NAME("location"),
	NAME("retry-after"),
	NAME("vary"),
	NAME("warning"),
};

static bool in(const struct str *list, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++) {
		if (name.n == list[i].n && str_eq_nocase(name, list[i]))
			return true;
	}
	return false;
}

bool field_is_hop(struct str name)
{
	return in(hop, ARRAY_SIZE(hop), name);
}

bool field_is_trailer(struct str name)
{
	return !in(not_trailer, ARRAY_SIZE(not_trailer), name) && !field_is_hop(name);
}

bool field_named(const struct head *h, struct str name)
{
	const struct field *f;
	struct str s;

	for (size_t at = 0; (f = head_each(h, "connection", &at));) {
		for (size_t i = 0; list_each (f->value, &i, &s);) {
			if (str_eq_nocase(s, name))
				return true;
		}
	}
	return false;
}

bool fields_connection_ok(const struct head *h, struct str *ret_bad)
{
	const struct field *f;
	struct str s;

	for (size_t at = 0; (f = head_each(h, "connection", &at));) {
		for (size_t i = 0; list_each (f->value, &i, &s);) {
			if (in(ours, ARRAY_SIZE(ours), s)) {
				*ret_bad = s;
				return false;
			}
		}
	}
	return true;
}

bool field_is_alike(struct str name, const char *lower)
{
	size_t i = 0;

	for (; i < name.n && lower[i]; i++) {
		char c = name.p[i];

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if ((c == '_' ? '-' : c) != lower[i])
			return false;
	}
	return i == name.n && !lower[i];
}
