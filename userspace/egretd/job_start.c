/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The third step: the proxy serves, so the door is opened and the command is started by egret-init,
 * process 1 of the job's own pid namespace. The descriptors of the caller are handed on unread.
 */
#include "egretd/job.h"
#include "egretd/walls.h"
#include "egretd/worker.h"

#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void on_message(struct watch *w, uint32_t events)
{
	struct job *j = w->owner;
	struct msg_in m;
	struct str text;
	char shown[300];
	int r = msg_recv(w->fd, &m);

	if (r == -EAGAIN)
		return;
	watch_del(w);
	if (r < 0)
		return; /* the pidfd tells the rest */
	if (m.type == MSG_OK) {
		msg_in_done(&m);
		job_answered(j, WAIT_INIT);
		return;
	}
	if (m.type == MSG_FAILED && msg_get_str(&m, TAG_TEXT, PROTO_TEXT_MAX, &text) == 0)
		text_escape(shown, sizeof(shown), text);
	else
		snprintf(shown, sizeof(shown), "egret-init gave an answer of another form");
	msg_in_done(&m);
	job_fail(j, shown);
}

static void on_ended(struct watch *w, uint32_t events)
{
	struct job *j = w->owner;
	int status = -1;

	if (!child_reap(&j->init, &status))
		return;
	watch_del(&j->init_ended);
	j->exit_status = status;
	if (j->state == JOB_MAKING)
		job_fail(j, "egret-init ended before the command was started; the log says why");
	else
		job_end(j);
}

void job_taken_up(struct job *j)
{
	if (j->init.pid > 0 &&
	    watch_add(j->d->loop, &j->init_ended, j->init.pidfd, EPOLLIN, on_ended, j) < 0)
		die("job %s: cannot be watched", j->name);
	j->exit_status = -1;
	if (j->worker)
		worker_taken_up(j);
	proxy_taken_up(j);
}

static int tell(struct job *j)
{
	static const uint16_t stdio[] = { TAG_FD_STDIN, TAG_FD_STDOUT, TAG_FD_STDERR };
	const struct daemon *d = j->d;
	struct msg_out m;
	char number[16], named[48];
	unsigned i;

	msg_begin(&m, MSG_INIT_START, 1);
	msg_put_u64(&m, TAG_UID, j->uid);
	msg_put_u64(&m, TAG_GID, j->gid);
	for (i = 0; i < j->ngroups; i++) {
		snprintf(number, sizeof(number), "%u", (unsigned)j->groups[i]);
		msg_put_str(&m, TAG_GROUP, str_of(number));
	}
	msg_put_str(&m, TAG_CWD, j->cwd);
	msg_put_fd(&m, TAG_FD_SPEC, j->spec);
	for (i = 0; i < 3; i++)
		msg_put_fd(&m, stdio[i], j->stdio[i]);
	msg_put_fd(&m, TAG_FD_STATUS, j->status);
	msg_put_fd(&m, TAG_FD_CA, j->ca);
	msg_put_fd(&m, TAG_FD_BUNDLE, j->bundle);
	msg_put_fd(&m, TAG_FD_P12, j->p12);
	msg_put_u64(&m, TAG_FLAGS, j->opens_tls ? PREPARED_OWN_CA : 0);
	if (!j->host_net)
		msg_put_fd(&m, TAG_FD_NETNS, j->nets->ns.netns);
	/* What acts on cgroups, kernel objects, egret or the host; /run as a whole is replaced by
	 * egret-init. */
	msg_put_str(&m, TAG_HIDE, str_of(d->cg.mount.path));
	if (d->cg.mount.hybrid)
		msg_put_str(&m, TAG_HIDE, STR("/sys/fs/cgroup"));
	msg_put_str(&m, TAG_HIDE, STR("/sys/fs/bpf"));
	msg_put_str(&m, TAG_HIDE, STR("/sys/kernel/debug"));
	msg_put_str(&m, TAG_HIDE, STR("/sys/kernel/tracing"));
	msg_put_str(&m, TAG_HIDE, STR("/dev/kmsg"));
	msg_put_str(&m, TAG_HIDE, d->config.run_dir);
	msg_put_str(&m, TAG_HIDE, d->config.state_dir);
	for (i = 0; i < j->nplaceholders; i++)
		msg_put_str(&m, TAG_SETENV, j->placeholders[i]);
	snprintf(named, sizeof(named), "EGRET_JOB=%s", j->name);
	msg_put_str(&m, TAG_SETENV, str_of(named));
	return msg_send(j->init.sock, &m);
}

static void close_given(struct job *j)
{
	int i;

	for (i = 0; i < 3; i++) {
		close(j->stdio[i]);
		j->stdio[i] = -1;
	}
	close(j->spec);
	close(j->status);
	j->spec = j->status = -1;
	/* `follow` stays: an audit process that is started anew gets it again. */
}

void job_start_event(struct job *j)
{
	char walls[WALLS_TEXT_MAX];
	struct event e;

	event_begin(&e, EVENT_JOB_START, VERDICT_NONE, REASON_NONE);
	event_text(&e, FIELD_POLICY_NAME, j->policy_name);
	event_text(&e, FIELD_POLICY_DIGEST, j->policy_digest);
	if (j->init.pid > 0)
		event_num(&e, FIELD_PROCESS_PID, (uint64_t)j->init.pid);
	event_num(&e, FIELD_PROCESS_UID, j->uid);
	event_text(&e, FIELD_NET, j->host_net ? STR("host") : STR("none"));
	event_text(&e, FIELD_CONFINED, j->confined ? STR("confined") : STR("cooperative"));
	walls_of_job(j, walls);
	event_text(&e, FIELD_WALLS, str_of(walls));
	if (j->tier.n)
		event_text(&e, FIELD_MESSAGE, j->tier);
	daemon_event(j->d, j->id, &e);
}

void job_start_command(struct job *j)
{
	struct child_plan plan = { .program = "egret-init",
				   .cgroup_dir = j->members->cgroup,
				   .new_pid_ns = true,
				   .keep_root = true,
				   .arg = j->name };
	char why[WHY_MAX] = "";
	int r = members_refresh(j);

	if (r == 0)
		r = child_start(&plan, &j->init, why, sizeof(why));
	if (r == 0)
		r = tell(j);
	if (r == 0)
		r = watch_add(j->d->loop, &j->init_sock, j->init.sock, EPOLLIN, on_message, j);
	if (r == 0)
		r = watch_add(j->d->loop, &j->init_ended, j->init.pidfd, EPOLLIN, on_ended, j);
	if (r < 0) {
		job_fail(j, why[0] ? why : strerror(-r));
		return;
	}
	job_start_event(j);
	close_given(j);
	j->waiting = WAIT_INIT;
}
