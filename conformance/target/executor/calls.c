// SPDX-License-Identifier: GPL-2.0-only
/* The ops that are system calls. */

#include <fcntl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "executor.h"
#include "shim.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define MADV_POISON_FIRST 100 /* MADV_HWPOISON, MADV_SOFT_OFFLINE */
#define MADV_POISON_LAST 101
#define POISONINGS_MAX 8192 /* of a few pages each */

static int uffd HOT_DATA = -1; /* one for each program, so that neighbours can merge */
static u64 vvar_start, vvar_bytes;
bool vvar_moved; /* it is the program's that has done so, until the process ends */
static bool ilp32 HOT_DATA;

/* After a program. Its mappings are gone already. */
HOT void calls_end(void)
{
	if (uffd >= 0)
		sys(SYS_close, uffd);
	uffd = -1;
}

/*
 * Poisoned memory is lost to the whole machine, not only to this process:
 * refused unless asked for, and after so many times, for a guest has no more of
 * it. A length of 0 does nothing and is how kernels are asked whether they know
 * the advice; one that does not know it cannot be hurt. Programs under ptrace
 * may not do it either: the signal that comes of it would end them.
 */
static HOT bool refused_poison(const struct op *op)
{
	static int known = -1;
	const u64 *word = op->word;
	bool local, remote;
	int advice;

	if (op->code == OP_SYSCALL) {
		local = word[0] == NR_MADVISE && word[2];
		remote = word[0] == NR_PROCESS_MADVISE;
	} else {
		local = word[0] == NR32_MADVISE && (u32)word[2];
		remote = word[0] == NR32_PROCESS_MADVISE;
	}
	advice = remote ? word[4] : word[3];
	if ((!local && !remote) || advice < MADV_POISON_FIRST || advice > MADV_POISON_LAST)
		return false;
	if (known < 0)
		known = !sys(NR_MADVISE, 0, 0, MADV_POISON_FIRST) ||
			!sys(NR_MADVISE, 0, 0, MADV_POISON_LAST);
	if (!known)
		return false;
	if (!options.poison || memory != &own_memory || record->poisonings++ >= POISONINGS_MAX)
		return true;
	files_poisoned();
	return false;
}

/* May this op be tried at all, here? */
HOT bool call_possible(const struct op *op)
{
	switch (op->code) {
	case OP_SYSCALL:
		return !refused_poison(op);
	case OP_SYSCALL32:
		return ilp32 && !refused_poison(op);
	default:
		return true;
	}
}

/* What a call leaves behind in files that other programs use, too. */
static inline __attribute__((always_inline)) void note(const u64 *word)
{
	if (word[0] == NR_MMAP)
		files_mapped(word[5], word[4] & MAP_SHARED);
	else if (word[0] == NR_FCNTL)
		files_sealed(word[1]);
}

void call_noted(const u64 *word)
{
	note(word);
}

HOT s64 call_syscall(const u64 *word)
{
	note(word);
	return sys(word[0], word[1], word[2], word[3], word[4], word[5], word[6]);
}

s64 call_syscall32(const u64 *word)
{
	return sys32(word[0], word[1], word[2], word[3], word[4], word[5]);
}

/*
 * Does int $0x80 make calls of i386? Where it does not it may end the process, or make calls of
 * x86-64 (UML), so a child asks for its own number: as i386 has it, a harmless call of either.
 */
bool ilp32_works(void)
{
	pid_t pid = sys(SYS_fork);
	long self;
	int status;

	if (!pid) {
		self = sys(SYS_getpid);
		sys(SYS_exit_group, sys32(NR32_GETPID, 0, 0, 0, 0, 0) != self);
	}
	return pid > 0 && sys(SYS_wait4, pid, &status, 0, NULL) == pid && !status;
}

void ilp32_find(void)
{
	ilp32 = ilp32_works();
}

s64 call_ranges(u64 ctl)
{
	if (options.shim)
		return shim_madvise_ranges((void *)ctl);
	return sys(NR_MADVISE_RANGES, ctl);
}

static int uffd_open(void)
{
	static const int modes[] = { 0, UFFD_USER_MODE_ONLY };
	static const u64 features[] = {
		UFFD_FEATURE_SIGBUS | UFFD_FEATURE_PAGEFAULT_FLAG_WP,
		UFFD_FEATURE_SIGBUS,
	};
	long fd = -ENOSYS;

	for (u32 i = 0; i < ARRAY_SIZE(modes) * ARRAY_SIZE(features); i++) {
		struct uffdio_api api = { .api = UFFD_API, .features = features[i % 2] };
		long err;

		fd = sys(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | modes[i / 2]);
		if (fd < 0)
			continue;
		err = sys(SYS_ioctl, fd, UFFDIO_API, &api);
		if (!err)
			break;
		sys(SYS_close, fd);
		fd = err;
	}
	return fd;
}

s64 call_uffd(u64 start, u64 length, bool wp)
{
	struct uffdio_register range = {
		.range = { .start = start, .len = length },
		.mode = wp ? UFFDIO_REGISTER_MODE_WP : UFFDIO_REGISTER_MODE_MISSING,
	};

	if (uffd < 0)
		uffd = uffd_open();
	if (uffd < 0)
		return uffd;
	return sys(SYS_ioctl, uffd, UFFDIO_REGISTER, &range);
}

s64 call_clear_soft_dirty(void)
{
	long fd = sys(SYS_open, "/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	long ret;

	if (fd < 0)
		return fd;
	ret = sys(SYS_write, fd, "4", 1);
	sys(SYS_close, fd);
	return ret < 0 ? ret : 0;
}

/* Where this process and all its children have [vvar]. */
void vvar_find(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512];

	if (!maps)
		fail("cannot read /proc/self/maps: %m; the executor needs /proc");
	while (fgets(line, sizeof(line), maps)) {
		if (!strstr(line, "[vvar]") || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		vvar_start = start;
		vvar_bytes = end - start;
	}
	fclose(maps);
}

/* The process is of no use to other programs afterwards: Program.isolated(). */
s64 call_move_vvar(u64 address)
{
	if (!vvar_bytes)
		return -ENOENT;
	vvar_moved = true;
	return sys(SYS_mremap, vvar_start, vvar_bytes, vvar_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		   address);
}

/* Of an event that counts nothing; the mapping alone keeps its ring buffer. */
s64 call_map_perf(u64 start, u64 length, u64 prot)
{
	struct perf_event_attr event = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(event),
		.config = PERF_COUNT_SW_DUMMY,
		.disabled = 1,
	};
	long fd = sys(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	long ret;

	if (fd < 0)
		return fd;
	ret = sys(SYS_mmap, start, length, prot, MAP_SHARED | MAP_FIXED, fd, 0);
	sys(SYS_close, fd);
	return ret;
}

s64 call_map_secret(u64 start, u64 length, u64 prot, bool shared)
{
	int flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE);
	long fd = sys(NR_MEMFD_SECRET, 0);
	long ret;

	if (fd < 0)
		return fd;
	ret = sys(SYS_ftruncate, fd, length);
	if (!ret)
		ret = sys(SYS_mmap, start, length, prot, flags, fd, 0);
	sys(SYS_close, fd);
	return ret;
}
