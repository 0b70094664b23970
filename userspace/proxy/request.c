/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request is about. Called by the session for each head. Host, the connection's name and the
 * record must be one name; the target is made canonical once, and the same bytes are matched and
 * sent. What could be read in two ways is refused.
 */
#include "proxy/request.h"

#include "base/clock.h"
#include "http/fields.h"
#include "proxy/onward.h"
#include "proxy/websocket.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

void request_fault(struct request_fault *f, unsigned status, enum reason r, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		n = (int)strlen(text);
	text_escape(f->sentence, sizeof(f->sentence), (struct str){ text, (size_t)n });
	f->status = status;
	f->reason = r;
}

static bool fault(struct request_fault *f, unsigned status, enum reason r, const char *sentence)
{
	request_fault(f, status, r, "%s", sentence);
	return false;
}

/* A handshake is judged as what it asks for, not as the GET that it looks like. */
static bool read_upgrade(struct request *r, const struct head *h, struct request_fault *f)
{
	const char *why;
	enum upgrade u = upgrade_asked(h, &why);

	r->websocket = u == UPGRADE_WEBSOCKET;
	if (r->websocket && why)
		return fault(f, 400, REASON_UPGRADE, why);
	if (r->websocket)
		r->q.method = STR(METHOD_WEBSOCKET);
	if (u != UPGRADE_OTHER)
		return true;
	request_fault(f, 403, REASON_UPGRADE, "no rule names an upgrade to %.*s",
		      STR_ARG(head_find(h, "upgrade")->value));
	return false;
}

static uint16_t default_port(bool tls)
{
	return tls ? 443 : 80;
}

/* Behind the name that stands there already. */
static void set_port(struct request *r, uint16_t port)
{
	char room[20];
	struct str digits = str_num(port, room);

	r->host_n = r->name_n;
	if (!port)
		return;
	r->host[r->host_n++] = ':';
	memcpy(r->host + r->host_n, digits.p, digits.n);
	r->host_n += digits.n;
	r->host[r->host_n] = 0;
}

static void set_host(struct request *r, struct str name, uint16_t port, bool bracket)
{
	struct str open = bracket ? STR("[") : STR(""), end = bracket ? STR("]") : STR("");

	if (name.n > HOST_MAX) /* no name or address is, by who parsed it */
		name.n = HOST_MAX;
	memcpy(r->host, open.p, open.n);
	memcpy(r->host + open.n, name.p, name.n);
	memcpy(r->host + open.n + name.n, end.p, end.n + 1);
	r->name_n = open.n + name.n + end.n;
	set_port(r, port);
}

/* Takes the name of the authority for this request where the connection has none. */
static void take_name(struct request *r, const struct authority *a)
{
	memcpy(r->origin.name, a->host, a->host_n);
	r->origin.name[a->host_n] = 0;
	r->origin.name_n = a->host_n;
}

bool request_connect(const struct origin *o, const struct head *h, struct request *ret,
		     struct request_fault *f)
{
	struct authority a;

	if (o->explicit_proxy)
		return fault(f, 400, REASON_BAD_REQUEST, "CONNECT inside of CONNECT");
	if (h->body != BODY_NONE)
		return fault(f, 400, REASON_BAD_REQUEST, "CONNECT with a body");
	if (authority_parse(h->authority, &a) < 0 || !a.port)
		return fault(f, 400, REASON_BAD_NAME, "CONNECT needs a name and a port");
	ret->origin = *o;
	take_name(ret, &a);
	if (a.is_addr) {
		/* A real address: as if it had been dialled. */
		memcpy(ret->origin.record.addr, a.addr, sizeof(a.addr));
		ret->origin.addr = ret->origin.record.addr;
	} else {
		ret->origin.addr = NULL;
	}
	ret->origin.synthetic = !a.is_addr;
	ret->origin.explicit_proxy = true;
	ret->origin.port = a.port;
	return true;
}

static bool same_authority(const struct authority *a, const struct authority *b, uint16_t port)
{
	return a->is_addr == b->is_addr && a->host_n == b->host_n &&
	       memcmp(a->host, b->host, a->host_n) == 0 &&
	       (a->port ? a->port : port) == (b->port ? b->port : port) &&
	       (!a->is_addr || memcmp(a->addr, b->addr, sizeof(a->addr)) == 0);
}

