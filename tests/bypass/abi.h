/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls by the door of 32 bits (int 0x80) and by the x32 numbers: filters that know one ABI
 * do not see the others. Called by the cases of that group; on other machines than x86-64 there are
 * no such doors, and the calls say ENOSYS.
 */
#ifndef EGRET_TESTS_BYPASS_ABI_H
#define EGRET_TESTS_BYPASS_ABI_H

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NR32_SOCKETCALL 102
#define NR32_SOCKET 359
#define NR32_SENDTO 369

static inline long call32(long nr, long b, long c, long d, long si, long di, long bp)
{
#if defined(__x86_64__)
	long ret;

	/* The sixth goes in rbp, which the compiler may be using: it is put there by hand. */
	__asm__ volatile("push %%rbp; push %[six]; pop %%rbp; int $0x80; pop %%rbp"
			 : "=a"(ret)
			 : "0"(nr), "b"(b), "c"(c), "d"(d), "S"(si), "D"(di), [six] "r"(bp)
			 : "memory", "r8", "r9", "r10", "r11");
	if (ret < 0 && ret > -4096) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
#else
	(void)nr, (void)b, (void)c, (void)d, (void)si, (void)di, (void)bp;
	errno = ENOSYS;
	return -1;
#endif
}

/* Memory that 32 bits reach; NULL: there is none. */
static inline void *low_page(void)
{
#if defined(MAP_32BIT)
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
		       -1, 0);

	return p == MAP_FAILED ? NULL : p;
#else
	return NULL;
#endif
}

#endif
