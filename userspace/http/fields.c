/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of field names, one for both wires. Called by the codecs and the proxy; pure. */
#include "http/fields.h"

static const char *const hop[] = {
	"connection",
	"keep-alive",
	"te",
	"transfer-encoding",
	"content-length",
	"upgrade",
	"host",
	"http2-settings",
	"proxy-authenticate",
	"proxy-authentication-info",
	"proxy-authorization",
	"proxy-connection",
};

/* Never dropped at the sender's word. */
static const char *const ours[] = {
	"accept-encoding",
	"authorization",
	"cache-control",
	"content-encoding",
	"content-length",
	"content-range",
	"content-type",
	"cookie",
	"date",
	"etag",
	"expect",
	"host",
	"if-match",
	"if-none-match",
	"location",
	"range",
	"set-cookie",
	"transfer-encoding",
	"www-authenticate",
};

static const char *const not_trailer[] = {
	/* framing, routing, the hop: also what `hop` has */
	"trailer",
	"max-forwards",
	"forwarded",
	"via",
	"alt-svc",
	/* what changes a request */
	"cache-control",
	"expect",
	"if-match",
	"if-modified-since",
	"if-none-match",
	"if-range",
	"if-unmodified-since",
	"pragma",
	"range",
	"x-http-method",
	"x-http-method-override",
	"x-method-override",
	"x-original-url",
	"x-rewrite-url",
	/* who asks */
	"authorization",
	"authentication-info",
	"cookie",
	"set-cookie",
	"www-authenticate",
	/* what an answer is */
	"age",
	"content-encoding",
	"content-range",
	"content-type",
	"date",
	"expires",
	"location",
	"retry-after",
	"vary",
	"warning",
};

static bool in(const char *const *list, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq_nocase(name, str_of(list[i])))
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
