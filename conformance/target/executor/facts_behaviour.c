// SPDX-License-Identifier: GPL-2.0-only
/* Facts: how this kernel behaves where kernels differ. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "executor.h"
#include "facts.h"

#define HUGE_BYTES (2UL << 20)
#define FAULT_AROUND_PAGES_MAX 512 /* a page table; do_fault_around() stays within one */
#define PAGEMAP_PRESENT (1UL << 63)

#define RW (PROT_READ | PROT_WRITE)
#define NO_SMAPS "/proc/self/smaps cannot be read"

/* The guard marker's own VMA flag, which stable kernels have without the release that had it. */
static void guard_flag(struct finding *f, const struct ground *ground)
{
	char *page = map_anon(window(1), 1, RW);
	uint64_t flags;

	(void)ground;
	if (madvise(page, PAGE, ADVICE_GUARD_INSTALL))
		found(f, 0);
	else if (vm_flags(page, &flags))
		unfound(f, 0, NO_SMAPS);
	else
		found(f, !!(flags & VF_GU));
}

static void guard_file(struct finding *f, const struct ground *ground)
{
	int fd = open_backing(BACKING_MEMFD, ground->tmp_dir, 1);
	char *page = fd < 0 ? NULL : map_file(window(1), 1, RW, MAP_SHARED, fd);

	if (!page)
		unfound(f, 0, "no memfd can be mapped");
	else
		found(f, !madvise(page, PAGE, ADVICE_GUARD_INSTALL));
}

static void secretmem_flags(struct finding *f, const struct ground *ground)
{
	char *at = window(1);
	uint64_t flags;

	(void)ground;
	if (call_map_secret((uintptr_t)at, PAGE, RW, true) != (long)(uintptr_t)at)
		found(f, 0); /* has_secretmem is false too */
	else if (vm_flags(at, &flags))
		unfound(f, 0, NO_SMAPS);
	else
		found(f, flags);
}

/* Where this process's [vvar] went when moved as a program moves it; NULL if it cannot be. */
static char *moved_vvar(size_t *pages)
{
	uintptr_t start, end;
	char *to;

	if (vma_named("[vvar]", &start, &end))
		return NULL;
	*pages = (end - start) / PAGE;
	to = window(*pages);
	vvar_find();
	return call_move_vvar((uintptr_t)to) == (long)(uintptr_t)to ? to : NULL;
}

static void vvar_pages(struct finding *f, const struct ground *ground)
{
	size_t pages;

	(void)ground;
	found(f, moved_vvar(&pages) ? (long long)pages : 0);
}

static void vvar_flags(struct finding *f, const struct ground *ground)
{
	uint64_t flags;
	size_t pages;
	char *at = moved_vvar(&pages);

	(void)ground;
	if (!at)
		found(f, 0);
	else if (vm_flags(at, &flags))
		unfound(f, 0, NO_SMAPS);
	else
		found(f, flags);
}

/* Of a kernel that lets nobody split it; elsewhere it is another kind of mapping. */
static void perf_flags(struct finding *f, const struct ground *ground)
{
	char *at = window(3);
	uint64_t flags;

	(void)ground;
	if (call_map_perf((uintptr_t)at, 3 * PAGE, RW) != (long)(uintptr_t)at)
		found(f, 0);
	else if (vm_flags(at, &flags))
		unfound(f, 0, NO_SMAPS);
	else
		found(f, flags & VF_PF && munmap(at, PAGE) ? (long long)flags : 0);
}

/* The vdso may not expand, but is no I/O memory: only the wider test refuses it. */
static void dofork_refuses_special(struct finding *f, const struct ground *ground)
{
	char *vdso = (char *)getauxval(AT_SYSINFO_EHDR);
	uint64_t flags;

	(void)ground;
	if (!vdso)
		unfound(f, 0, "there is no vdso to ask about");
	else if (vm_flags(vdso, &flags))
		unfound(f, 0, NO_SMAPS);
	else if (!(flags & VF_DE) || flags & VF_IO)
		unfound(f, 0, "the vdso is not what it was: VmFlags %#lx", flags);
	else
		found(f, madvise(vdso, PAGE, ADVICE_DOFORK) && errno == EINVAL);
}

/* Two huge pages' worth of small anonymous ones, huge-aligned. */
static char *huge_window(void)
{
	char *at = window(3 * HUGE_BYTES / PAGE);

	at += -(uintptr_t)at % HUGE_BYTES;
	return map_anon(at, 2 * HUGE_BYTES / PAGE, RW);
}

/* A range inside one huge page, and so with none to collapse. */
static void collapse_below_pmd_ok(struct finding *f, const struct ground *ground)
{
	char *at = huge_window();

	(void)ground;
	touch(at + PAGE);
	found(f, !madvise(at + PAGE, PAGE, ADVICE_COLLAPSE));
}

