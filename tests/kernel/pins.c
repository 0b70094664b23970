/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P6: egretd is killed, the programs stand. A loader process opens the kernel side and is killed
 * with SIGKILL; what its job then gets is looked at; another loader takes over, and the job is
 * served again, its open sockets' records included.
 */
#include "kernel/harness.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sys/stat.h>

static int load_fn(void *arg)
{
	(void)arg;
	if (world_open(NULL))
		return EIO;
	/* The descriptors that egretd's fd store or a proxy would keep are closed with this
	 * process. */
	said->n = 1;
	pause();
	return 0;
}

static pid_t loader;

/* Loads and dies; leaves only pins and cgroups. */
static int dead_loader(void **state)
{
	(void)state;
	loader = task_start(-1, -1, load_fn, NULL);
	/* A verifier in an emulated machine takes seconds. */
	for (int i = 0; i < 60000 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	assert_int_equal(said->n, 1);
	return 0;
}

static void test_stands_without_loader(void **state)
{
	struct dial d = { .ip = "198.51.100.1", .port = 443, .type = SOCK_STREAM };
	struct dial raw = { .ip = "198.51.100.1", .port = 443, .type = SOCK_RAW, .proto = 1 };
	char path[128], why[256] = "";
	struct stat st;
	(void)state;

	need(cgroups_open(W.instance, NULL, &W.cg, why, sizeof(why)), why);
	need(cgroup_make(W.cg.jobs, "job-a", &W.a_fd, &W.a), "cgroup");
	need(cgroup_make(W.cg.jobs, "nobody", &W.none_fd, &W.none), "cgroup");
	need(cgroup_make(W.cg.jobs, "job-b", &W.b_fd, &W.b), "cgroup");
	kill(loader, SIGKILL);
	waitpid(loader, NULL, 0);

	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d", W.instance, EGRET_ABI);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	/* In the host's namespace the job has no listener; raw sockets and strangers get nothing
	 * either. */
	assert_int_equal(task_run(W.a_fd, -1, dial_fn, &d), EPERM);
	assert_int_equal(task_run(W.a_fd, -1, dial_fn, &raw), EPERM);
	assert_int_equal(task_run(W.none_fd, -1, dial_fn, &d), EPERM);
	d.type = SOCK_DGRAM;
	assert_int_equal(task_run(W.a_fd, -1, dial_fn, &d), EPERM);
}

static void test_taken_over(void **state)
{
	struct dial d = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	struct kernel_where at = where(&W);
	struct egret_record rec = { 0 };
	char why[256] = "";
	(void)state;

	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
	assert_true(kernel_reused(W.k));
	need(kernel_accepted_fd(W.k, &W.accepted), "accepted");
	/* The job is still known: only its listener was lost with the loader's namespace. */
	need(netns_open(W.cg.listen, NETNS_NEW, -1, &W.ns, why, sizeof(why)), why);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), EPERM);
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &W.ns.listener), "set");
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(taken(W.ns.tcp4, &rec), "no record");
	assert_int_equal(rec.job, JOB_A);
}

/* Programs are replaced while a job connects without pause: no connection comes without its record,
 * none gets out. */
static volatile unsigned *served_now(void)
{
	return (void *)(said->text + 8);
}

static int busy_fn(void *arg)
{
	struct dial d = { .ip = "198.51.100.3", .port = 443, .type = SOCK_STREAM };
	unsigned n = 0;

	(void)arg;
	while (!((volatile struct said *)said)->text[0]) {
		int r;

		if (n > *served_now() + 1000) { /* the listener's queue is no matter here */
			usleep(1000);
			continue;
		}
		r = dial_fn(&d);
		if (r)
			return r;
		said->n = (int)++n;
	}
	return 0;
}

static void test_replaced_without_a_gap(void **state)
{
	struct kernel_where at = where(&W);
	pid_t pid = task_start(W.a_fd, W.ns.netns, busy_fn, NULL);
	unsigned served = 0;
	char why[256] = "";
	(void)state;

	for (unsigned i = 0; i < (slow() ? 2 : 5); i++) {
		struct kernel *next = NULL;
		struct egret_record rec;

		need(kernel_open(&at, &next, why, sizeof(why)), why);
		W.k = kernel_free(W.k);
		W.k = next;
		for (int got = 0; got < 200; got++) {
			int r = taken(W.ns.tcp4, &rec);

			assert_int_equal(r, 0);
			*served_now() = ++served;
		}
	}
	said->text[0] = 1;
	assert_int_equal(task_wait(pid), 0);
	assert_int_equal(served, slow() ? 400 : 1000);
}

