/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a job of processes that are there already: trees of them moved into its cgroup while
 * they fork, and the sockets that they hold. No kernel program is loaded.
 */
#include "slices.h"
#include "egretd/child.h"
#include "egretd/proctree.h"
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int where_is(pid_t pid, const char *end)
{
	char path[64], text[4096];
	size_t n = strlen(end);
	FILE *f;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(text, sizeof(text), f)) {
		text[strcspn(text, "\n")] = 0;
		if (!strncmp(text, "0::", 3) && strlen(text) >= n &&
		    !strcmp(text + strlen(text) - n, end))
			found = true;
	}
	if (f)
		fclose(f);
	return found;
}

static unsigned population(int cgroup)
{
	int fd = openat(cgroup, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char room[65536];
	unsigned lines = 0;
	ssize_t n;

	while ((n = read(fd, room, sizeof(room))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += room[i] == '\n';
	close(fd);
	return lines;
}

/* Not cgroup.kill: some kernels kill what is cloned into such a cgroup ever after. */
static void end_all(pid_t root)
{
	const int from[] = { W.a_fd, W.b_fd };
	bool left = true;

	for (int round = 0; left && round < 5000; round++) {
		left = false;
		for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
			int fd = openat(from[i], "cgroup.procs", O_RDONLY | O_CLOEXEC);
			FILE *f = fdopen(fd, "r");
			int pid;

			while (fscanf(f, "%d", &pid) == 1) {
				kill(pid, SIGKILL);
				left = true;
			}
			fclose(f);
		}
		usleep(1000);
	}
	assert_false(left);
	waitpid(root, NULL, 0);
}

static int tree_fn(void *arg)
{
	int width = *(int *)arg;
	pid_t child;

	/* root -> middle -> width leaves; a zombie; one in a session of its own */
	child = fork();
	if (child == 0) {
		for (int i = 0; i < width; i++)
			if (fork() == 0) {
				pause();
				_exit(0);
			}
		child = fork();
		if (child == 0)
			_exit(0);
		if (fork() == 0) {
			setsid();
			pause();
		}
		/* It is one before anybody counts. */
		waitid(P_PID, (id_t)child, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
		__atomic_add_fetch(&said->n, 1, __ATOMIC_SEQ_CST);
		pause();
		_exit(0);
	}
	pause();
	return 0;
}

static void test_move(void **state)
{
	int width = 5, beside = 1;
	unsigned moved = 0;
	pid_t root = task_start(W.a_fd, -1, tree_fn, &width), stranger;
	(void)state;

	wait_said(1);
	stranger = task_start(W.a_fd, -1, tree_fn, &beside);
	wait_said(1);
	assert_int_equal(proctree_move(W.a_fd, root, child_started(root) + 1, W.b_fd, &moved),
			 -ESRCH);
	assert_int_equal(proctree_move(W.none_fd, root, child_started(root), W.b_fd, &moved),
			 -EXDEV);
	assert_int_equal(population(W.b_fd), 0);
	need(proctree_move(W.a_fd, root, child_started(root), W.b_fd, &moved), "move");
	assert_int_equal(moved, 8);
	assert_int_equal(population(W.b_fd), 8);
	assert_true(where_is(root, "/unit/j-1"));
	assert_true(where_is(stranger, "/unit"));
	assert_int_equal(population(W.a_fd), 4);
	/* Again: nothing to do. */
	need(proctree_move(W.a_fd, root, child_started(root), W.b_fd, &moved), "move");
	assert_int_equal(moved, 0);
	assert_true(proctree_descends(stranger, getpid()));
	assert_true(proctree_descends(root, root));
	assert_false(proctree_descends(getpid(), root));
	assert_false(proctree_descends(2, 1));
	end_all(root);
	waitpid(stranger, NULL, 0);
	assert_int_equal(proctree_move(W.a_fd, root, 1, W.b_fd, &moved), -ESRCH);
}

/* Parents that fork all the time and children that live shortly: none is left behind that still
 * descends from the root. */
static int storm_fn(void *arg)
{
	(void)arg;
	for (int i = 0; i < 4; i++)
		if (fork() == 0)
			for (;;) {
				pid_t c = fork();

				if (c == 0) {
					usleep(500);
					_exit(0);
				}
				said->n++;
				while (waitpid(-1, NULL, WNOHANG) > 0)
					;
				usleep(200);
			}
	pause();
	return 0;
}

static void test_move_storm(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		pid_t root = task_start(W.a_fd, -1, storm_fn, NULL);
		unsigned moved = 0;

		wait_said(50);
		need(proctree_move(W.a_fd, root, child_started(root), W.b_fd, &moved), "move");
		assert_true(moved >= 5);
		/* Those of before end by themselves; what is born now is born there. */
		for (int i = 0; i < 2000 && population(W.a_fd); i++)
			usleep(1000);
		assert_int_equal(population(W.a_fd), 0);
		end_all(root);
	}
}

static void test_move_refused(void **state)
{
	int width = 0, threaded = -1, parent = -1, fd, r;
	pid_t root = task_start(W.a_fd, -1, tree_fn, &width);
	unsigned moved = 0;
	uint64_t id;
	(void)state;

	wait_said(1);
	need(cgroup_make(W.cg.jobs, "threads", &parent, &id), "cgroup");
	need(cgroup_make(parent, "t", &threaded, &id), "cgroup");
	fd = openat(threaded, "cgroup.type", O_WRONLY | O_CLOEXEC);
	assert_true(write(fd, "threaded", 8) == 8);
	close(fd);
	r = proctree_move(W.a_fd, root, child_started(root), threaded, &moved);
	assert_int_equal(r, -EOPNOTSUPP);
	assert_non_null(strstr(proctree_why(r), "threaded"));
	assert_true(where_is(root, "/unit"));
	/* Processes in cgroups below the one that is named are found too. */
	need(cgroup_make(W.a_fd, "deep", &fd, &id), "cgroup");
	need(cgroup_add(fd, root), "add");
	need(proctree_move(W.a_fd, root, child_started(root), W.b_fd, &moved), "move");
	assert_int_equal(moved, 3);
	assert_true(where_is(root, "/unit/j-1"));
	end_all(root);
	close(fd);
	close(threaded);
	close(parent);
}

/* Many: bounded time, nobody forgotten. */
static void test_move_many(void **state)
{
	int width = slow() ? 300 : 3000;
	pid_t root = task_start(W.a_fd, -1, tree_fn, &width);
	unsigned moved = 0;
	uint64_t at;
	(void)state;

	for (int i = 0; i < 30000 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	at = now_us();
	need(proctree_move(W.a_fd, root, child_started(root), W.b_fd, &moved), "move");
	print_message("# %u processes moved in %llu ms\n", moved,
		      (unsigned long long)(now_us() - at) / 1000);
	assert_int_equal(moved, width + 3);
	end_all(root);
}

static int holder_fn(void *arg)
{
	int *fd = arg;

	(void)socket(AF_INET, SOCK_STREAM, 0);
	said->n = 1;
	pause();
	return *fd;
}

static void test_sockets(void **state)
{
	int shared = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t a = task_start(W.a_fd, -1, holder_fn, &shared), b;
	uint64_t *list = NULL;
	size_t n = 0, m = 0;
	struct stat st;
	(void)state;

	wait_said(1);
	assert_int_equal(fstat(shared, &st), 0);
	need(proctree_sockets(W.a_fd, -1, &list, &n), "sockets");
	assert_true(n >= 2);
	free(list);
	/* The other has the shared one too: only what is a's own is left. */
	b = task_start(W.none_fd, -1, holder_fn, &shared);
	wait_said(1);
	need(proctree_sockets(W.a_fd, W.none_fd, &list, &m), "sockets");
	assert_int_equal(m, 1);
	assert_true(list[0] != st.st_ino);
	free(list);
	need(proctree_sockets(W.b_fd, -1, &list, &m), "sockets");
	assert_int_equal(m, 0);
	kill(a, SIGKILL);
	kill(b, SIGKILL);
	waitpid(a, NULL, 0);
	waitpid(b, NULL, 0);
	close(shared);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_move),	     cmocka_unit_test(test_move_storm),
		cmocka_unit_test(test_move_refused), cmocka_unit_test(test_move_many),
		cmocka_unit_test(test_sockets),
	};

	return cmocka_run_group_tests(all, slices_open, slices_close);
}

int main(void)
{
	return kept(tests);
}