/* Across a huge boundary with no whole huge page: only the check of the VMA can refuse. */
static void collapse_needs_anon_vma(struct finding *f, const struct ground *ground)
{
	char *at = huge_window();

	(void)ground;
	found(f, !!madvise(at + HUGE_BYTES - PAGE, 2 * PAGE, ADVICE_COLLAPSE));
}

/* Of two huge pages nothing is in the first and something in the second: does it become one? */
static void collapse_passes_holes(struct finding *f, const struct ground *ground)
{
	char *at = huge_window(), *second = at + HUGE_BYTES;
	unsigned char there;

	(void)ground;
	touch(second);
	if (!madvise(at, 2 * HUGE_BYTES, ADVICE_COLLAPSE))
		unfound(f, 1, "COLLAPSE of nothing is a success");
	else if (mincore(second + PAGE, PAGE, &there))
		unfound(f, 1, "mincore: %s", strerror(errno));
	else if (!(there & 1) && madvise(second, HUGE_BYTES, ADVICE_COLLAPSE))
		unfound(f, 1, "COLLAPSE: %s", strerror(errno));
	else
		found(f, there & 1);
}

/* Left half faulted, right half not: does giving the left half its flags back merge them? */
static void merge_into_unfaulted(struct finding *f, const struct ground *ground)
{
	char *at = map_anon(window(4), 4, RW), *end = at + 4 * PAGE;
	int count;

	(void)ground;
	if (madvise(at, 2 * PAGE, ADVICE_RANDOM) || vma_count(at, end) != 2) {
		unfound(f, 0, "a VMA could not be split and counted");
		return;
	}
	touch(at);
	if (madvise(at, 2 * PAGE, ADVICE_NORMAL)) {
		unfound(f, 0, "MADV_NORMAL: %s", strerror(errno));
		return;
	}
	count = vma_count(at, end);
	found(f, count == 1);
}

static void sealed_zero_refused(struct finding *f, const struct ground *ground)
{
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	char *page = fd < 0 ? NULL : map_file(window(1), 1, PROT_READ, MAP_PRIVATE, fd);

	(void)ground;
	if (!page)
		unfound(f, 0, "/dev/zero cannot be mapped");
	else if (syscall(NR_MSEAL, page, PAGE, 0))
		found(f, 0);
	else
		found(f, madvise(page, PAGE, ADVICE_DONTNEED) && errno == EPERM);
}

static void populate_stops_at_gap(struct finding *f, const struct ground *ground)
{
	char *at = map_anon(window(3), 3, RW);
	unsigned char beyond;

	(void)ground;
	munmap(at + PAGE, PAGE);
	if (!madvise(at, 3 * PAGE, ADVICE_POPULATE_WRITE) || errno != ENOMEM)
		found(f, 1); /* without the advice there is nothing to go on with */
	else if (mincore(at + 2 * PAGE, PAGE, &beyond))
		unfound(f, 1, "mincore: %s", strerror(errno));
	else
		found(f, !(beyond & 1));
}

