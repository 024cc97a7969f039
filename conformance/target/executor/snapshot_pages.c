// SPDX-License-Identifier: GPL-2.0-only
/* What is in the page tables of the arena, and what is in its pages. */

#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "executor.h"

/* uapi of PAGEMAP_SCAN (Linux 6.7), which C libraries may not have yet. */
struct scan_request {
	u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
	u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};

struct scan_region {
	u64 start, end, categories;
};

#define SCAN _IOWR('f', 16, struct scan_request)
#define SCAN_PRESENT (1 << 3)
#define SCAN_SWAPPED (1 << 4)
#define SCAN_GUARD (1 << 8)

/* Bits of a word of /proc/PID/pagemap. */
#define MAP_WORD_GUARD (1ul << 58)
#define MAP_WORD_SWAP (1ul << 62)
#define MAP_WORD_PRESENT (1ul << 63)

static u64 scan_categories HOT_DATA; /* 0: this kernel has no PAGEMAP_SCAN */

static HOT long scan(int fd, u64 categories, u64 start, u64 end, struct scan_region *regions, u32 max)
{
	struct scan_request request = {
		.size = sizeof(request),
		.start = start,
		.end = end,
		.vec = (u64)regions,
		.vec_len = max,
		.category_anyof_mask = categories,
		.return_mask = categories,
	};

	return sys(SYS_ioctl, fd, SCAN, &request);
}

/* Which categories the kernel takes; with its pagemap of any process. */
void pages_init(int pagemap)
{
	static const u64 tries[] = { SCAN_PRESENT | SCAN_SWAPPED | SCAN_GUARD,
				     SCAN_PRESENT | SCAN_SWAPPED };
	struct scan_region region;

	for (u32 i = 0; i < ARRAY_SIZE(tries) && !scan_categories; i++)
		if (scan(pagemap, tries[i], ARENA_BASE, ARENA_BASE + PAGE, &region, 1) >= 0)
			scan_categories = tries[i];
}

/* A guard marker is kept as a swap entry; it is one or the other to us. */
static u64 state_of(bool present, bool swap, bool guard)
{
	if (guard)
		return PAGE_GUARD;
	return (present ? PAGE_PRESENT : 0) | (swap ? PAGE_SWAP : 0);
}

static HOT long presence_by_scan(int fd, u64 *pages, u32 n_pages)
{
	static struct scan_region regions[ARENA_PAGES_MAX];
	long count = scan(fd, scan_categories, ARENA_BASE, ARENA_BASE + (u64)n_pages * PAGE,
			  regions, ARENA_PAGES_MAX);

	for (long i = 0; i < count; i++) {
		u64 found = regions[i].categories;
		u64 state = state_of(found & SCAN_PRESENT, found & SCAN_SWAPPED,
				     found & SCAN_GUARD);
		u64 end = (regions[i].end - ARENA_BASE) / PAGE;

		for (u64 page = (regions[i].start - ARENA_BASE) / PAGE; page < end; page++)
			pages[page] = state;
	}
	return count;
}

static long presence_by_pagemap(int fd, u64 *pages, u32 n_pages)
{
	long got = sys(SYS_pread64, fd, pages, n_pages * 8ul, ARENA_BASE / PAGE * 8ul);

	if (got < 0)
		return got;
	memset((u8 *)pages + got, 0, n_pages * 8ul - got);
	for (u32 page = 0; page < n_pages; page++)
		pages[page] = state_of(pages[page] & MAP_WORD_PRESENT, pages[page] & MAP_WORD_SWAP,
				       pages[page] & MAP_WORD_GUARD);
	return got;
}

static HOT bool page_content(u64 address, const u8 *mask, u64 *content)
{
	static u8 copy[PAGE] __attribute__((aligned(PAGE)));

	if (memory == &own_memory)
		return guarded_content(address, mask, content);
	if (memory->load(copy, address, PAGE) < PAGE)
		return false;
	*content = content_of(copy, mask);
	return true;
}

static HOT void read_page(u32 page, u64 *word)
{
	u64 content;

	if (page_content(ARENA_BASE + (u64)page * PAGE, arena_mask(page), &content))
		*word |= PAGE_READ | content;
	else
		*word |= PAGE_UNREADABLE;
}

/*
 * Pages of VMAs that map no memory of their own (vvar) are left alone: what
 * they hold is the kernel's business, and whether they look present depends on
 * how one asks.
 */
static HOT void read_vma(const struct vma *vma, u64 *pages, u32 n_pages, bool read_all)
{
	u64 first = vma->start < ARENA_BASE ? 0 : (vma->start - ARENA_BASE) / PAGE;
	u64 end = vma->end < ARENA_BASE ? 0 : (vma->end - ARENA_BASE) / PAGE;

	if (end > n_pages)
		end = n_pages;
	for (u64 page = first; page < end; page++) {
		if (vma->flags & (VF_PF | VF_IO))
			pages[page] = 0;
		else if (vma->flags & VF_RD && (read_all || pages[page] & PAGE_PRESENT))
			read_page(page, &pages[page]);
	}
}

/* One word for each of the arena's first pages; -errno when that fails. */
HOT long pages_read(const struct subject *subject, u64 *pages, u32 n_pages, const struct vma *vmas,
		u32 n_vmas, bool read_all)
{
	long err;

	if (!n_pages)
		return 0;
	memset(pages, 0, n_pages * 8ul);
	if (scan_categories)
		err = presence_by_scan(subject->pagemap, pages, n_pages);
	else
		err = presence_by_pagemap(subject->pagemap, pages, n_pages);
	if (err < 0)
		return err;
	for (u32 i = 0; i < n_vmas; i++)
		read_vma(&vmas[i], pages, n_pages, read_all);
	return 0;
}
