/* SPDX-License-Identifier: Apache-2.0 */
/* See inspect.h. Trusts of the answer: nothing but the frame; every field is checked against its
 * bound and form again, as egret-compile read hostile bytes. */
#include "egretd/inspect.h"
#include "egretd/child_ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INSPECT_MS 5000
#define INSPECT_ARENA_MAX (1u << 20)
#define INSPECT_FLAGS                                                                       \
	(INSPECT_PRIVILEGED | INSPECT_ENGINE_SOCKET | INSPECT_HOST_NET | INSPECT_HOST_PID | \
	 INSPECT_CAPABILITIES | INSPECT_DEVICES | INSPECT_ENGINE_SOCKET_FILE)

struct inspect {
	struct child_ask ask;
	inspect_fn done;
	void *owner;
};

static int open_list(const struct msg_in *m, uint16_t tag, struct arena *a,
		     struct inspected_list *to)
{
	struct str s;
	size_t at = 0;

	while (msg_each(m, tag, &at, &s)) {
		if (to->n == INSPECTED_LIST_MAX || s.n > PROTO_TEXT_MAX || memchr(s.p, 0, s.n))
			return -EBADMSG;
		to->at[to->n++] = arena_str(a, s);
	}
	return 0;
}

/* "tcp4:HOSTPORT:PORT" */
static int open_port(struct str s, struct inspected_port *ret)
{
	uint64_t host, container;
	const char *colon;

	if (s.n < 8 || (memcmp(s.p, "tcp4:", 5) && memcmp(s.p, "tcp6:", 5)))
		return -EBADMSG;
	colon = memchr(s.p + 5, ':', s.n - 5);
	if (!colon || str_u64((struct str){ s.p + 5, (size_t)(colon - s.p - 5) }, &host) < 0 ||
	    str_u64((struct str){ colon + 1, (size_t)(s.p + s.n - colon - 1) }, &container) < 0 ||
	    host < 1 || host > 65535 || container < 1 || container > 65535)
		return -EBADMSG;
	*ret = (struct inspected_port){ s.p[3] == '6', (uint16_t)host, (uint16_t)container };
	return 0;
}

int inspected_open(const struct msg_in *m, struct inspected *ret)
{
	struct inspected i = { 0 };
	struct str s, name, image;
	size_t at = 0;
	int r = 0;

	arena_init(&i.arena, INSPECT_ARENA_MAX);
	if (msg_get_str(m, TAG_NAME, PROTO_TEXT_MAX, &name) < 0 ||
	    msg_get_str(m, TAG_IMAGE, PROTO_TEXT_MAX, &image) < 0 ||
	    msg_get_u64(m, TAG_FLAGS, &i.flags) < 0 || (i.flags & ~(uint64_t)INSPECT_FLAGS) ||
	    open_list(m, TAG_LABEL, &i.arena, &i.labels) < 0 ||
	    open_list(m, TAG_NETWORK, &i.arena, &i.networks) < 0 ||
	    open_list(m, TAG_ALIAS, &i.arena, &i.aliases) < 0)
		r = -EBADMSG;
	while (r == 0 && msg_each(m, TAG_PORT, &at, &s))
		r = i.nports == INSPECTED_LIST_MAX ? -EBADMSG : open_port(s, &i.ports[i.nports++]);
	if (r < 0) {
		arena_done(&i.arena);
		return r;
	}
	i.name = arena_str(&i.arena, name);
	i.image = arena_str(&i.arena, image);
	*ret = i;
	return 0;
}

void inspected_done(struct inspected *i)
{
	arena_done(&i->arena);
	*i = (struct inspected){ 0 };
}

const char *inspected_label(const struct inspected *i, const char *key)
{
	size_t n = strlen(key);

	for (unsigned k = 0; k < i->labels.n; k++)
		if (i->labels.at[k].n > n && !memcmp(i->labels.at[k].p, key, n) &&
		    i->labels.at[k].p[n] == '=')
			return i->labels.at[k].p + n + 1;
	return NULL;
}

static void on_answer(struct child_ask *ask, int err, struct msg_in *m, const char *text)
{
	struct inspect *i = (struct inspect *)ask;
	struct inspected ok;

	if (!err && inspected_open(m, &ok) < 0) {
		err = -EPROTO;
		text = "egret-compile gave an answer of another form";
	}
	i->done(i->owner, err, text, err ? NULL : &ok);
	if (!err)
		inspected_done(&ok);
	free(i);
}

int inspect_start(struct daemon *d, int config_fd, int host_fd, inspect_fn done, void *owner,
		  struct inspect **ret, char *why, size_t why_n)
{
	struct child_plan plan = { .program = "egret-compile",
				   .cgroup_dir = d->cg.work,
				   .uid = d->config.uid_compile,
				   .gid = d->config.uid_compile };
	struct inspect *i = mem_new(sizeof(*i));
	struct msg_out m;
	int r;

	msg_begin(&m, MSG_INSPECT, 1);
	msg_put_fd(&m, TAG_FD_SOURCE, config_fd);
	msg_put_str(&m, TAG_KIND, STR("docker-config"));
	msg_put_fd(&m, TAG_FD_SOURCE, host_fd);
	msg_put_str(&m, TAG_KIND, STR("docker-host"));
	i->ask = (struct child_ask){
		.answer = MSG_INSPECTED,
		.refused = -EINVAL,
		.ms = INSPECT_MS,
		.late = "the engine's files of the container took longer than 5 s to read",
		.done = on_answer,
	};
	i->done = done;
	i->owner = owner;
	r = child_ask_start(d, &plan, &m, &i->ask, why, why_n);
	if (r < 0) {
		free(i);
		return r;
	}
	if (ret)
		*ret = i;
	return 0;
}

void inspect_cancel(struct inspect *i)
{
	if (!i)
		return;
	child_ask_stop(&i->ask);
	free(i);
}
