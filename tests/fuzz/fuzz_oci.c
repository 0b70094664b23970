/* SPDX-License-Identifier: Apache-2.0 */
/* An engine's JSON: the first byte says which kind, the rest is the text. What is spliced must be
 * readable by the same reader, and splicing it again must change nothing. */
#include "oci/splice.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const env[] = { "JAVA_TOOL_OPTIONS=-J", "SSL_CERT_FILE=/b", NULL };

static int once(enum found_kind kind, struct str text, struct buf *to)
{
	static struct found f;
	struct splice s = { .env = (char *const *)env, .java = "-J" };
	char why[256];

	memset(&f, 0, sizeof(f));
	if (kind == FOUND_CONFIG) {
		s.mounts = STR("{\"destination\":\"/run/egret\",\"source\":\"/r/oci/c/in\"}");
		s.hook = STR("{\"path\":\"/x\"}");
		s.our_folder = STR("/r/oci");
		s.our_hook = STR("/x");
	}
	found_read(kind, text, &f);
	if (f.r < 0 || kind == FOUND_STATE)
		return -1;
	return splice_text(text, &f, &s, to, why, sizeof(why));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf first, second;
	enum found_kind kind;
	char *text;

	if (!size)
		return 0;
	kind = data[0] % 3;
	text = malloc(size);
	memcpy(text, data + 1, size - 1); /* its end is its allocation's, nearly */
	buf_init(&first, 2 * OCI_CONFIG_MAX);
	buf_init(&second, 2 * OCI_CONFIG_MAX);
	if (once(kind, (struct str){ text, size - 1 }, &first) == 0) {
		if (once(kind, buf_str(&first), &second) != 0)
			abort();
		if (!str_eq(buf_str(&first), buf_str(&second)))
			abort();
	}
	buf_done(&first);
	buf_done(&second);
	free(text);
	return 0;
}
