// SPDX-License-Identifier: Apache-2.0
/*
 * Pipes for tunnels: see pipes.h. Some empty ones are kept, since making one costs as much as
 * moving a few packets. The first are large, so that one call moves more; all large ones together
 * take a quarter of the pages that the kernel lets a uid have.
 */
#include "proxy/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SPARE 16
#define LARGE 16
#define LARGE_BYTES (1 << 20)

static struct pipe spare[SPARE]; /* of this process's one proxy */
static unsigned spares, larges;

int pipes_take(struct pipe *ret)
{
	struct pipe p = { .large = false };

	if (spares) {
		*ret = spare[--spares];
		return 0;
	}
	if (pipe2(p.ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	/* Refused where the uid has too much already: then it is as it is. */
	if (larges < LARGE && fcntl(p.ends[1], F_SETPIPE_SZ, LARGE_BYTES) >= 0) {
		p.large = true;
		larges++;
	}
	*ret = p;
	return 0;
}

void pipes_give(struct pipe *p)
{
	if (spares == SPARE) {
		pipes_drop(p);
		return;
	}
	spare[spares++] = *p;
	*p = NO_PIPE;
}

void pipes_drop(struct pipe *p)
{
	if (p->ends[0] < 0)
		return;
	close(p->ends[0]);
	close(p->ends[1]);
	larges -= p->large;
	*p = NO_PIPE;
}