/* A jobs' slice that was removed and made again: the pinned links point nowhere and are made anew.
 */
static void test_slice_made_again(void **state)
{
	struct dial d = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	struct kernel_where at;
	char why[256] = "";
	(void)state;

	need(cgroup_kill(W.cg.jobs), "kill");
	need(cgroup_wait_empty(W.cg.jobs, 5000), "empty");
	close(W.a_fd);
	close(W.b_fd);
	close(W.none_fd);
	need(cgroups_remove(&W.cg), "remove");
	cgroups_close(&W.cg);
	need(cgroups_open(W.instance, NULL, &W.cg, why, sizeof(why)), why);
	at = where(&W);
	W.k = kernel_free(W.k);
	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
	need(cgroup_make(W.cg.jobs, "job-a", &W.a_fd, &W.a), "cgroup");
	need(cgroup_make(W.cg.jobs, "job-b", &W.b_fd, &W.b), "cgroup");
	need(cgroup_make(W.cg.jobs, "nobody", &W.none_fd, &W.none), "cgroup");
	assert_int_equal(task_run(W.a_fd, -1, dial_fn, &d), EPERM);
	/* Listeners are egret's by the cgroup that they were made in. */
	netns_close(&W.ns);
	need(netns_open(W.cg.listen, NETNS_NEW, -1, &W.ns, why, sizeof(why)), why);
}

static void pin_path(const char *name, char *to, size_t n)
{
	snprintf(to, n, "/sys/fs/bpf/egret/%s/v%d/%s", W.instance, EGRET_ABI, name);
}

/* The folder of an egretd that did not hold and knew no members yet: what is missing is made, what
 * stands goes on standing. */
static void test_older_folder(void **state)
{
	const char *later[] = { "egret_members", "egret_published", "egret_holds",
				"egret_beat",	 "egret_held",	    "link_egret_hold" };
	struct dial d = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	struct kernel_where at = where(&W);
	char path[128], why[256] = "";
	uint8_t addr[16];
	(void)state;

	need(kernel_cgroup_set(W.k, W.a, JOB_A, EGRET_CG_READY), "set");
	need(kernel_listener_set(W.k, JOB_A, W.ns.cookie, &W.ns.listener), "set");
	W.k = kernel_free(W.k);
	for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
		pin_path(later[i], path, sizeof(path));
		need(unlink(path), path);
	}
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
	assert_true(kernel_reused(W.k));
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
		pin_path(later[i], path, sizeof(path));
		assert_int_equal(access(path, F_OK), 0);
	}
	addr16("10.77.0.2", addr);
	need(kernel_member_set(W.k, JOB_A, addr), "set");
	need(kernel_hold_set(W.k, W.none, 0), "set");
}

/* One whose maps are of another make is refused, in a sentence that says which; nothing is touched.
 */
static void test_other_folder(void **state)
{
	struct dial d = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	struct kernel_where at = where(&W);
	char path[128], why[256] = "";
	struct kernel *k = NULL;
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "other", 4, 4, 8, NULL);
	(void)state;

	pin_path("egret_members", path, sizeof(path));
	need(unlink(path), path);
	assert_true(fd >= 0);
	need(bpf_obj_pin(fd, path), "pin");
	assert_int_equal(kernel_open(&at, &k, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "are another version's"));
	assert_non_null(strstr(why, "egret_members"));
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(unlink(path), path);
	close(fd);
	W.k = kernel_free(W.k);
	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
}

/* ---- folders of other versions ---- */

static void folder_path(unsigned version, const char *name, char *to, size_t n)
{
	snprintf(to, n, "/sys/fs/bpf/egret/%s/v%u%s%s", W.instance, version, name[0] ? "/" : "",
		 name);
}

static void folder_is_now(unsigned from, unsigned to)
{
	char a[128], b[128];

	folder_path(from, "", a, sizeof(a));
	folder_path(to, "", b, sizeof(b));
	need(rename(a, b), b);
}

static bool there(unsigned version, const char *name)
{
	char path[128];

	folder_path(version, name, path, sizeof(path));
	return access(path, F_OK) == 0;
}

/* A map of another shape in place of a pinned one, which is returned. */
static int other_map(unsigned version, const char *name)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "other", 8, 4, 8, NULL), was;
	char path[128];

	folder_path(version, name, path, sizeof(path));
	was = bpf_obj_get(path);
	assert_true(fd >= 0 && was >= 0);
	need(unlink(path), path);
	need(bpf_obj_pin(fd, path), path);
	close(fd);
	return was;
}

