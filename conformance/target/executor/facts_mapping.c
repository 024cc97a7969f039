// SPDX-License-Identifier: GPL-2.0-only
/* Facts: how mappings are made, moved and changed, where kernels differ. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "executor.h"
#include "facts.h"

#define RW (PROT_READ | PROT_WRITE)
#define MOVE (MREMAP_MAYMOVE | MREMAP_FIXED)
#define NO_SMAPS "/proc/self/smaps cannot be read"
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

static int is_mapped(const char *page)
{
	unsigned char present;

	return !mincore((void *)page, PAGE, &present);
}

/* Every flag has a name in VmFlags, but for this one in old kernels, which print ??. */
static void lockonfault_shown(struct finding *f, const struct ground *ground)
{
	char *page = map_anon(window(1), 1, RW);
	uint64_t flags;

	(void)ground;
	if (syscall(SYS_mlock2, page, PAGE, MLOCK_ONFAULT))
		unfound(f, 1, "mlock2: %s", strerror(errno));
	else if (vm_flags(page, &flags))
		unfound(f, 1, NO_SMAPS);
	else
		found(f, !!(flags & VF_LF));
}

/* Memory that was never touched, made read-only: is it still charged for? */
static void mprotect_unaccounts(struct finding *f, const struct ground *ground)
{
	char *page = map_anon(window(1), 1, RW);
	uint64_t before, after;

	(void)ground;
	if (vm_flags(page, &before) || mprotect(page, PAGE, PROT_READ) || vm_flags(page, &after))
		unfound(f, 1, NO_SMAPS);
	else if (!(before & VF_AC))
		unfound(f, 1, "private memory is not charged for");
	else
		found(f, !(after & VF_AC));
}

/* Nothing is at the source, and the target lies upon it: which is said? */
static void mremap_vma_first(struct finding *f, const struct ground *ground)
{
	char *at = window(3);
	void *moved = mremap(at, 2 * PAGE, 2 * PAGE, MOVE, at + PAGE);

	(void)ground;
	if (moved == MAP_FAILED && (errno == EFAULT || errno == EINVAL))
		found(f, errno == EFAULT);
	else
		unfound(f, 0, "mremap onto itself: %s", strerror(errno));
}

/* A second place for private memory: refused, but was the target unmapped before? */
static void mremap_clears_first(struct finding *f, const struct ground *ground)
{
	char *from = map_anon(window(1), 1, RW), *to = map_anon(window(1), 1, RW);

	(void)ground;
	if (mremap(from, 0, PAGE, MOVE, to) != MAP_FAILED)
		unfound(f, 0, "mremap of nothing is not refused");
	else
		found(f, !is_mapped(to));
}

/* What stays behind with MREMAP_DONTUNMAP is memory as before: is it charged for? */
static void mremap_keep_unaccounts(struct finding *f, const struct ground *ground)
{
	char *from = map_anon(window(1), 1, RW), *to = window(1);
	uint64_t flags;

	(void)ground;
	if (mremap(from, PAGE, PAGE, MOVE | MREMAP_DONTUNMAP, to) != to)
		unfound(f, 0, "MREMAP_DONTUNMAP: %s", strerror(errno));
	else if (vm_flags(from, &flags))
		unfound(f, 0, NO_SMAPS);
	else
		found(f, !(flags & VF_AC));
}

/* New memory between two VMAs that cannot be one, as each was written to: whose is it? */
static void mmap_next_first(struct finding *f, const struct ground *ground)
{
	char *at = map_anon(window(3), 3, RW), *middle = at + PAGE;
	int starts;

	(void)ground;
	munmap(middle, PAGE);
	touch(at);
	touch(at + 2 * PAGE);
	map_anon(middle, 1, RW);
	starts = vma_count(middle, middle + PAGE);
	if (starts < 0)
		unfound(f, 0, NO_SMAPS);
	else
		found(f, starts);
}

/* A file sealed against writing, mapped over something: is that gone, though it was refused? */
static void mmap_seal_late(struct finding *f, const struct ground *ground)
{
	int fd = open_backing(BACKING_MEMFD, ground->tmp_dir, 1);
	char *page = map_anon(window(1), 1, RW);

	if (fd < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE))
		unfound(f, 0, "no memfd can be sealed");
	else if (map_file(page, 1, RW, MAP_SHARED, fd))
		unfound(f, 0, "a sealed memfd can be mapped to be written");
	else
		found(f, !is_mapped(page));
}

/* The [vvar] is never split: what does mmap() say over a part of it? */
static void mmap_hides_why(struct finding *f, const struct ground *ground)
{
	uintptr_t start, end;

	(void)ground;
	if (vma_named("[vvar]", &start, &end) || end - start < 2 * PAGE)
		unfound(f, 0, "there is no [vvar] of two pages to ask about");
	else if (map_file((char *)start, 1, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1))
		unfound(f, 0, "[vvar] can be split");
	else
		found(f, errno == ENOMEM);
}

/* The zero page is the kernel's own: how is it refused? Nothing comes of asking. */
static void offline_notrecoverable(struct finding *f, const struct ground *ground)
{
	volatile char *page = map_anon(window(1), 1, RW);

	(void)*page;
	found(f, ground->poison && madvise((void *)page, PAGE, ADVICE_SOFT_OFFLINE) &&
		 errno == ENOTRECOVERABLE);
}

const struct fact facts_of_mapping[] = {
	{ "lockonfault_shown", FACT_BOOL, lockonfault_shown },
	{ "offline_notrecoverable", FACT_BOOL, offline_notrecoverable },
	{ "mprotect_unaccounts", FACT_BOOL, mprotect_unaccounts },
	{ "mremap_vma_first", FACT_BOOL, mremap_vma_first },
	{ "mremap_clears_first", FACT_BOOL, mremap_clears_first },
	{ "mremap_keep_unaccounts", FACT_BOOL, mremap_keep_unaccounts },
	{ "mmap_next_first", FACT_BOOL, mmap_next_first },
	{ "mmap_seal_late", FACT_BOOL, mmap_seal_late },
	{ "mmap_hides_why", FACT_BOOL, mmap_hides_why },
	{ 0 },
};
