// SPDX-License-Identifier: Apache-2.0
/*
 * Events as lines for people: `egret events -o compact|table`, and `egret run` on a terminal. Every
 * text of an event may come from a job, so each passes text_escape (printable ASCII, no workflow
 * command) before it is shown; the only control bytes are the colours written here.
 */
#include "cli/render.h"
#include <errno.h>
#include <inttypes.h>

#define TEXT_SHOWN 2048

static const char *color_of(struct str verdict, struct str kind)
{
	if (str_is(verdict, "deny"))
		return "\x1b[31m";
	if (str_is(verdict, "would_deny") || str_is(kind, "alert") || str_is(kind, "lost") ||
	    str_is(kind, "limit.hit"))
		return "\x1b[33m";
	if (str_is(verdict, "allow"))
		return "\x1b[32m";
	return "\x1b[2m";
}

int render_text(struct buf *to, struct str s)
{
	char shown[TEXT_SHOWN * 4 + 1];
	size_t n;

	if (s.n > TEXT_SHOWN)
		s.n = TEXT_SHOWN;
	n = text_escape(shown, sizeof(shown), s);
	return buf_add(to, shown, n);
}

/* " key=value" when there is one. */
static int add_pair(struct buf *to, const char *key, struct str value)
{
	int r;

	if (!value.n)
		return 0;
	r = buf_addf(to, " %s=", key);
	return r ? r : render_text(to, value);
}

static int add_where(const struct json_line *l, struct buf *to)
{
	struct str host = json_text(l, "dest.host");
	uint64_t port;
	bool six;
	int r;

	if (!host.n)
		host = json_text(l, "tls.sni");
	if (!host.n)
		host = json_text(l, "dest.ip");
	if (!host.n)
		return 0;
	six = memchr(host.p, ':', host.n) != NULL;
	r = six ? buf_add(to, "[", 1) : 0;
	if (!r)
		r = render_text(to, host);
	if (!r && six)
		r = buf_add(to, "]", 1);
	if (!r && json_num(l, "dest.port", &port))
		r = buf_addf(to, ":%" PRIu64, port);
	return r;
}

int render_what(const struct json_line *l, struct buf *to)
{
	struct str method = json_text(l, "http.method"), url = json_text(l, "http.url"),
		   name = json_text(l, "dns.name"), type = json_text(l, "dns.type"),
		   proto = json_text(l, "dest.proto"), kind = json_text(l, "kind"),
		   credential = json_text(l, "credential.name"), message = json_text(l, "message");
	size_t before = to->n;
	int r = 0;

	if (url.n || method.n) {
		r = render_text(to, method);
		if (!r && method.n && url.n)
			r = buf_add(to, " ", 1);
		if (!r)
			r = render_text(to, url);
		return r;
	}
	if (name.n) {
		r = render_text(to, type);
		if (!r && type.n)
			r = buf_add(to, " ", 1);
		return r ? r : render_text(to, name);
	}
	if (str_starts(kind, "tls."))
		proto = STR("tls");
	if (json_get(l, "dest.ip") || json_get(l, "dest.host") || json_get(l, "tls.sni")) {
		r = render_text(to, proto);
		if (!r && proto.n)
			r = buf_add(to, " ", 1);
		if (!r)
			r = add_where(l, to);
	} else if (credential.n) {
		r = render_text(to, credential);
	}
	if (!r && to->n == before)
		r = render_text(to, message);
	return r;
}

/* "1.5 MB" */
static int add_size(struct buf *to, uint64_t n)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double v = (double)n;
	unsigned u = 0;

	while (v >= 1000 && u + 1 < ARRAY_SIZE(units)) {
		v /= 1000;
		u++;
	}
	return u ? buf_addf(to, "%.1f %s", v, units[u]) : buf_addf(to, "%" PRIu64 " B", n);
}

static int add_answer(const struct json_line *l, struct buf *to)
{
	uint64_t n;
	int r = 0;

	if (json_num(l, "http.status", &n))
		r = buf_addf(to, " -> %" PRIu64, n);
	if (!r && json_num(l, "bytes.in", &n)) {
		r = buf_add(to, " ", 1);
		if (!r)
			r = add_size(to, n);
	}
	if (!r && json_num(l, "timing.total_us", &n))
		r = buf_addf(to, " %.1f ms", (double)n / 1000);
	return r;
}

static int add_notes(const struct json_line *l, struct buf *to)
{
	struct str kind = json_text(l, "kind"), verdict = json_text(l, "verdict"),
		   reason = json_text(l, "reason");
	uint64_t n;
	int r;

	r = add_pair(to, "rule", json_text(l, "rule"));
	/* "a rule decided" says no more than the rule itself. */
	if (!r && reason.n && !str_is(reason, "rule"))
		r = add_pair(to, "reason", reason);
	if (!r && json_get(l, "http.url"))
		r = add_pair(to, "credential", json_text(l, "credential.name"));
	if (!r)
		r = add_pair(to, "lease", json_text(l, "credential.lease"));
	if (!r && json_num(l, "lost.count", &n))
		r = buf_addf(to, " count=%" PRIu64, n);
	if (!r)
		r = add_pair(to, "where", json_text(l, "lost.where"));
	if (!r && json_num(l, "exit.status", &n))
		r = buf_addf(to, " status=%" PRIu64, n);
	if (!r && str_is(kind, "job.start"))
		r = add_pair(to, "net", json_text(l, "net"));
	if (!r)
		r = add_pair(to, "walls", json_text(l, "walls"));
	if (!r)
		r = add_pair(to, "confinement", json_text(l, "confinement"));
	if (!r && (str_is(verdict, "deny") || str_starts(kind, "connect")))
		r = add_pair(to, "by", json_text(l, "process.comm"));
	return r;
}

