/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound: the kernel side takes less than 64 MiB of map memory at 200 jobs. Fills the maps as
 * 200 jobs with five members in three namespaces each would, with 1,000 direct entries, the host's
 * addresses, what each proxy may dial, and both LRU maps full; then adds up what the kernel says of
 * each map (memlock in fdinfo: since 6.4 what is really used, before an estimate).
 *
 *   bench_maps      prints TAP and a table
 */
#include "kernel/harness.h"
#include "egretd/kernel_pin.h"
#include <bpf/bpf.h>
#include <dirent.h>

#define BOUND_KIB (64u * 1024)
#define JOBS 200u

static unsigned long memlock_kib(int fd)
{
	char path[64], line[128];
	unsigned long bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %lu", &bytes) == 1)
			break;
	fclose(f);
	return bytes / 1024;
}

static void addr_of(uint32_t n, uint8_t to[16])
{
	memset(to, 0, 16);
	to[10] = to[11] = 0xff;
	to[12] = 10;
	to[13] = (uint8_t)(n >> 16);
	to[14] = (uint8_t)(n >> 8);
	to[15] = (uint8_t)n;
}

static void fill_jobs(void)
{
	struct egret_listener l = {
		.addr4 = { 127, 0, 0, 1 }, .tcp4_be = 1, .tcp6_be = 1, .dns4_be = 2, .dns6_be = 2
	};
	struct kernel_dial d = { .prefix = 128, .port_lo = 1, .port_hi = 65535 };

	for (uint32_t j = 0; j < JOBS; j++) {
		uint64_t job = 1000 + j;

		for (uint32_t i = 0; i < 5; i++) {
			uint8_t addr[16];

			addr_of(j * 8 + i, addr);
			need(kernel_cgroup_set(W.k, 1u << 30 | (j * 8 + i), job, EGRET_CG_READY),
			     "cgroup");
			need(kernel_member_set(W.k, job, addr), "member");
		}
		for (uint64_t i = 0; i < 3; i++)
			need(kernel_listener_set(W.k, job, job * 4 + i, &l), "listener");
		for (uint32_t i = 0; i < 8; i++) {
			addr_of(1u << 22 | (j * 8 + i), d.addr);
			need(kernel_cage_set(W.k, 1u << 31 | (j * 8 + i), &d, 1), "cage");
		}
	}
}

/* Written here directly: egretd only ever reads and clears them. */
static void fill_lru(const char *name, size_t key, size_t value, uint32_t n)
{
	char path[200];
	uint8_t k[64] = { 0 }, v[256] = { 0 };
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d/%s", W.instance, EGRET_ABI, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0 && key <= sizeof(k) && value <= sizeof(v));
	for (uint32_t i = 0; i < n; i++) {
		memcpy(k, &i, sizeof(i));
		need(bpf_map_update_elem(fd, k, v, BPF_ANY), name);
	}
	close(fd);
}

static void fill_direct(void)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/bpf/egret/%s/v%d/egret_direct", W.instance,
		 EGRET_ABI);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	for (uint32_t i = 0; i < 1000; i++) {
		struct egret_direct_key k = { .prefixlen = 32 + 128, .policy = { 1 } };
		struct egret_direct_entry e = { .range = { { .port_lo = 1, .port_hi = 9 } } };

		addr_of(i, k.addr);
		need(bpf_map_update_elem(fd, &k, &e, BPF_ANY), "direct");
	}
	close(fd);
}

static void bound(void **state)
{
	char dir[160];
	unsigned long sum = 0;
	DIR *d;
	(void)state;

	fill_jobs();
	fill_direct();
	fill_lru("egret_flows", sizeof(struct egret_flow_key), sizeof(struct egret_record), 65536);
	fill_lru("egret_spoken", sizeof(struct egret_spoken_key), 1, 16384);
	snprintf(dir, sizeof(dir), "/sys/fs/bpf/egret/%s/v%d", W.instance, EGRET_ABI);
	d = opendir(dir);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		struct bpf_map_info info = { 0 };
		__u32 len = sizeof(info);
		char path[450];
		unsigned long kib;
		int fd;

		if (strncmp(e->d_name, "egret_", 6) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		fd = bpf_obj_get(path);
		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
			fail();
		kib = memlock_kib(fd);
		print_message("# %-18s %6lu KiB  (%u entries at most)\n", e->d_name, kib,
			      info.max_entries);
		sum += kib;
		close(fd);
	}
	closedir(d);
	print_message("# together %lu KiB at %u jobs, bound %u\n", sum, JOBS, BOUND_KIB);
	assert_true(sum > 1024 && sum < BOUND_KIB);
}

static int tests(void)
{
	const struct CMUnitTest all[] = { cmocka_unit_test(bound) };

	return cmocka_run_group_tests(all, world_open, world_close);
}

int main(void)
{
	return kept(tests);
}
