/* SPDX-License-Identifier: Apache-2.0 */
/* Collects what is wrong with policies and credentials. The bytes it quotes are anyone's: they are
 * escaped. */
#include "policy/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void diag_init(struct diag *d)
{
	*d = (struct diag){ 0 };
	buf_init(&d->text, DIAG_TEXT_MAX);
}

void diag_done(struct diag *d)
{
	buf_done(&d->text);
	*d = (struct diag){ 0 };
}

void diag_position(struct str text, size_t at, unsigned *ret_line, unsigned *ret_column)
{
	unsigned line = 1, column = 1;

	if (at > text.n)
		at = text.n;
	for (size_t i = 0; i < at; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c == '\n') {
			line++;
			column = 1;
		} else if ((c & 0xc0) !=
			   0x80) { /* a continuation byte is no character of its own */
			column++;
		}
	}
	*ret_line = line;
	*ret_column = column;
}

void diag_add(struct diag *d, const struct diag_file *f, size_t at, struct str key, const char *fmt,
	      ...)
{
	char raw[700], line[1024], name[512], k[160];
	unsigned row, column;
	va_list ap;
	int n;

	if (d->count++ >= DIAG_COUNT_MAX)
		return;
	va_start(ap, fmt);
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof(raw))
		n = sizeof(raw) - 1;
	text_escape(line, sizeof(line), (struct str){ raw, (size_t)n });
	text_escape(name, sizeof(name), f->name);
	text_escape(k, sizeof(k), key);
	diag_position(f->text, at, &row, &column);
	/* A full list says nothing more: what stands there is enough to go on with. */
	if (buf_addf(&d->text, "%s:%u:%u: %s%s%s\n", name, row, column, k, key.n ? ": " : "",
		     line) < 0)
		return;
}

void diag_merge(struct diag *to, const struct diag *from)
{
	to->count += from->count;
	if (buf_add_str(&to->text, buf_str(&from->text)) < 0)
		return;
}
