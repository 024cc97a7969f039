// SPDX-License-Identifier: GPL-2.0-only
/*
 * Op FORK_EXEC: with which VmFlags do new VMAs start, in this process, in a child, and in a
 * program that the child executes? That program is this one (heir_main()). All of them write
 * what they see into one pipe; whoever keeps the record reads it afterwards.
 */

#include <fcntl.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor.h"

#define BYTES (HEIRS * sizeof(u64))

static u64 flags_at(u64 address)
{
	long fd = sys(SYS_open, "/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	struct vma vma = { .flags = 0 };

	if (fd < 0)
		return 0; /* no VMA has none */
	address &= ~(u64)(PAGE - 1);
	smaps_read(fd, address, address + PAGE, &vma, 1, NULL);
	sys(SYS_close, fd);
	return vma.flags;
}

static u64 flags_of_mapping(void)
{
	long at = sys(SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at < 0 && at > -PAGE ? 0 : flags_at(at);
}

static u64 heap_end; /* of the server, without the room that heirs_reserve() holds */

static bool set_heap_end(u64 end)
{
	return (u64)sys(SYS_brk, end) == end;
}

/*
 * An architecture that maps from below puts everything right behind the heap,
 * which then cannot grow. So room is held while the server maps what it needs:
 * a page to grow by, and the one that brk() keeps free before the next mapping.
 */
void heirs_reserve(void)
{
	void *volatile first = malloc(1); /* so that the C library has its part already */

	free(first);
	heap_end = sys(SYS_brk, 0);
	set_heap_end(heap_end + 3 * PAGE);
}

/* Of a page behind the heap; it is given back. */
static u64 flags_of_heap(void)
{
	u64 end = sys(SYS_brk, 0);
	u64 page = (end + PAGE - 1) & ~(u64)(PAGE - 1);
	u64 flags = 0;

	if (set_heap_end(page + PAGE))
		flags = flags_at(page);
	set_heap_end(end);
	return flags;
}

/* In the server, all of whose mappings are made; neither end ever waits. */
void heirs_create(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) ||
	    dup3(ends[1], FD_HEIRS_OUT, O_CLOEXEC) != FD_HEIRS_OUT ||
	    dup3(ends[0], FD_HEIRS_IN, O_CLOEXEC) != FD_HEIRS_IN)
		fail("cannot make a pipe: %m");
	close(ends[0]);
	close(ends[1]);
	if ((u64)sys(SYS_brk, 0) == heap_end + 3 * PAGE)
		set_heap_end(heap_end);
}

/* Is what a heap grows by executable? */
bool heap_exec(void)
{
	return flags_of_heap() & VF_EX;
}

static void tell(const u64 *words, u32 first, u32 count)
{
	sys(SYS_write, FD_HEIRS_OUT, words + first, count * sizeof(*words));
}

/* What this program is as the child's successor; its exit status. */
int heir_main(void)
{
	u64 words[HEIRS];

	vmas_init();
	words[HEIR_NEW_PROGRAMS_HEAP] = flags_of_heap(); /* first: the mapping may take its room */
	words[HEIR_NEW_PROGRAMS_MAPPING] = flags_of_mapping();
	words[HEIR_NEW_PROGRAMS_STACK] = flags_at((u64)words);
	tell(words, HEIR_NEW_PROGRAMS_MAPPING, HEIRS - HEIR_NEW_PROGRAMS_MAPPING);
	return 0;
}

static _Noreturn void be_child(pid_t parent)
{
	static const char *const arguments[] = { "executor", HEIR_ARGUMENT, NULL };
	static const char *const environment[] = { NULL };
	u64 words[HEIRS];

	die_with_parent(parent);
	words[HEIR_CHILDS_HEAP] = flags_of_heap();
	words[HEIR_CHILDS_MAPPING] = flags_of_mapping();
	tell(words, HEIR_CHILDS_MAPPING, HEIR_NEW_PROGRAMS_MAPPING - HEIR_CHILDS_MAPPING);
	sys(SYS_fcntl, FD_HEIRS_OUT, F_SETFD, 0);
	sys(SYS_execve, "/proc/self/exe", arguments, environment);
	for (;;)
		sys(SYS_exit_group, EXIT_HARNESS);
}

/*
 * 0, or -errno. A process that is traced calls this, too: so its child is not traced.
 */
s64 call_fork_exec(void)
{
	pid_t parent = sys(SYS_getpid), pid;
	u64 own = flags_of_heap();
	int status = 0;

	tell(&own, 0, 1);
	pid = sys(SYS_clone, CLONE_UNTRACED, 0, 0, 0, 0);
	if (!pid)
		be_child(parent);
	if (pid < 0)
		return pid;
	while (sys(SYS_wait4, pid, &status, __WALL, NULL) == -EINTR)
		;
	return status ? -ECHILD : 0;
}

/* Before the call: what a process left behind that died in the middle. */
void heirs_forget(void)
{
	u64 words[HEIRS];

	while (sys(SYS_read, FD_HEIRS_IN, words, BYTES) > 0)
		;
}

/* After it, into the record. */
void heirs_report(void)
{
	u8 *words = (u8 *)record_peek(BYTES);
	u32 got = 0;
	long part;

	do {
		part = sys(SYS_read, FD_HEIRS_IN, words + got, BYTES - got);
		got += part > 0 ? part : 0;
	} while (part > 0 && got < BYTES);
	record_peek_done(BYTES, got);
}
