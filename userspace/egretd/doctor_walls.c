/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which walls stand here, for `egret doctor`: a running egretd is asked, and tries them at once for
 * root. Where none runs, a throw-away instance is made for one round and taken away again, also
 * when a signal ends it. What egretd answers is shown, never interpreted.
 */
#include "egretd/doctor.h"

#include "egretd/cgroup.h"
#include "egretd/kernel.h"
#include "egretd/walls.h"

#include "base/clock.h"
#include "base/msg.h"
#include "base/proto.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define INSTANCE "doctor"
#define ASK_MS 30000
#define OTHER_MS 20000

static const struct {
	const char *stands, *without;
} about[WALLS] = {
	[WALL_TURN] = { "connections and datagrams are turned or refused", "nothing is served" },
	[WALL_SOCKETS] = { "no raw or ping sockets, egret's ports are kept", "nothing is served" },
	[WALL_PACKETS] = { "packets that did not come by the door are dropped",
			   "nothing is served" },
	[WALL_CAGE] = { "proxies reach only what they may", "nothing is served" },
	[WALL_TC] = { "the host's side of jobs' links lets nothing else through",
		      "packet sockets are closed by capabilities alone" },
	[WALL_LSM] = { "socket families, passed sockets and egret's own objects are closed",
		       "on the host's network only jobs without CAP_NET_RAW are let in" },
	[WALL_UNIX] = { "UNIX sockets of others are closed to confined jobs",
			"sockets at paths that the job's user may open are open to it" },
};

static void say(struct probe *p, enum wall w, bool stands, const char *why)
{
	*p = (struct probe){ .name = wall_name(w), .ok = stands, .required = w < WALLS_REQUIRED };
	if (stands)
		snprintf(p->sentence, sizeof(p->sentence), "the trial was refused: %s",
			 about[w].stands);
	else
		snprintf(p->sentence, sizeof(p->sentence), "%s: %s", why, about[w].without);
}

/* What the configuration asks for is missing where it is not there. */
static void require(const struct config *c, struct probe to[WALLS])
{
	enum wall w;

	for (unsigned i = 0; i < c->require.n; i++)
		if (wall_of_name(c->require.at[i], &w))
			to[w].required = true;
}

static void untried(struct probe to[WALLS], const char *why)
{
	for (int i = 0; i < WALLS; i++) {
		/* Nothing is known: that alone is not missing. */
		to[i] = (struct probe){ .name = wall_name((enum wall)i) };
		snprintf(to[i].sentence, sizeof(to[i].sentence), "%s", why);
	}
}

/* ---- a running egretd ---- */