/* The same as egret_accepted but for the fields of its value. The pinned one is returned. */
static int other_fields(unsigned version)
{
	struct btf *b = btf__new_empty();
	int word = btf__add_int(b, "unsigned int", 4, 0),
	    key = btf__add_int(b, "int", 4, BTF_INT_SIGNED), fd, was;
	int many = btf__add_array(b, word, word, sizeof(struct egret_record) / 4);
	int value = btf__add_struct(b, "egret_record", sizeof(struct egret_record));
	char path[128];

	need(btf__add_field(b, "word", many, 0, 0), "field");
	need(btf__load_into_kernel(b), "types");
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC,
		    .btf_fd = (__u32)btf__fd(b), .btf_key_type_id = (__u32)key,
		    .btf_value_type_id = (__u32)value);
	fd = bpf_map_create(BPF_MAP_TYPE_SK_STORAGE, "egret_accepted", 4,
			    sizeof(struct egret_record), 0, &opts);
	folder_path(version, "egret_accepted", path, sizeof(path));
	was = bpf_obj_get(path);
	assert_true(fd >= 0 && was >= 0);
	need(unlink(path), path);
	need(bpf_obj_pin(fd, path), path);
	close(fd);
	btf__free(b);
	return was;
}

/* Connects, and asks for its peer again when it is told to. */
static int long_fn(void *arg)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(443) }, peer;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(peer);

	(void)arg;
	inet_pton(AF_INET, "198.51.100.7", &to.sin_addr);
	if (connect(fd, (void *)&to, sizeof(to)) < 0)
		return errno;
	said->n = 1;
	while (!((volatile struct said *)said)->text[0])
		usleep(1000);
	if (getpeername(fd, (void *)&peer, &len) < 0)
		return errno;
	if (peer.sin_addr.s_addr != to.sin_addr.s_addr || peer.sin_port != to.sin_port)
		return EBADMSG;
	return send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

/* The folder of an older version, with a table of another shape and a connection that lives: what
 * can be is taken over, the rest is made anew, and the older folder stands until it is settled. */
static void test_older_version(void **state)
{
	struct dial d = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	struct kernel_where at = where(&W);
	struct egret_record rec = { 0 };
	uint8_t addr[16];
	char why[256] = "", byte;
	pid_t pid;
	int sock;
	(void)state;

	memset(said, 0, sizeof(*said));
	pid = task_start(W.a_fd, W.ns.netns, long_fn, NULL);
	for (int i = 0; i < 5000 && !((volatile struct said *)said)->n; i++)
		usleep(1000);
	sock = accept(W.ns.tcp4, NULL, NULL);
	for (int i = 0; i < 5000 && sock < 0; i++) {
		usleep(1000);
		sock = accept(W.ns.tcp4, NULL, NULL);
	}
	assert_true(sock >= 0);
	W.k = kernel_free(W.k);
	folder_is_now(EGRET_ABI, EGRET_ABI - 1);
	close(other_map(EGRET_ABI - 1, "egret_members"));
	close(other_map(EGRET_ABI - 1, "egret_cage"));

	need(kernel_load(&at, &W.k, why, sizeof(why)), why);
	assert_true(kernel_is_older(W.k) && kernel_reused(W.k) && kernel_cage_anew(W.k));
	assert_true(there(EGRET_ABI - 1, "link_egret_connect4"));
	assert_false(there(EGRET_ABI, "link_egret_connect4")); /* loaded, not attached */
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(taken(W.ns.tcp4, &rec), "no record");

	need(kernel_attach(W.k, &at, why, sizeof(why)), why);
	assert_true(there(EGRET_ABI, "link_egret_connect4"));
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	close(W.accepted);
	need(kernel_accepted_fd(W.k, &W.accepted), "accepted");
	need(taken(W.ns.tcp4, &rec), "no record");
	addr16("10.77.0.3", addr);
	need(kernel_member_set(W.k, JOB_A, addr), "the table made anew");

	need(kernel_settle(W.k, why, sizeof(why)), why);
	assert_false(there(EGRET_ABI - 1, ""));
	assert_int_equal(task_run(W.none_fd, W.ns.netns, dial_fn, &d), EPERM);
	said->text[0] = 1;
	assert_int_equal(task_wait(pid), 0); /* getpeername and the packets of the old connection */
	need(kernel_record(W.accepted, sock, &rec), "the old connection's record");
	assert_int_equal(rec.port, 443);
	assert_int_equal(recv(sock, &byte, 1, MSG_WAITALL), 1);
	close(sock);
}

