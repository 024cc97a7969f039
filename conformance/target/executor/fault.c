// SPDX-License-Identifier: GPL-2.0-only
/*
 * Op FAIL_NTH: an allocation of the kernel fails inside the next call. A kernel with
 * CONFIG_FAULT_INJECTION counts those of one task down, from what is written to its fail-nth file,
 * and fails the one at which it reaches 0. Which allocations count is set up by guest/init.c.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "executor.h"

#define FAIL_NTH "/proc/thread-self/fail-nth"
#define DIGITS 12 /* of an unsigned int, and its end of line */

static int fail_nth = -1;
static u64 left;   /* of the count, after the last call */
u32 fault_due HOT_DATA; /* the count for the next call, 0 for none */

static bool put(u32 count)
{
	char text[DIGITS];
	u32 at = sizeof(text);

	do
		text[--at] = '0' + count % 10;
	while (count /= 10);
	return sys(SYS_pwrite64, fail_nth, text + at, sizeof(text) - at, 0) > 0;
}

/* The file is the task's that opened it, so every process that runs programs opens its own. */
void fault_forget(void)
{
	if (fail_nth >= 0)
		sys(SYS_close, fail_nth);
	fail_nth = -1;
}

/* False where the kernel cannot do it, or does not let this process. */
bool fault_prepare(u32 count)
{
	bool is_new = fail_nth < 0;

	if (is_new)
		fail_nth = sys(SYS_open, FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (fail_nth >= 0 && is_new)
		residue_expect(1);
	if (fail_nth < 0 || !put(0))
		return false;
	fault_due = count;
	return true;
}

/* Right before and right after the call. */
void fault_arm(void)
{
	if (!put(fault_due))
		child_fail("cannot have an allocation fail", -EIO);
}

void fault_disarm(void)
{
	char text[DIGITS + 1];
	long got = sys(SYS_pread64, fail_nth, text, DIGITS, 0);

	put(0);
	if (got <= 0)
		child_fail("cannot read " FAIL_NTH, got);
	left = 0;
	for (long i = 0; i < got && text[i] >= '0' && text[i] <= '9'; i++)
		left = left * 10 + (text[i] - '0');
	fault_due = 0;
}

/* 0: an allocation failed. Else so many less than the count were reached. */
u64 fault_left(void)
{
	return left;
}

/* The fact of that name: does the first allocation of a call fail, and nothing else go wrong? */
bool fault_works(void)
{
	int fds[2];
	long err;
	bool works;

	if (!fault_prepare(1))
		return false;
	fault_arm();
	err = sys(SYS_pipe2, fds, O_CLOEXEC);
	fault_disarm();
	works = err < 0 && !left;
	fault_forget();
	if (!err) {
		sys(SYS_close, fds[0]);
		sys(SYS_close, fds[1]);
	}
	return works;
}
