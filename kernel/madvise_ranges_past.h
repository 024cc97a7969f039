/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mistakes that kernels once had in madvise() and process_madvise(), and that no kernel has any
 * more that can be had ready-made: brought back, so that the programs of corpus/history can be seen
 * to find them. Rows are as those of madvise_ranges_mutants.h, and are switched on like those.
 *
 * anchors.toml puts the lines that ask for them into mm/madvise.c; they are nothing where
 * MADVISE_RANGES_MUTANTS is off.
 */
#ifndef _MM_MADVISE_RANGES_PAST_H
#define _MM_MADVISE_RANGES_PAST_H

#include <linux/mman.h>
#include <linux/moduleparam.h>

#include "madvise_ranges_mutants.h"

#define MADVISE_PAST_MISTAKES(row) \
	row(201, seal_takes_bits, "madvise-sealed", \
	    "advices that discard are told by their bits") \
	row(202, dodump_refuses_huge_pages, "madvise-dodump-special", \
	    "DODUMP refuses hugetlb") \
	row(203, huge_page_rounded_up, "madvise-hugetlb-aligned", \
	    "DONTNEED takes whole huge pages") \
	row(204, part_told_as_error, "process-madvise-partial", \
	    "an error hides the bytes done before it") \
	row(205, holes_passed_over, "process-madvise-bytes", \
	    "what is not mapped counts as advised")

enum madvise_past_mistake {
#define MADVISE_PAST_ROW(number, name, ...) MADVISE_PAST_##name = (number),
	MADVISE_PAST_MISTAKES(MADVISE_PAST_ROW)
#undef MADVISE_PAST_ROW
};

#ifdef CONFIG_MADVISE_RANGES_MUTANTS
#define MADVISE_PAST(name) (READ_ONCE(mr_mutant) == MADVISE_PAST_##name)
#else
#define MADVISE_PAST(name) (MADVISE_PAST_##name < 0) /* never; but a wrong name is noticed */
#endif

/* Is it an advice that discards? discards: what is right. */
static inline bool madvise_past_discard(int advice, bool discards)
{
	const int bits = MADV_FREE | MADV_DONTNEED | MADV_DONTNEED_LOCKED | MADV_REMOVE |
			 MADV_DONTFORK | MADV_WIPEONFORK;

	return MADVISE_PAST(seal_takes_bits) ? advice & bits : discards;
}

#endif /* _MM_MADVISE_RANGES_PAST_H */
