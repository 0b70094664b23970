/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two counters that the kernel's walls look at before they go by what they found of a flow a moment
 * ago (bpf/seen.h): one goes up before a table is changed, the other after it. They are in a page
 * that egretd, its children and the kernel share. A writer that was killed in between leaves them
 * apart, and every packet is checked whole, until that is seen here. Called by the kernel*.c.
 */
#include "egretd/kernel.h"
#include "egretd/kernel_pin.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define STUCK_MS 1000 /* a change takes some microseconds */

struct kernel_change {
	struct egret_changes *at, were;
};

static struct egret_changes now(const struct kernel_change *c)
{
	return (struct egret_changes){ .begun = __atomic_load_n(&c->at->begun, __ATOMIC_SEQ_CST),
				       .done = __atomic_load_n(&c->at->done, __ATOMIC_SEQ_CST) };
}

void kernel_change_begin(struct kernel_change *c)
{
	__atomic_fetch_add(&c->at->begun, 1, __ATOMIC_SEQ_CST);
}

void kernel_change_end(struct kernel_change **c)
{
	__atomic_fetch_add(&(*c)->at->done, 1, __ATOMIC_SEQ_CST);
}

bool kernel_change_mend(struct kernel_change *c)
{
	const struct egret_changes is = now(c), were = c->were;

	c->were = is;
	if (is.begun == is.done)
		return true;
	if (is.begun != were.begun || is.done != were.done)
		return false;
	/* Nobody came back to it: also what was kept before it is void. */
	__atomic_fetch_add(&c->at->begun, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&c->at->done, is.begun - is.done + 1, __ATOMIC_SEQ_CST);
	return true;
}

int kernel_change_open(int fd, struct kernel_change **ret)
{
	struct egret_changes *at =
		mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct kernel_change *c;

	if (at == MAP_FAILED)
		return -errno;
	c = mem_new(sizeof(*c));
	c->at = at;
	while (!kernel_change_mend(c))
		usleep(STUCK_MS * 1000);
	*ret = c;
	return 0;
}

void kernel_change_close(struct kernel_change *c)
{
	if (!c)
		return;
	munmap(c->at, sizeof(*c->at));
	free(c);
}