static void mremap_many(struct finding *f, const struct ground *ground)
{
	char *from = map_anon(window(2), 2, RW), *to = window(2);

	(void)ground;
	mprotect(from + PAGE, PAGE, PROT_READ);
	found(f, mremap(from, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
}

/* Unfaulted memory moved to where it was, and kept there as well: one VMA, or two? */
static void mremap_joins_source(struct finding *f, const struct ground *ground)
{
	char *at = map_anon(window(3), 1, RW), *to = at + PAGE;
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, count;

	(void)ground;
	if (mremap(at, PAGE, PAGE, flags, to) != to)
		unfound(f, 1, "MREMAP_DONTUNMAP: %s", strerror(errno));
	else if ((count = vma_count(at, at + 2 * PAGE)) < 1)
		unfound(f, 1, NO_SMAPS);
	else
		found(f, count == 1);
}

/* Memory that userfaultfd watches, moved to where its neighbour has the same flags. */
static void mremap_merges_uffd(struct finding *f, const struct ground *ground)
{
	char *at = map_anon(window(3), 2, RW), *from = map_anon(window(1), 1, RW);
	char *to = at + 2 * PAGE;
	int count;

	(void)ground;
	if (call_uffd((uintptr_t)at, 2 * PAGE, false) || call_uffd((uintptr_t)from, PAGE, false))
		unfound(f, 1, "userfaultfd cannot be had");
	else if (mremap(from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		unfound(f, 1, "mremap: %s", strerror(errno));
	else if ((count = vma_count(at, at + 3 * PAGE)) < 1)
		unfound(f, 1, NO_SMAPS);
	else
		found(f, count == 1);
}

/* One of two locked pages moved away and kept: does the other stay locked? */
static void mremap_splits_locked(struct finding *f, const struct ground *ground)
{
	char *at = map_anon(window(2), 2, RW), *to = window(1);
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
	uint64_t other;

	(void)ground;
	if (mlock(at, 2 * PAGE))
		unfound(f, 0, "mlock: %s", strerror(errno));
	else if (mremap(at, PAGE, PAGE, flags, to) != to)
		unfound(f, 0, "MREMAP_DONTUNMAP: %s", strerror(errno));
	else if (vm_flags(at + PAGE, &other))
		unfound(f, 0, NO_SMAPS);
	else
		found(f, !!(other & VF_LO));
}

/* A written page of a private file mapping, moved behind the page before it in the file. */
static void anon_pgoff_apart(struct finding *f, const struct ground *ground)
{
	int fd = open_backing(BACKING_MEMFD, ground->tmp_dir, 2);
	char *at = fd < 0 ? NULL : map_file(window(1), 1, RW, MAP_PRIVATE, fd);
	char *from = at ? map_file(window(2), 2, RW, MAP_PRIVATE, fd) : NULL;
	int count;

	if (!from) {
		unfound(f, 0, "no memfd can be mapped");
		return;
	}
	touch(from + PAGE);
	if (mremap(from + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + PAGE) != at + PAGE)
		unfound(f, 0, "mremap: %s", strerror(errno));
	else if ((count = vma_count(at, at + 2 * PAGE)) < 1)
		unfound(f, 0, NO_SMAPS);
	else
		found(f, count == 2);
}

/* How many pages of a file in memory one read fault maps. */
static void fault_around_pages(struct finding *f, const struct ground *ground)
{
	static uint64_t entries[FAULT_AROUND_PAGES_MAX];
	char *at = window(3 * HUGE_BYTES / PAGE);
	int fd = open_backing(BACKING_MEMFD, ground->tmp_dir, FAULT_AROUND_PAGES_MAX);
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), count = 0;

	at += -(uintptr_t)at % HUGE_BYTES; /* the window that is mapped is aligned to its size */
	if (fd < 0 || !map_file(at, FAULT_AROUND_PAGES_MAX, PROT_READ, MAP_SHARED, fd)) {
		unfound(f, 16, "no memfd of %d pages can be mapped", FAULT_AROUND_PAGES_MAX);
		return;
	}
	for (int i = 0; i < FAULT_AROUND_PAGES_MAX; i++)
		if (pwrite(fd, "", 1, (off_t)i * PAGE) != 1) {
			unfound(f, 16, "no memory for %d pages", FAULT_AROUND_PAGES_MAX);
			return;
		}
	*(volatile char *)at;
	if (pread(pagemap, entries, sizeof(entries), (uintptr_t)at / PAGE * 8) != sizeof(entries)) {
		unfound(f, 16, "/proc/self/pagemap cannot be read");
		return;
	}
	while (count < FAULT_AROUND_PAGES_MAX && entries[count] & PAGEMAP_PRESENT)
		count++;
	found(f, count);
}

const struct fact facts_of_behaviour[] = {
	{ "guard_flag", FACT_BOOL, guard_flag },
	{ "guard_file", FACT_BOOL, guard_file },
	{ "secretmem_flags", FACT_NUMBER, secretmem_flags },
	{ "perf_flags", FACT_NUMBER, perf_flags },
	{ "vvar_pages", FACT_NUMBER, vvar_pages },
	{ "vvar_flags", FACT_NUMBER, vvar_flags },
	{ "dofork_refuses_special", FACT_BOOL, dofork_refuses_special },
	{ "collapse_below_pmd_ok", FACT_BOOL, collapse_below_pmd_ok },
	{ "collapse_needs_anon_vma", FACT_BOOL, collapse_needs_anon_vma },
	{ "collapse_passes_holes", FACT_BOOL, collapse_passes_holes },
	{ "merge_into_unfaulted", FACT_BOOL, merge_into_unfaulted },
	{ "sealed_zero_refused", FACT_BOOL, sealed_zero_refused },
	{ "populate_stops_at_gap", FACT_BOOL, populate_stops_at_gap },
	{ "mremap_many", FACT_BOOL, mremap_many },
	{ "mremap_merges_uffd", FACT_BOOL, mremap_merges_uffd },
	{ "mremap_joins_source", FACT_BOOL, mremap_joins_source },
	{ "mremap_splits_locked", FACT_BOOL, mremap_splits_locked },
	{ "anon_pgoff_apart", FACT_BOOL, anon_pgoff_apart },
	{ "fault_around_pages", FACT_NUMBER, fault_around_pages },
	{ 0 },
};