static int add_time(const struct json_line *l, struct buf *to)
{
	struct str time = json_text(l, "time");

	/* 2026-11-22T09:14:03.201118Z: the time of day, to the millisecond. */
	if (time.n < 23)
		return render_text(to, time);
	return render_text(to, (struct str){ time.p + 11, 12 });
}

int render_event(const struct json_line *event, const struct json_line *answer, bool color,
		 struct buf *to)
{
	struct str kind = json_text(event, "kind"), verdict = json_text(event, "verdict");
	size_t before = to->n, what;
	uint64_t seq;
	int r;

	r = add_time(event, to);
	if (!r && json_num(event, "seq", &seq))
		r = buf_addf(to, " #%" PRIu64, seq);
	if (!r)
		r = add_pair(to, "job", json_text(event, "job.id"));
	if (!r)
		r = buf_addf(to, " %s", color ? color_of(verdict, kind) : "");
	if (!r && verdict.n) {
		r = render_text(to, verdict);
		if (!r)
			r = buf_add(to, " ", 1);
	}
	if (!r)
		r = render_text(to, kind);
	if (!r && color)
		r = buf_add_str(to, STR("\x1b[0m"));
	if (!r)
		r = buf_add(to, " ", 1);
	what = to->n;
	if (!r)
		r = render_what(event, to);
	if (!r && to->n == what && to->n)
		to->n--; /* nothing came behind the blank */
	if (!r)
		r = add_answer(answer ? answer : event, to);
	if (!r)
		r = add_notes(event, to);
	if (!r)
		r = buf_add(to, "\n", 1);
	if (r)
		to->n = before;
	return r;
}

int render_compact(struct str line, bool color, struct buf *to)
{
	struct json_line *l = json_line_new();
	int r = json_line_read(l, line);

	if (!r && !json_text(l, "kind").n)
		r = -EBADMSG;
	if (!r)
		r = render_event(l, NULL, color, to);
	json_line_free(l);
	return r;
}

int render_table_head(struct buf *to)
{
	return buf_addf(to, "%-12s  %8s  %-14s  %-10s  %-19s  %-18s  %s\n", "TIME", "EVENT", "JOB",
			"VERDICT", "KIND", "RULE OR REASON", "WHAT");
}

static int add_cell(struct buf *to, struct str s, unsigned width)
{
	size_t before = to->n;
	int r = render_text(to, s);

	while (!r && to->n - before < width)
		r = buf_add(to, " ", 1);
	return r ? r : buf_add(to, "  ", 2);
}

int render_table(const struct json_line *l, bool color, struct buf *to)
{
	struct str rule = json_text(l, "rule"), verdict = json_text(l, "verdict");
	size_t before = to->n;
	uint64_t seq = 0;
	int r;

	if (!rule.n)
		rule = json_text(l, "reason");
	(void)!json_num(l, "seq", &seq);
	r = add_time(l, to);
	if (!r)
		r = buf_addf(to, "  %8" PRIu64 "  ", seq);
	if (!r)
		r = add_cell(to, json_text(l, "job.id"), 14);
	if (!r && color)
		r = buf_addf(to, "%s", color_of(verdict, json_text(l, "kind")));
	if (!r)
		r = add_cell(to, verdict, 10);
	if (!r && color)
		r = buf_add_str(to, STR("\x1b[0m"));
	if (!r)
		r = add_cell(to, json_text(l, "kind"), 19);
	if (!r)
		r = add_cell(to, rule, 18);
	if (!r)
		r = render_what(l, to);
	if (!r)
		r = add_answer(l, to);
	if (!r)
		r = buf_add(to, "\n", 1);
	if (r)
		to->n = before;
	return r;
}

int render_json(struct str line, struct buf *to)
{
	size_t before = to->n;
	int r = 0;

	for (size_t i = 0; i < line.n && !r; i++) {
		uint8_t c = (uint8_t)line.p[i], next = i + 1 < line.n ? (uint8_t)line.p[i + 1] : 0;

		if (c == 0x7f) {
			r = buf_add_str(to, STR("\\u007f"));
		} else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
			r = buf_addf(to, "\\u00%02x", next);
			i++;
		} else if (c >= 0x20) {
			r = buf_add(to, &line.p[i], 1);
		}
	}
	if (!r)
		r = buf_add(to, "\n", 1);
	if (r)
		to->n = before;
	return r;
}
