/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet lines ("pkt-line": four hexadecimal digits of length, themselves counted, then bytes) of a
 * push. Called by proxy/git.c with the first bytes of a request's body, which are a job's.
 */
#include "http/git.h"

#include <errno.h>
#include <stdio.h>

#define PKT_HEAD 4u
#define PKT_MAX 65520u /* git's LARGE_PACKET_MAX, head included */
#define BAND_ROOM (PKT_MAX - PKT_HEAD - 1)
enum { BAND_DATA = 1, BAND_WORDS = 2 };

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The whole packet's length, 0 of a flush; -EBADMSG. */
static int pkt_length(const char *p)
{
	int n = 0;

	for (unsigned i = 0; i < PKT_HEAD; i++) {
		int d = digit(p[i]);

		if (d < 0)
			return -EBADMSG;
		n = n << 4 | d;
	}
	/* 1 to 3 are marks of protocol 2, which no push speaks; some readers take them for an end.
	 */
	return n && (n <= (int)PKT_HEAD || n > (int)PKT_MAX) ? -EBADMSG : n;
}

int git_list_end(struct str bytes, size_t *at)
{
	while (*at + PKT_HEAD <= bytes.n) {
		int n = pkt_length(bytes.p + *at);

		if (n < 0)
			return n;
		if (*at + (n ? (size_t)n : PKT_HEAD) > GIT_LIST_MAX)
			return -EMSGSIZE;
		if (n == 0) {
			*at += PKT_HEAD;
			return 1;
		}
		if (*at + (size_t)n > bytes.n)
			return 0;
		*at += (size_t)n;
	}
	return 0;
}

static bool id_ok(struct str s)
{
	if (s.n != 40 && s.n != 64)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (digit(s.p[i]) < 0)
			return false;
	return true;
}

bool git_id_none(struct str id)
{
	for (size_t i = 0; i < id.n; i++)
		if (id.p[i] != '0')
			return false;
	return true;
}

/* Up to the blank, which goes; all that is left without one. */
static struct str word(struct str *rest)
{
	const char *blank = rest->n ? memchr(rest->p, ' ', rest->n) : NULL;
	struct str w = { rest->p, blank ? (size_t)(blank - rest->p) : rest->n };
	size_t used = w.n + (blank ? 1 : 0);

	*rest = (struct str){ rest->p + used, rest->n - used };
	return w;
}

static void capabilities(struct str s, unsigned *says)
{
	while (s.n) {
		struct str w = word(&s);

		if (str_is(w, "report-status") || str_is(w, "report-status-v2"))
			*says |= GIT_REPORT_STATUS;
		else if (str_is(w, "side-band-64k"))
			*says |= GIT_SIDE_BAND;
		else if (str_is(w, "push-options"))
			*says |= GIT_PUSH_OPTIONS;
	}
}

static const char *command(struct str line, size_t id_n, struct git_command *ret)
{
	ret->old_id = word(&line);
	ret->new_id = word(&line);
	ret->ref = line;
	if (!id_ok(ret->old_id) || ret->new_id.n != ret->old_id.n || !id_ok(ret->new_id) ||
	    (id_n && ret->old_id.n != id_n))
		return "its list of refs has a line without two object names";
	if (line.n == 0 || memchr(line.p, ' ', line.n) || memchr(line.p, '\n', line.n))
		return "its list of refs has a line that does not end in the name of a ref";
	return NULL;
}

/* One packet of the list; NULL, or what is wrong with it. */
static const char *list_line(struct str line, struct git_push *p)
{
	const char *nul, *why;

	if (line.p[line.n - 1] == '\n')
		line.n--;
	nul = line.n ? memchr(line.p, 0, line.n) : NULL;
	if (nul) {
		capabilities((struct str){ nul + 1, (size_t)(line.p + line.n - nul) - 1 },
			     &p->says);
		line.n = (size_t)(nul - line.p);
	}
	if (str_starts(line, "shallow "))
		return !nul && id_ok((struct str){ line.p + 8, line.n - 8 })
			       ? NULL
			       : "its list of refs has a shallow line without an object name";
	if (str_is(line, "push-cert"))
		return "it is signed, and the refs in its certificate are not read";
	why = command(line, p->n ? p->commands[0].old_id.n : 0, &p->commands[p->n]);
	p->n += !why;
	return why;
}

int git_list_read(struct str list, struct arena *a, struct git_push *ret, const char **ret_why)
{
	const char *packets = "its list of refs is not made of packet lines";
	size_t count = 0;
	int n;

	*ret = (struct git_push){ 0 };
	*ret_why = packets;
	for (size_t at = 0; at + PKT_HEAD <= list.n; at += (size_t)n, count++)
		if ((n = pkt_length(list.p + at)) <= 0)
			break;
	ret->commands = arena_new(a, (count + 1) * sizeof(*ret->commands));
	for (size_t at = 0; at + PKT_HEAD <= list.n; at += (size_t)n) {
		n = pkt_length(list.p + at);
		if (n < 0 || (size_t)n > list.n - at)
			return -EBADMSG;
		if (n == 0)
			return at + PKT_HEAD == list.n ? 0 : -EBADMSG;
		*ret_why = list_line((struct str){ list.p + at + PKT_HEAD, (size_t)n - PKT_HEAD },
				     ret);
		if (*ret_why)
			return -EBADMSG;
		*ret_why = packets;
	}
	return -EBADMSG;
}

/* ---- the answer ---- */

static int pkt_write(struct buf *to, unsigned band, struct str s)
{
	int e = buf_addf(to, "%04zx", PKT_HEAD + (band ? 1 : 0) + s.n);

	if (e == 0 && band)
		e = buf_add(to, &(const char){ (char)band }, 1);
	return e < 0 ? e : buf_add_str(to, s);
}

static int report(struct buf *to, const struct git_push *p, struct str unpack,
		  const struct str *why)
{
	struct buf line;
	int e;

	buf_init(&line, BAND_ROOM);
	e = buf_addf(&line, "unpack %.*s\n", STR_ARG(unpack));
	for (size_t i = 0; e == 0; i++) {
		e = pkt_write(to, 0, buf_str(&line));
		if (e < 0 || i == p->n)
			break;
		line.n = 0;
		e = buf_addf(&line, "ng %.*s %.*s\n", STR_ARG(p->commands[i].ref), STR_ARG(why[i]));
	}
	buf_done(&line);
	return e < 0 ? e : buf_add_str(to, STR("0000"));
}

static int banded(struct buf *to, unsigned band, struct str s)
{
	int e = 0;

	while (e == 0 && s.n) {
		struct str part = { s.p, s.n < BAND_ROOM ? s.n : BAND_ROOM };

		e = pkt_write(to, band, part);
		s = (struct str){ s.p + part.n, s.n - part.n };
	}
	return e;
}

int git_report_write(struct buf *to, const struct git_push *p, struct str said, struct str unpack,
		     const struct str *why)
{
	struct buf inner;
	int e;

	if (!(p->says & GIT_SIDE_BAND))
		return report(to, p, unpack, why);
	buf_init(&inner, to->limit);
	e = report(&inner, p, unpack, why);
	if (e == 0)
		e = banded(to, BAND_WORDS, said);
	if (e == 0)
		e = banded(to, BAND_DATA, buf_str(&inner));
	if (e == 0)
		e = buf_add_str(to, STR("0000"));
	buf_done(&inner);
	return e;
}