static int dial(const struct config *c)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	cleanup_close int fd = -1;

	if ((size_t)snprintf(un.sun_path, sizeof(un.sun_path), "%s/control.sock", c->run_dir.p) >=
	    sizeof(un.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int ask(int sock, uint64_t flags, struct msg_in *m)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct msg_out q;
	int r;

	msg_begin(&q, MSG_STATUS, 1);
	msg_put_u64(&q, TAG_FLAGS, flags);
	r = msg_send(sock, &q);
	msg_out_done(&q);
	if (r == 0 && poll(&p, 1, ASK_MS) <= 0)
		r = -ETIMEDOUT;
	return r < 0 ? r : msg_recv(sock, m);
}

static void read_status(const struct msg_in *m, struct probe to[WALLS])
{
	struct str line;
	size_t at = 0;

	for (int i = 0; i < WALLS; i++)
		say(&to[i], (enum wall)i, true, "");
	while (msg_each(m, TAG_TEXT, &at, &line)) {
		const char *eq = memchr(line.p, '=', line.n);
		char why[WALL_WHY_MAX];
		enum wall w;

		if (!eq || !str_starts(line, "wall_") ||
		    !wall_of_name((struct str){ line.p + 5, (size_t)(eq - line.p) - 5 }, &w))
			continue;
		text_escape(why, sizeof(why),
			    (struct str){ eq + 1, (size_t)(line.p + line.n - eq - 1) });
		say(&to[w], w, false, why);
	}
}

/* False: none runs. */
static bool running(const struct config *c, struct probe to[WALLS])
{
	cleanup_close int fd = dial(c);
	struct msg_in m;

	if (fd < 0 || ask(fd, geteuid() == 0 ? STATUS_TRY : 0, &m) < 0)
		return false;
	if (m.type == MSG_FAILED && geteuid() == 0) { /* root, but not of this host */
		msg_in_done(&m);
		close(fd);
		fd = dial(c);
		if (fd < 0 || ask(fd, 0, &m) < 0)
			return false;
	}
	if (m.type == MSG_STATUS) {
		read_status(&m, to);
		require(c, to);
	} else {
		untried(to, "the egretd that runs here gave no answer");
	}
	msg_in_done(&m);
	return true;
}

/* ---- a throw-away instance ---- */

static pid_t worker;

static void on_signal(int sig)
{
	if (worker > 0)
		kill(worker, SIGKILL);
}

static bool same_place(const struct cgroups *cg)
{
	struct stat own, there;

	return fstat(cg->own, &own) == 0 && stat(cg->own_path, &there) == 0 &&
	       own.st_ino == there.st_ino;
}

/* The instance's cgroups, this process's alone while they are open. */
static int place_take(struct cgroups *cg, char *why, size_t n)
{
	const uint64_t until = clock_now() + OTHER_MS;

	for (;;) {
		int r = cgroups_open(INSTANCE, NULL, cg, why, n);

		if (r < 0)
			return r;
		if (flock(cg->own, LOCK_EX | LOCK_NB) == 0 && same_place(cg))
			return 0;
		cgroups_close(cg);
		if (clock_now() > until) {
			snprintf(why, n, "another egret doctor tries them for long");
			return -EBUSY;
		}
		(void)poll(NULL, 0, 50);
	}
}

/* Whatever is there of the instance, of this run or of one that was killed. */
static int place_clear(struct cgroups *cg)
{
	char ignored[256];
	int r = kernel_unpin(INSTANCE, ignored, sizeof(ignored));

	if (cgroup_kill(cg->jobs) == 0 && cgroup_kill(cg->own) == 0)
		(void)!(cgroup_wait_empty(cg->jobs, 1000) || cgroup_wait_empty(cg->own, 1000));
	return cgroups_remove(cg) < 0 ? -EBUSY : r;
}

/* In a child, so that a signal ends the work and not the clearing. */
static int work(const struct cgroups *cg, struct walls_said *said, char *why, size_t n)
{
	const struct kernel_where where = { .instance = INSTANCE,
					    .jobs = cg->jobs,
					    .jobs_level = cg->jobs_level,
					    .listen = cg->listen,
					    .proxies = cg->proxies };
	struct kernel *k;
	int fd, r = kernel_open(&where, &k, why, n);
	pid_t pid;

	if (r == 0)
		r = kernel_guard_own(k, cg);
	if (r == 0)
		r = walls_fork(k, cg, &pid, &fd);
	if (r == 0)
		walls_take(pid, fd, ASK_MS, said);
	return r;
}

static int throw_away(struct walls_said *said, char *why, size_t n)
{
	struct {
		int r;
		char why[256];
		struct walls_said said;
	} room = { .r = -EINTR, .why = "a signal ended the trial" };
	struct sigaction act = { .sa_handler = on_signal };
	struct cgroups cg;
	int ends[2], status, r;

	_Static_assert(sizeof(room) <= 4096, "written whole, or not at all");
	for (int i = 0; i < 4; i++)
		sigaction((int[]){ SIGINT, SIGTERM, SIGHUP, SIGQUIT }[i], &act, NULL);
	r = place_take(&cg, why, n);
	if (r < 0)
		return r;
	if (place_clear(&cg) < 0 || pipe(ends) < 0) {
		snprintf(why, n, "what an earlier egret doctor left below %s cannot be removed",
			 cg.own_path);
		cgroups_close(&cg);
		return -EBUSY;
	}
	cgroups_close(&cg);
	r = place_take(&cg, why, n);
	if (r < 0)
		return r;
	worker = fork();
	if (worker == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		room.why[0] = 0;
		room.r = work(&cg, &room.said, room.why, sizeof(room.why));
		_exit(write(ends[1], &room, sizeof(room)) == sizeof(room) ? 0 : 1);
	}
	close(ends[1]);
	if (read(ends[0], &room, sizeof(room)) != sizeof(room))
		room.r = -EINTR;
	close(ends[0]);
	while (worker > 0 && waitpid(worker, &status, 0) < 0 && errno == EINTR)
		;
	if (place_clear(&cg) < 0)
		fprintf(stderr, "egret doctor: something is left below %s\n", cg.own_path);
	cgroups_close(&cg);
	snprintf(why, n, "%s", room.why);
	*said = room.said;
	return room.r;
}

void doctor_walls(const struct config *c, bool able, struct probe to[WALLS])
{
	struct walls_said said = { 0 };
	char why[256] = "";
	int r;

	if (running(c, to))
		return;
	if (geteuid() != 0) {
		untried(to, "cannot be tried: run as root");
		return;
	}
	if (!able) {
		untried(to, "cannot be tried until what is missing above is there");
		return;
	}
	r = throw_away(&said, why, sizeof(why));
	if (r < 0) {
		untried(to, why[0] ? why : strerror(-r));
		for (int i = 0; i < WALLS_REQUIRED; i++)
			to[i].required = true;
		return;
	}
	for (int i = 0; i < WALLS; i++)
		say(&to[i], (enum wall)i, said.r[i] == 0, said.why[i]);
	require(c, to);
}
