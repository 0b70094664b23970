// SPDX-License-Identifier: Apache-2.0
/*
 * Writes a checked record as a line of NDJSON (event/json.h). Absent is not zero: a field that is
 * not in the record is not in the line. Keys come in the order of the schema, whatever the order in
 * the record. Texts are a proxy's, and so a job's: quotes, backslashes and every control character
 * (C0, DEL, C1) are escaped, so that a line is one line and `cat` of the log is harmless.
 */
#include "event/json.h"
#include "event/rows.h"
#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>

/* Facts in the order of the schema; others follow as they came. */
static const char *const fact_order[] = {
	"provider", "org", "repo",  "repo_id", "ref",	      "sha",   "event", "fork",
	"workflow", "job", "stage", "run_id",  "environment", "actor", "runner"
};

/* Appends into room that was reserved for the worst case. */
struct out {
	char *p;
	size_t n, size;
	bool full;
};

static void put(struct out *o, const char *p, size_t n)
{
	if (o->full || n > o->size - o->n) {
		o->full = true;
		return;
	}
	memcpy(o->p + o->n, p, n);
	o->n += n;
}

static void put_word(struct out *o, const char *s)
{
	put(o, s, strlen(s));
}

static void put_num(struct out *o, uint64_t v)
{
	char digits[20];
	struct str s = str_num(v, digits);

	put(o, s.p, s.n);
}

static void put_escape(struct out *o, unsigned code)
{
	static const char hex[] = "0123456789abcdef";
	const char text[] = { '\\', 'u', '0', '0', hex[code >> 4 & 15], hex[code & 15] };

	put(o, text, sizeof(text));
}

static void put_text(struct out *o, struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t at = 0, plain = 0;

	put(o, "\"", 1);
	while (at < s.n) {
		unsigned len = 1;

		if (p[at] >= 0x20 && p[at] < 0x7f && p[at] != '"' && p[at] != '\\') {
			at++;
			continue;
		}
		if (p[at] >= 0x80) {
			len = utf8_sequence(p + at, s.n - at);
			if (len && !(p[at] == 0xc2 && p[at + 1] < 0xa0)) {
				at += len;
				continue;
			}
		}
		put(o, s.p + plain, at - plain);
		if (p[at] == '"' || p[at] == '\\')
			put(o, (char[]){ '\\', s.p[at] }, 2);
		else if (p[at] == '\n')
			put(o, "\\n", 2);
		else if (p[at] < 0x80)
			put_escape(o, p[at]);
		else if (len == 2)
			put_escape(o, p[at + 1]);
		else
			put_word(o, "\\ufffd");
		at += len ? len : 1;
		plain = at;
	}
	put(o, s.p + plain, at - plain);
	put(o, "\"", 1);
}

static void put_key(struct out *o, const char *key, size_t n)
{
	char last = o->n ? o->p[o->n - 1] : '{';

	if (last != '{')
		put(o, ",", 1);
	put(o, "\"", 1);
	put(o, key, n);
	put(o, "\":", 2);
}

static void put_member(struct out *o, const char *key, const char *value)
{
	put_key(o, key, strlen(key));
	put_text(o, str_of(value));
}

