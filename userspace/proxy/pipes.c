// SPDX-License-Identifier: Apache-2.0
/* Pipes for tunnels: see pipes.h. Some empty ones are kept, since making one costs as much as
 * moving a few packets. */
#include "proxy/pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SPARE 16

static int spare[SPARE][2]; /* of this process's one proxy */
static unsigned spares;

int pipes_take(int ret[2])
{
	int ends[2];

	if (spares) {
		spares--;
		ret[0] = spare[spares][0];
		ret[1] = spare[spares][1];
		return 0;
	}
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	ret[0] = ends[0];
	ret[1] = ends[1];
	return 0;
}

void pipes_give(int ends[2])
{
	if (spares == SPARE) {
		pipes_drop(ends);
		return;
	}
	spare[spares][0] = ends[0];
	spare[spares][1] = ends[1];
	spares++;
	ends[0] = ends[1] = -1;
}

void pipes_drop(int ends[2])
{
	for (int i = 0; i < 2; i++) {
		if (ends[i] >= 0)
			close(ends[i]);
		ends[i] = -1;
	}
}
