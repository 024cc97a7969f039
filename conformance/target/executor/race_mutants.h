// SPDX-License-Identifier: GPL-2.0-only
/*
 * Races that a kernel could plausibly have, planted where actors make their calls, to see whether
 * they are found. Rows as in shim_mutants.h, from which their numbers are apart. Each leaves room
 * for others, some microseconds, where a kernel's window would be as many nanoseconds.
 */
#ifndef MADVET_RACE_MUTANTS_H
#define MADVET_RACE_MUTANTS_H

#include "shim_mutants.h"
#include "sys.h"

/* clang-format off */
#define RACE_MUTANTS(row) \
	row(200, lock_dropped_between_pages, "race-linear", \
	    "the lock is dropped between two pages of advice that changes mappings") \
	row(201, mapping_replaced_in_two_steps, "race-linear", \
	    "mmap() over a mapping unmaps it, drops the lock, and maps") \
	row(202, protected_through_none, "race-linear", \
	    "mprotect() takes all access away before it gives the new one") \
	row(203, guard_misses_late_pages, "race-linear", \
	    "a page that is touched between the discard and the guard gets no guard") \
	row(204, vector_read_twice, "race-linear", \
	    "lengths of a vector are added up, and its elements read again to be advised")
/* clang-format on */

#ifdef MADVET_MUTANTS
enum race_mutant {
#define RACE_MUTANT_ROW(number, name, requirement, what) RACE_MUTANT_##name = (number),
	RACE_MUTANTS(RACE_MUTANT_ROW)
#undef RACE_MUTANT_ROW
};

#define RACE_MUTANT(name) (shim_mutant == (int)RACE_MUTANT_##name)

s64 race_syscall(const u64 *word);
#else
#define race_syscall(word) \
	sys((word)[0], (word)[1], (word)[2], (word)[3], (word)[4], (word)[5], (word)[6])
#endif

#endif