/* An absolute URL. One of the very host that the connection is to says no more than a path would.
 * Else egret is used as a proxy, and the URL's authority is what is asked for, wherever the
 * connection was going. */
static bool read_absolute(struct request *r, bool tls, const struct head *h,
			  const struct authority *host, struct request_fault *f)
{
	bool https = str_eq_nocase(h->scheme, STR("https"));
	bool known = https || str_eq_nocase(h->scheme, STR("http"));
	struct origin *o = &r->origin;
	struct authority t;
	uint16_t port;

	if (authority_parse(h->authority, &t) < 0)
		return fault(f, 400, REASON_BAD_NAME,
			     "the target's host is not a well-formed name");
	port = t.port ? t.port : default_port(https);
	if (known && https == tls && o->port == port && same_authority(host, &t, port) &&
	    (t.is_addr ? !o->name_n && o->addr && memcmp(o->addr, t.addr, sizeof(t.addr)) == 0
		       : o->name_n == t.host_n && memcmp(o->name, t.host, t.host_n) == 0))
		return true;
	if (tls || o->explicit_proxy)
		return fault(f, 400, REASON_BAD_TARGET,
			     "the target is an absolute URL of another host, port or scheme than "
			     "the connection's");
	if (!known || https)
		return fault(f, 400, REASON_BAD_TARGET, "the target's scheme is not http");
	if (!same_authority(host, &t, 80)) {
		request_fault(f, 421, REASON_HOST_MISMATCH, "Host is not the target's: %.*s",
			      STR_ARG(h->authority));
		return false;
	}
	o->explicit_proxy = true;
	o->port = port;
	o->synthetic = !t.is_addr;
	o->addr = NULL;
	take_name(r, &t);
	if (t.is_addr) {
		memcpy(o->record.addr, t.addr, sizeof(t.addr));
		o->addr = o->record.addr;
	}
	return true;
}

static bool read_host(struct request *r, bool tls, const struct head *h, struct request_fault *f)
{
	struct origin *o = &r->origin;
	const struct field *host = head_find(h, "host");
	struct str written;
	struct authority a;

	if (head_count(h, "host") > 1)
		return fault(f, 400, REASON_BAD_REQUEST, "there are several Host fields");
	if (!host || !host->value.n)
		return fault(f, 400, REASON_BAD_REQUEST, "there is no Host");
	if (authority_parse(host->value, &a) < 0)
		return fault(f, 400, REASON_BAD_NAME, "Host is not a well-formed name");
	if (h->form == FORM_ABSOLUTE && !read_absolute(r, tls, h, &a, f))
		return false;
	if (a.port && a.port != o->port) {
		request_fault(f, 421, REASON_HOST_MISMATCH,
			      "Host names port %u but the connection is to port %u", a.port,
			      o->port);
		return false;
	}
	if (a.is_addr) {
		if (!o->addr || o->name_n || memcmp(o->addr, a.addr, sizeof(a.addr)) != 0) {
			request_fault(f, 421, REASON_HOST_MISMATCH,
				      "Host is %.*s but the connection is to %s",
				      STR_ARG(host->value),
				      o->name_n ? o->name : "another address");
			return false;
		}
		/* The literal as it was written, without brackets and port. */
		written = host->value;
		if (written.p[0] == '[') {
			written.p++;
			written.n =
				(size_t)((char *)memchr(written.p, ']', written.n - 1) - written.p);
			set_host(r, written, a.port, true);
			r->q.host = (struct str){ r->host + 1, written.n };
		} else {
			if (a.port)
				written.n = (size_t)((char *)memchr(written.p, ':', written.n) -
						     written.p);
			set_host(r, written, a.port, false);
			r->q.host = (struct str){ r->host, written.n };
		}
	} else {
		if (o->name_n &&
		    (o->name_n != a.host_n || memcmp(o->name, a.host, a.host_n) != 0)) {
			request_fault(f, 421, REASON_HOST_MISMATCH,
				      "Host is %s but the connection is to %s", a.host, o->name);
			return false;
		}
		if (!o->name_n && tls)
			return fault(f, 421, REASON_HOST_MISMATCH,
				     "Host is a name but TLS was opened without one (no SNI)");
		if (!o->name_n)
			take_name(r, &a);
		set_host(r, (struct str){ a.host, a.host_n }, a.port, false);
		r->q.host = (struct str){ r->host, a.host_n };
	}
	r->q.scheme = tls ? SCHEME_HTTPS : SCHEME_HTTP;
	r->q.port = o->port;
	r->q.addr = o->addr;
	if (!a.port && o->port != default_port(tls)) {
		/* The client left it out; an origin on another port should still read its own name.
		 */
		set_port(r, o->port);
	}
	return true;
}

