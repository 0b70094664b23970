/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every block of this program's heap is wiped when it is freed, whoever asked for it: libcurl,
 * OpenSSL, cjose, jansson, cJSON and nghttp2 copy secrets as they please, and not all of them take
 * allocators. Takes the place of glibc's own two functions, for the libraries too.
 */
#include "provider/wiping.h"

#include "base/secret.h"
#include <malloc.h>
#include <string.h>

#ifdef EGRET_ASAN /* whose heap is its own */
bool wiping(void)
{
	return false;
}
#else
extern void *__libc_malloc(size_t n);
extern void __libc_free(void *p);

void free(void *p)
{
	if (!p)
		return;
	wipe(p, malloc_usable_size(p));
	__libc_free(p);
}

/* Never in place: what realloc cuts off or leaves behind would stay. */
void *realloc(void *p, size_t n)
{
	size_t had;
	void *q;

	if (!p)
		return __libc_malloc(n);
	if (!n) {
		free(p);
		return NULL;
	}
	had = malloc_usable_size(p);
	if (n <= had && n > had / 2)
		return p;
	q = __libc_malloc(n);
	if (!q)
		return NULL;
	memcpy(q, p, had < n ? had : n);
	free(p);
	return q;
}

bool wiping(void)
{
	return true;
}
#endif
