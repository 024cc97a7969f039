// SPDX-License-Identifier: GPL-2.0-only
/*
 * executor --bench: what it costs to look. The typical program is run by the
 * executor, with either reader of VmFlags, and its calls and accesses are made
 * by a plain loop in the same family of processes; interleaved, so that a busy
 * machine disturbs all alike. CPU time counts, not wall time.
 */

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor.h"

#define ROUNDS 9
#define BATCHES 16 /* of each kind in a round */
#define OUT_BYTES (1u << 20)
#define WORDS_MAX 512

#define SLOT_SHARED 0
#define SLOT_PRIVATE 1
#define FILE_PAGES 8
#define ARENA_PAGES 48

/* Six mappings with gaps: anonymous, memfd, file, locked, no access. */
static const struct mapping {
	u32 page, pages, written;
	int prot, flags, fd;
	bool locked;
} layout[] = {
	{ 0, 8, 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, false },
	{ 10, 4, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, false },
	{ 16, 8, 4, PROT_READ | PROT_WRITE, MAP_SHARED, FD_FILES + SLOT_SHARED, false },
	{ 26, 8, 3, PROT_READ | PROT_WRITE, MAP_PRIVATE, FD_FILES + SLOT_PRIVATE, false },
	{ 36, 4, 3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, true },
	{ 42, 6, 0, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, false },
};

/* The second one splits two mappings; the last two meet a gap. */
static const struct advice {
	u32 page, pages;
	int advice;
} advices[] = {
	{ 0, 2, MADV_DONTNEED },
	{ 4, 8, MADV_SEQUENTIAL },
	{ 12, 6, MADV_COLD },
};

static u64 address(u32 page)
{
	return ARENA_BASE + (u64)page * PAGE;
}

static u64 *put(u64 *at, u32 op, u32 words, const u64 *values)
{
	*at++ = op | words << 8;
	memcpy(at, values, (words - 1) * 8);
	return at + words - 1;
}

static u64 *put_call(u64 *at, u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return put(at, OP_SYSCALL, 8, (u64[]){ nr, a, b, c, d, e, 0 });
}

/* The typical program as it comes over the wire; how many words it has. */
static u32 typical(u64 *words, u32 observe)
{
	u64 *at = words + 4;
	u32 ops = 3;

	at = put(at, OP_FILE, 4, (u64[]){ SLOT_SHARED, BACKING_MEMFD, FILE_PAGES });
	at = put(at, OP_FILE, 4, (u64[]){ SLOT_PRIVATE, BACKING_DISK, FILE_PAGES });
	for (u32 i = 0; i < ARRAY_SIZE(layout); i++, ops++)
		at = put_call(at, NR_MMAP, address(layout[i].page), layout[i].pages * PAGE,
			      layout[i].prot, layout[i].flags | MAP_FIXED, layout[i].fd);
	for (u32 i = 0; i < ARRAY_SIZE(layout); i++) {
		const struct mapping *m = &layout[i];

		if (m->locked)
			at = put_call(at, NR_MLOCK2, address(m->page), m->pages * PAGE, 0, 0, 0);
		if (m->written)
			at = put(at, OP_TOUCH, 4,
				 (u64[]){ m->page | (u64)m->written << 32, 1, ops });
		ops += m->locked + !!m->written;
	}
	for (u32 i = 0; i < ARRAY_SIZE(advices); i++, ops++)
		at = put_call(at, NR_MADVISE, address(advices[i].page), advices[i].pages * PAGE,
			      advices[i].advice, 0, 0);
	*at++ = OP_SNAPSHOT | 1 << 8;
	words[0] = (u64)MAGIC_PROGRAM << 32 | (at - words);
	words[1] = 0;
	words[2] = observe | (u64)ARENA_PAGES << 32;
	words[3] = ops;
	return at - words;
}

/* The same, without looking: nothing of it is the executor's. */
static void bare_once(void)
{
	static const u16 offsets[] = CONTENT_WORD_OFFSETS;

	for (u32 i = 0; i < ARRAY_SIZE(layout); i++)
		sys(SYS_mmap, address(layout[i].page), layout[i].pages * PAGE, layout[i].prot,
		    layout[i].flags | MAP_FIXED, layout[i].fd, 0);
	for (u32 i = 0; i < ARRAY_SIZE(layout); i++) {
		const struct mapping *m = &layout[i];

		if (m->locked)
			sys(NR_MLOCK2, address(m->page), m->pages * PAGE, 0);
		for (u32 page = m->page; page < m->page + m->written; page++)
			for (u32 w = 0; w < ARRAY_SIZE(offsets); w++)
				*(volatile u64 *)(address(page) + offsets[w]) = page + 1;
	}
	for (u32 i = 0; i < ARRAY_SIZE(advices); i++)
		sys(SYS_madvise, address(advices[i].page), advices[i].pages * PAGE,
		    advices[i].advice);
	sys(SYS_munmap, ARENA_BASE, ARENA_PAGES * PAGE);
	sys(SYS_ftruncate, FD_FILES + SLOT_SHARED, 0);
	sys(SYS_ftruncate, FD_FILES + SLOT_SHARED, FILE_PAGES * PAGE);
}

