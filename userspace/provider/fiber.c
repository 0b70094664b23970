/* SPDX-License-Identifier: Apache-2.0 */
/* See fiber.h. A stack is mapped with a page below it that cannot be touched. */
#include "provider/fiber.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef EGRET_ASAN
#include <sanitizer/common_interface_defs.h>
#define STACK (1024u * 1024)
#else
#define STACK (256u * 1024)
#endif

struct fiber {
	ucontext_t self, back;
	void (*fn)(void *owner);
	void *owner;
	char *stack;
	bool over;
#ifdef EGRET_ASAN
	const void *back_stack;
	size_t back_size;
#endif
};

static struct fiber *running;

struct fiber *fiber_self(void)
{
	return running;
}

/* The sanitizer is told of each change of stacks. */
static void leave(struct fiber *f)
{
#ifdef EGRET_ASAN
	void *fake = NULL;

	__sanitizer_start_switch_fiber(f->over ? NULL : &fake, f->back_stack, f->back_size);
#endif
	swapcontext(&f->self, &f->back);
#ifdef EGRET_ASAN
	__sanitizer_finish_switch_fiber(fake, &f->back_stack, &f->back_size);
#endif
}

static void enter(void)
{
	struct fiber *f = running;

#ifdef EGRET_ASAN
	__sanitizer_finish_switch_fiber(NULL, &f->back_stack, &f->back_size);
#endif
	f->fn(f->owner);
	f->over = true;
	leave(f);
}

static void go(struct fiber *f)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	running = f;
#ifdef EGRET_ASAN
	void *fake = NULL;

	__sanitizer_start_switch_fiber(&fake, f->stack + page, STACK);
#endif
	swapcontext(&f->back, &f->self);
#ifdef EGRET_ASAN
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
	running = NULL;
	if (!f->over)
		return;
	/* Whatever secrets lay on it go with its pages. */
	munmap(f->stack, STACK + page);
	free(f);
}

void fiber_start(void (*fn)(void *owner), void *owner)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct fiber *f = mem_new(sizeof(*f));

	f->fn = fn;
	f->owner = owner;
	f->stack = mmap(NULL, STACK + page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (f->stack == MAP_FAILED || mprotect(f->stack, page, PROT_NONE) < 0 ||
	    getcontext(&f->self) < 0)
		die("out of memory: a stack");
	f->self.uc_stack.ss_sp = f->stack + page;
	f->self.uc_stack.ss_size = STACK;
	f->self.uc_link = NULL;
	makecontext(&f->self, enter, 0);
	go(f);
}

void fiber_wait(void)
{
	leave(running);
}

void fiber_wake(struct fiber *f)
{
	go(f);
}
