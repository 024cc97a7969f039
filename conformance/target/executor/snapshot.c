// SPDX-License-Identifier: GPL-2.0-only
/* One snapshot into the record: VMAs, then presence, then content. */

#include "executor.h"

/*
 * Reading the pages comes last, since it may change what is present; smaps and
 * PAGEMAP_SCAN change nothing.
 */
HOT void snapshot_take(const struct subject *subject, const struct program *program, u32 step,
		   bool child, bool last)
{
	u64 *head = record->snapshots + record->snapshot_words;
	u32 room = RECORD_SNAPSHOT_WORDS - record->snapshot_words;
	u32 n_pages = program->arena_pages;
	struct vma *vmas = (struct vma *)(head + 1);
	long count, err;
	u64 *pages;

	if (room < 1 + n_pages) {
		record->unable = true;
		return;
	}
	count = vmas_read(subject, program->observe & OBSERVE_SMAPS, vmas, (room - 1 - n_pages) / 4);
	if (count < 0)
		child_fail("cannot read the list of mappings", count);
	pages = (u64 *)(vmas + count);
	err = pages_read(subject, pages, n_pages, vmas, count,
			 last && program->observe & OBSERVE_READ_ALL);
	if (err < 0)
		child_fail("cannot read the page map", err);
	*head = step | (u64)child << 16 | (u64)count << 32 | (u64)n_pages << 48;
	record->snapshot_words += 1 + count * 4 + n_pages;
	record->n_snapshots++;
}