/* What connections hang on cannot be made anew: refused, and nothing is left of the try. */
static void test_older_connections(void **state)
{
	struct dial d = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	struct kernel_where at = where(&W);
	struct kernel *k = NULL;
	struct egret_record rec;
	char why[256] = "", path[128];
	int was;
	(void)state;

	folder_is_now(EGRET_ABI, EGRET_ABI - 1);
	was = other_map(EGRET_ABI - 1, "egret_origin");
	assert_int_equal(kernel_load(&at, &k, why, sizeof(why)), -EMEDIUMTYPE);
	assert_non_null(strstr(why, "egret_origin"));
	assert_non_null(strstr(why, "end the jobs"));
	assert_false(there(EGRET_ABI, ""));
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(taken(W.ns.tcp4, &rec), "no record");
	folder_path(EGRET_ABI - 1, "egret_origin", path, sizeof(path));
	need(unlink(path), path);
	need(bpf_obj_pin(was, path), path);
	close(was);
	folder_is_now(EGRET_ABI - 1, EGRET_ABI);
}

/* A map of the same size with other fields is never read as if it were this build's: not under the
 * number that both have, nor in an upgrade. */
static void test_other_fields(void **state)
{
	struct dial d = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	struct kernel_where at = where(&W);
	struct kernel *k = NULL;
	struct egret_record rec;
	char why[256] = "", path[128];
	int was = other_fields(EGRET_ABI);
	(void)state;

	assert_int_equal(kernel_load(&at, &k, why, sizeof(why)), -EMEDIUMTYPE);
	assert_non_null(strstr(why, "egret_accepted"));
	assert_non_null(strstr(why, "other fields"));
	folder_is_now(EGRET_ABI, EGRET_ABI - 1);
	assert_int_equal(kernel_load(&at, &k, why, sizeof(why)), -EMEDIUMTYPE);
	assert_non_null(strstr(why, "egret_accepted"));
	assert_non_null(strstr(why, "end the jobs"));
	folder_is_now(EGRET_ABI - 1, EGRET_ABI);
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(taken(W.ns.tcp4, &rec), "no record");
	folder_path(EGRET_ABI, "egret_accepted", path, sizeof(path));
	need(unlink(path), path);
	need(bpf_obj_pin(was, path), path);
	close(was);
	need(kernel_load(&at, &k, why, sizeof(why)), why);
	kernel_free(k);
}

/* A newer version's folder is refused in a sentence; one that only an upgrade began to make beside
 * the one in force is removed. */
static void test_newer_version(void **state)
{
	struct dial d = { .ip = "198.51.100.2", .port = 443, .type = SOCK_STREAM };
	struct kernel_where at = where(&W);
	struct kernel *k = NULL;
	struct egret_record rec;
	char why[256] = "", path[128];
	int fd;
	(void)state;

	folder_is_now(EGRET_ABI, EGRET_ABI + 1);
	assert_int_equal(kernel_load(&at, &k, why, sizeof(why)), -EPROTO);
	assert_non_null(strstr(why, "newer egret"));
	assert_false(there(EGRET_ABI, ""));
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(taken(W.ns.tcp4, &rec), "no record");
	folder_is_now(EGRET_ABI + 1, EGRET_ABI);

	folder_path(EGRET_ABI + 1, "", path, sizeof(path));
	need(mkdir(path, 0700), path);
	folder_path(EGRET_ABI + 1, "egret_cgroups", path, sizeof(path));
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "other", 4, 4, 8, NULL);
	need(bpf_obj_pin(fd, path), path);
	close(fd);
	W.k = kernel_free(W.k);
	need(kernel_open(&at, &W.k, why, sizeof(why)), why);
	assert_false(there(EGRET_ABI + 1, ""));
	assert_int_equal(task_run(W.a_fd, W.ns.netns, dial_fn, &d), 0);
	need(taken(W.ns.tcp4, &rec), "no record");
}

static void test_unpinned(void **state)
{
	char path[128], why[256] = "";
	(void)state;

	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s", W.instance);
	need(kernel_unpin(W.instance, why, sizeof(why)), why);
	assert_int_equal(access(path, F_OK), -1);
	need(kernel_unpin(W.instance, why, sizeof(why)), why);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_stands_without_loader),
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_replaced_without_a_gap),
		cmocka_unit_test(test_slice_made_again),
		cmocka_unit_test(test_older_folder),
		cmocka_unit_test(test_other_folder),
		cmocka_unit_test(test_older_version),
		cmocka_unit_test(test_older_connections),
		cmocka_unit_test(test_other_fields),
		cmocka_unit_test(test_newer_version),
		cmocka_unit_test(test_unpinned),
	};

	return cmocka_run_group_tests(all, dead_loader, world_close);
}

int main(void)
{
	return kept(tests);
}