static void bare_batches(void)
{
	int pidfd = -1;
	siginfo_t info;
	pid_t pid = fork_raw(&pidfd);

	if (!pid) {
		if (!files_use(SLOT_SHARED, BACKING_MEMFD, FILE_PAGES) ||
		    !files_use(SLOT_PRIVATE, BACKING_DISK, FILE_PAGES))
			child_fail("no file in the folder for temporary files", -ENOENT);
		for (u32 i = 0; i < BATCHES * PROGRAMS_PER_CHILD; i++)
			bare_once();
		_exit(0);
	}
	if (pid < 0 || waitid(P_PIDFD, pidfd, &info, WEXITED) || info.si_status)
		fail("cannot run the plain loop");
	close(pidfd);
}

static double cpu_us(void)
{
	double sum = 0;

	for (int i = 0; i < 2; i++) {
		struct rusage usage;

		getrusage(i ? RUSAGE_CHILDREN : RUSAGE_SELF, &usage);
		sum += 1e6 * (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
		sum += usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
	}
	return sum;
}

/* The executor's batches, or the plain loop without `in`; microseconds for each program. */
static double measure(const u64 *in, u32 in_bytes, u8 *out)
{
	double before = cpu_us();
	u64 used;

	if (!in)
		bare_batches();
	for (u32 i = 0; in && i < BATCHES; i++)
		if (batch_run((const u8 *)in, in_bytes, PROGRAMS_PER_CHILD, out, OUT_BYTES, &used))
			fail("the outcomes have no room");
	return (cpu_us() - before) / (BATCHES * PROGRAMS_PER_CHILD);
}

static int by_value(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), by_value);
	return values[ROUNDS / 2];
}

static u64 *batch_of(u32 observe, u32 *bytes)
{
	u64 *words = malloc(PROGRAMS_PER_CHILD * WORDS_MAX * 8);
	u32 used = 0;

	if (!words)
		fail("no memory for a batch");
	for (u32 i = 0; i < PROGRAMS_PER_CHILD; i++)
		used += typical(words + used, observe);
	*bytes = used * 8;
	return words;
}

static void pin(void)
{
	int cpu = sched_getcpu();
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (cpu < 0 || sched_setaffinity(0, sizeof(set), &set))
		complain("cannot pin to a processor: %m; numbers will scatter more");
}

int bench(void)
{
	enum { BARE, BPF, SMAPS, KINDS };
	double us[KINDS][ROUNDS], of_bare[KINDS][ROUNDS];
	u32 bytes[KINDS] = { 0 };
	u8 *out = shared_create(OUT_BYTES, "outcomes");
	u64 *in[KINDS] = { NULL };

	in[BPF] = batch_of(0, &bytes[BPF]);
	in[SMAPS] = batch_of(OBSERVE_SMAPS, &bytes[SMAPS]);
	pin();
	for (u32 kind = 0; kind < KINDS; kind++) /* once to warm up */
		measure(in[KINDS - 1 - kind], bytes[KINDS - 1 - kind], out);
	for (u32 round = 0; round < ROUNDS; round++) {
		for (u32 kind = 0; kind < KINDS; kind++)
			us[kind][round] = measure(in[kind], bytes[kind], out);
		for (u32 kind = 0; kind < KINDS; kind++)
			of_bare[kind][round] = us[BARE][round] / us[kind][round];
	}
	printf("{\"batch\": %d, \"rounds\": %d, \"bare_us\": %.2f, \"smaps_us\": %.2f, "
	       "\"smaps_of_bare\": %.3f",
	       PROGRAMS_PER_CHILD, ROUNDS, median(us[BARE]), median(us[SMAPS]),
	       median(of_bare[SMAPS]));
	if (bpf_works())
		printf(", \"bpf_us\": %.2f, \"bpf_of_bare\": %.3f", median(us[BPF]),
		       median(of_bare[BPF]));
	puts("}");
	return 0;
}
