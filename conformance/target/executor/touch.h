// SPDX-License-Identifier: GPL-2.0-only
/*
 * Touches, inline: on the machine this was measured on, a page fault costs 0.3 us
 * more (a tenth) in a function that was called since the last system call.
 */
#ifndef MADVET_TOUCH_H
#define MADVET_TOUCH_H

#include "executor.h"

struct fixup {
	u64 start, end, landing;
};

/*
 * A fault in [start, end) goes on at `landing`, all registers as they were but
 * RAX, which has the signal.
 */
#define FIXUP(start, end, landing)                                                         \
	".pushsection fixups, \"a\"\n"                                                     \
	".quad " start ", " end ", " landing "\n"                                           \
	".popsection\n"

/*
 * The two loops of touch_pages(), in registers only. `pages` counts down; the
 * signal that ended it, or 0.
 */
static inline __attribute__((always_inline)) u64 write_pages(u64 at, u64 tag, u64 *pages)
{
	u64 signal = 0;

	_Static_assert(CONTENT_WORDS == 3, "as many stores as below");
	asm volatile("1:	movq %[tag], %c[first](%[at])\n"
		     "	movq %[tag], %c[second](%[at])\n"
		     "	movq %[tag], %c[third](%[at])\n"
		     "	addq %[page], %[at]\n"
		     "	incq %[tag]\n"
		     "	decq %[pages]\n"
		     "	jnz 1b\n"
		     "2:\n" FIXUP("1b", "2b", "2b")
		     : "+a"(signal), [at] "+r"(at), [tag] "+r"(tag), [pages] "+r"(*pages)
		     : [page] "i"(PAGE), [first] "i"(CONTENT_WORD_0), [second] "i"(CONTENT_WORD_1),
		       [third] "i"(CONTENT_WORD_2)
		     : "memory", "cc");
	return signal;
}

static inline __attribute__((always_inline)) u64 read_pages(u64 at, u64 *pages)
{
	u64 signal = 0, word;

	asm volatile("1:	movq (%[at]), %[word]\n"
		     "	addq %[page], %[at]\n"
		     "	decq %[pages]\n"
		     "	jnz 1b\n"
		     "2:\n" FIXUP("1b", "2b", "2b")
		     : "+a"(signal), [at] "+r"(at), [word] "=&r"(word), [pages] "+r"(*pages)
		     : [page] "i"(PAGE)
		     : "memory", "cc");
	return signal;
}

/* One word: the signal that storing it ended with, or 0. */
static inline __attribute__((always_inline)) u64 store_word(u64 at, u64 value)
{
	u64 signal = 0;

	asm volatile("1:	movq %[value], (%[at])\n"
		     "2:\n" FIXUP("1b", "2b", "2b")
		     : "+a"(signal)
		     : [at] "r"(at), [value] "r"(value)
		     : "memory");
	return signal;
}

/* One word in each page, in order; see call.TouchPages for the result. */
static inline __attribute__((always_inline)) s64 touch_pages(u32 page, u32 pages, bool write, u32 serial)
{
	u64 at = ARENA_BASE + (u64)page * PAGE, left = pages;
	u64 tag = ((u64)serial << 16 | (page + 1)) & CONTENT_MASK;
	u64 signal;

	if (!pages)
		return 0;
	signal = write ? write_pages(at, tag, &left) : read_pages(at, &left);
	return signal ? -(s64)(signal << 16 | (pages - left)) : pages;
}

#endif
