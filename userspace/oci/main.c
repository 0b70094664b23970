/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egret-runc: stands where an engine looks for runc, and as a createRuntime hook. Started by
 * engines as root, with their command line; reads no engine's JSON itself (look.c). What it does
 * not understand of a call that starts something is refused; everything else is the real runtime's.
 */
#include "oci/oci.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static int serve(struct args *a)
{
	char path[PATH_MAX], why[1024];

	switch (a->verb) {
	case VERB_CREATE:
	case VERB_RUN:
		return create_main(a);
	case VERB_EXEC:
		return exec_main(a);
	case VERB_DELETE:
		return delete_main(a);
	case VERB_PAUSE:
	case VERB_RESUME:
		return pause_main(a);
	case VERB_HOOK:
		return hook_main(a);
	case VERB_OTHER:
		break;
	}
	if (runtime_find(a, path, sizeof(path), why, sizeof(why)) == 0)
		(void)!runtime_exec(path, a->rest, false, why, sizeof(why));
	return oci_fail(a, "%s", why);
}

int main(int argc, char **argv)
{
	char why[1024];
	struct args a;
	int e;

	if (args_read(argc, argv, &a, why, sizeof(why)) < 0)
		return oci_fail(&a, "%s", why);
	e = serve(&a);
	free(a.rest);
	return e;
}