static void put_addr(struct out *o, const uint8_t addr[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char text[INET6_ADDRSTRLEN];

	if (!memcmp(addr, mapped, sizeof(mapped)))
		inet_ntop(AF_INET, addr + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, addr, text, sizeof(text));
	put_text(o, str_of(text));
}

static void put_value(struct out *o, const struct field_row *row, const struct event_item *item)
{
	switch (row->kind) {
	case FIELD_IS_TEXT:
	case FIELD_IS_DIGEST:
		put_text(o, (struct str){ (const char *)item->p, item->n });
		break;
	case FIELD_IS_NUM:
		put_num(o, load_le64(item->p));
		break;
	case FIELD_IS_BOOL:
		put_word(o, load_le64(item->p) ? "true" : "false");
		break;
	case FIELD_IS_ADDR:
		put_addr(o, item->p);
		break;
	}
}

/* "dest.host" -> 4, "rule" -> 0 */
static size_t parent_n(const char *path)
{
	const char *dot = strchr(path, '.');

	return dot ? (size_t)(dot - path) : 0;
}

static void put_fields(struct out *o, const struct event_item *items, unsigned from, unsigned end)
{
	const char *parent = NULL;
	size_t n = 0;

	for (unsigned f = from; f < end; f++) {
		const struct field_row *row = &field_rows[f];
		size_t own;

		if (!items[f].p)
			continue;
		own = parent_n(row->path);
		if (parent && (own != n || memcmp(parent, row->path, n))) {
			put(o, "}", 1);
			parent = NULL;
		}
		if (own && !parent) {
			put_key(o, row->path, own);
			put(o, "{", 1);
			parent = row->path;
			n = own;
		}
		own = own ? own + 1 : 0;
		put_key(o, row->path + own, strlen(row->path + own));
		put_value(o, row, &items[f]);
	}
	if (parent)
		put(o, "}", 1);
}

int event_json(struct buf *to, const struct event *e, const struct event_place *at)
{
	struct event_item items[FIELDS_END] = { 0 }, item;
	char when[CLOCK_TEXT_MAX];
	size_t walked = 0, most;
	struct out o;

	while (event_walk(e, &walked, &item))
		if (item.field < FIELDS_END)
			items[item.field] = item;
	/* No byte becomes more than six; keys and punctuation are the field table's. */
	most = 6 * (e->n + at->node.n) + at->job.n + 4096;
	if (most > EVENT_LINE_MAX)
		return -EMSGSIZE;
	if (buf_reserve(to, most))
		return -EMSGSIZE;
	o = (struct out){ to->p + to->n, 0, most, false };
	clock_text(at->time_us, when);
	put(&o, "{", 1);
	put_member(&o, "schema", EVENT_SCHEMA);
	put_key(&o, "seq", 3);
	put_num(&o, at->seq);
	put_member(&o, "time", when);
	put_key(&o, "node", 4);
	put_text(&o, at->node);
	put_member(&o, "kind", event_kind_name(event_kind_of(e)));
	if (event_verdict_of(e))
		put_member(&o, "verdict", event_verdict_name(event_verdict_of(e)));
	if (event_reason_of(e))
		put_member(&o, "reason", reason_word(event_reason_of(e)));
	put_fields(&o, items, FIELD_NONE + 1, FIELD_PROCESS_PID);
	if (at->job.n) {
		put_key(&o, "job", 3);
		put(&o, "{", 1);
		put(&o, at->job.p, at->job.n);
		if (at->n) {
			put_key(&o, "n", 1);
			put_num(&o, at->n);
		}
		put(&o, "}", 1);
	}
	put_fields(&o, items, FIELD_PROCESS_PID, FIELDS_END);
	put(&o, "}\n", 2);
	if (o.full)
		return -EMSGSIZE;
	to->n += o.n;
	return 0;
}

static bool key_ok(struct str k)
{
	if (!k.n || k.n > 64 || str_is(k, "id") || str_is(k, "assurance") || str_is(k, "n"))
		return false;
	for (size_t i = 0; i < k.n; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_", k.p[i]) || !k.p[i])
			return false;
	return true;
}

static struct str fact_key(struct str fact)
{
	const char *eq = fact.n ? memchr(fact.p, '=', fact.n) : NULL;

	return (struct str){ fact.p, eq ? (size_t)(eq - fact.p) : 0 };
}

static void put_fact(struct out *o, struct str fact)
{
	struct str key = fact_key(fact);

	put_key(o, key.p, key.n);
	put_text(o, (struct str){ fact.p + key.n + 1, fact.n - key.n - 1 });
}

static bool is_ordered(struct str key)
{
	for (size_t i = 0; i < ARRAY_SIZE(fact_order); i++)
		if (str_is(key, fact_order[i]))
			return true;
	return false;
}

int event_job_json(struct buf *to, struct str id, const struct str *facts, size_t nfacts,
		   struct str assurance)
{
	struct out o;

	if (!id.n || id.n > 64 ||
	    !(str_is(assurance, "signed") || str_is(assurance, "runner") ||
	      str_is(assurance, "unverified")))
		return -EINVAL;
	for (size_t i = 0; i < nfacts; i++) {
		if (!key_ok(fact_key(facts[i])))
			return -EINVAL;
		for (size_t j = 0; j < i; j++)
			if (str_eq(fact_key(facts[i]), fact_key(facts[j])))
				return -EINVAL;
	}
	if (buf_reserve(to, EVENT_JOB_MAX))
		return -EMSGSIZE;
	o = (struct out){ to->p + to->n, 0, EVENT_JOB_MAX, false };
	put_key(&o, "id", 2);
	put_text(&o, id);
	for (size_t i = 0; i < ARRAY_SIZE(fact_order); i++)
		for (size_t j = 0; j < nfacts; j++)
			if (str_is(fact_key(facts[j]), fact_order[i]))
				put_fact(&o, facts[j]);
	for (size_t j = 0; j < nfacts; j++)
		if (!is_ordered(fact_key(facts[j])))
			put_fact(&o, facts[j]);
	put_key(&o, "assurance", 9);
	put_text(&o, assurance);
	if (o.full)
		return -EMSGSIZE;
	to->n += o.n;
	return 0;
}
