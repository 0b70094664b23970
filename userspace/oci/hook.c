/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The createRuntime hook: the container's namespaces exist, nothing of it has run. Tells egretd its
 * first process and waits until it is served. Called by the runtime, with the state on standard
 * input; in the wrapper's own way, or from hooks.d, where nothing was spliced. A status other than
 * 0 makes the runtime take the container back.
 */
#include "oci/oci.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static int read_state(struct buf *to)
{
	uint64_t until = clock_now() + OCI_WAIT_MS;

	for (;;) {
		struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
		uint64_t now = clock_now();
		int r = now < until ? poll(&p, 1, (int)(until - now)) : 0;
		ssize_t k;

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -ETIMEDOUT;
		if (buf_reserve(to, 4096) < 0)
			return -EFBIG;
		k = read(STDIN_FILENO, to->p + to->n, 4096);
		if (k < 0)
			return -errno;
		if (k == 0)
			return 0;
		to->n += (size_t)k;
		if (to->n > OCI_STATE_MAX)
			return -EFBIG;
	}
}

int hook_main(struct args *a)
{
	cleanup_close int bundle = -1;
	struct found *state = NULL, *config = NULL;
	struct buf text, whole;
	char why[1024];
	int r;

	buf_init(&text, OCI_STATE_MAX + 8192);
	buf_init(&whole, OCI_CONFIG_MAX);
	r = read_state(&text);
	if (r < 0)
		snprintf(why, sizeof(why), "standard input: %s",
			 r == -EFBIG ? "larger than 64 KiB" : strerror(-r));
	else
		r = found_look(FOUND_STATE, buf_str(&text), OCI_READER_UID, &state, why,
			       sizeof(why));
	if (r < 0) {
		oci_fail(a, "the state that the runtime gave its hook: %s", why);
		goto out;
	}
	a->id = found_words(state, state->id).p;
	if (!oci_id_ok(a->id)) {
		r = oci_fail(a, "the state names an id that no container has");
		goto out;
	}
	bundle = open(found_words(state, state->bundle).p, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = bundle < 0 ? -errno : oci_read(bundle, "config.json", OCI_CONFIG_MAX, &whole);
	if (r < 0)
		snprintf(why, sizeof(why), "%s", strerror(-r));
	else
		r = found_look(FOUND_CONFIG, buf_str(&whole), OCI_READER_UID, &config, why,
			       sizeof(why));
	if (r < 0) {
		oci_fail(a, "config.json of container %s: %s", a->id, why);
		goto out;
	}
	a->engine = engine_called(a, config);
	r = ask_join(a, state, config, why, sizeof(why));
	if (r < 0)
		oci_fail(a, "container %s does not start: %s", a->id, why);
out:
	found_free(state);
	found_free(config);
	buf_done(&text);
	buf_done(&whole);
	return r != 0;
}
