// SPDX-License-Identifier: GPL-2.0-only
/* Threads, and processes in the same memory, that know nothing of the C library. */

#include <linux/futex.h>
#include <sys/syscall.h>

#include "thread.h"

/*
 * As clone3(), for a child that has a stack of its own and never returns from enter(argument).
 * running: 1 as long as it runs.
 */
long thread_start(struct clone_args *args, u32 *running, void (*enter)(u64), u64 argument)
{
	register u64 number asm("r12") = argument;
	register void (*entry)(u64) asm("r13") = enter;
	long ret;

	*running = 1;
	args->flags |= CLONE_VM | CLONE_CHILD_CLEARTID;
	args->child_tid = (u64)running;
	asm volatile("	syscall\n"
		     "	testq	%%rax, %%rax\n"
		     "	jnz	1f\n"
		     "	xorl	%%ebp, %%ebp\n"
		     "	movq	%%r12, %%rdi\n"
		     "	call	*%%r13\n"
		     "1:\n"
		     : "=a"(ret)
		     : "a"(NR_CLONE3), "D"(args), "S"(sizeof(*args)), "r"(number), "r"(entry)
		     : "rcx", "r11", "memory");
	return ret;
}

void thread_wait(u32 *running)
{
	u32 left;

	while ((left = *(volatile u32 *)running))
		sys(SYS_futex, running, FUTEX_WAIT, left, NULL);
}
