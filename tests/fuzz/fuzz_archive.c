/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as an archive of sources: refused, or each name and text lies inside. */
#include <stdlib.h>

#include "policy/archive.h"
#include "../unit/policy/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct source *sources;
	size_t count;

	if (archive_read((struct str){ (const char *)data, n }, &sources, &count) < 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		walk_str(sources[i].name);
		walk_str(sources[i].text);
	}
	free(sources);
	return 0;
}