bool request_read(const struct origin *o, bool tls, struct head *h, struct buf *to,
		  struct request *ret, struct request_fault *f)
{
	const char *why = "the target is ambiguous";
	struct str bad;
	int r;

	ret->origin = *o;
	ret->q = (struct request_query){ .method = h->method };
	ret->target = (struct target){ 0 };
	ret->id[0] = 0;
	ret->host_n = ret->name_n = 0;
	if (!read_host(ret, tls, h, f))
		return false;
	if (!fields_connection_ok(h, &bad)) {
		request_fault(f, 400, REASON_BAD_REQUEST, "Connection names %.*s", STR_ARG(bad));
		return false;
	}
	if (str_is(h->method, "TRACE"))
		return fault(f, 403, REASON_BAD_REQUEST, "TRACE is never sent");
	if (str_is(h->method, METHOD_WEBSOCKET))
		return fault(f, 501, REASON_BAD_REQUEST, "WEBSOCKET is no method");
	if (!read_upgrade(ret, h, f))
		return false;
	if (str_is(h->path, "*"))
		return fault(f, 400, REASON_BAD_TARGET, "the target is *: ask for a path");
	if (!onward_request(h, f))
		return false;
	to->n = 0;
	r = target_canonical(h->path, to, &ret->target, &why);
	if (r == -EMSGSIZE)
		return fault(f, 414, REASON_LIMIT, "the target is too long");
	if (r < 0) {
		request_fault(f, 400, REASON_BAD_TARGET, "%s", why);
		return false;
	}
	ret->q.path = ret->target.path;
	ret->q.query = ret->target.query;
	return true;
}

void request_id(struct request *r)
{
	static const char digit[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	static uint64_t high,
		low; /* 80 random bits, counted on from, so that ids of one millisecond differ */
	uint64_t ms = clock_wall_us() / 1000;

	if (r->id[0])
		return;
	if (!high && !low) {
		uint64_t seed[2] = { 0 };

		if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
			die("no random bytes for request ids");
		high = (seed[0] & 0xffffffffffu) | 1;
		low = seed[1] & 0x7fffffffffu;
	}
	low = (low + 1) & 0xffffffffffu;
	for (int i = 9; i >= 0; i--, ms >>= 5)
		r->id[i] = digit[ms & 31];
	for (int i = 0; i < 8; i++) {
		r->id[10 + i] = digit[high >> (35 - 5 * i) & 31];
		r->id[18 + i] = digit[low >> (35 - 5 * i) & 31];
	}
	r->id[26] = 0;
}

int request_url(const struct request *r, struct buf *to)
{
	struct str rest = r->target.query, s;
	bool first = true;
	int e;

	e = buf_add_str(to, r->q.scheme == SCHEME_HTTPS ? STR("https://") : STR("http://"));
	if (e == 0)
		e = buf_add(to, r->host, r->host_n);
	if (e == 0)
		e = buf_add_str(to, r->target.path);
	while (e == 0 && rest.n) {
		const char *amp = memchr(rest.p, '&', rest.n), *eq;

		s = (struct str){ rest.p, amp ? (size_t)(amp - rest.p) : rest.n };
		rest.n -= s.n + (amp ? 1 : 0);
		rest.p += s.n + (amp ? 1 : 0);
		eq = memchr(s.p, '=', s.n);
		/* A part without '=' could be a value by itself: it is not shown. */
		s.n = eq ? (size_t)(eq - s.p) : 0;
		e = buf_addf(to, "%c%.*s", first ? '?' : '&', STR_ARG(s));
		first = false;
	}
	return e;
}

int request_brief(const struct request *r, struct buf *to)
{
	return buf_addf(to, "%.*s %.*s%.*s", STR_ARG(r->q.method), (int)r->host_n, r->host,
			STR_ARG(r->target.path));
}
