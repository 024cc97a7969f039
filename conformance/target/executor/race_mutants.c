// SPDX-License-Identifier: GPL-2.0-only
/* What the faults of race_mutants.h do in place of a call. */
#ifdef MADVET_MUTANTS

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "executor.h"
#include "race_mutants.h"

#define WINDOW 20000 /* rounds of an empty loop: some 10 us */
#define VECTOR_MAX 16

static void let_others_in(void)
{
	for (u64 left = WINDOW; left; left--)
		asm volatile("" ::: "memory");
}

static s64 as_it_should(const u64 *w)
{
	return sys(w[0], w[1], w[2], w[3], w[4], w[5], w[6]);
}

/* As madvise() gives results: a gap is told at the end, any other error at once. */
static s64 page_by_page(const u64 *w)
{
	s64 gap = 0, err;

	for (u64 done = 0; done < w[2]; done += PAGE) {
		err = sys(NR_MADVISE, w[1] + done, PAGE, w[3]);
		if (err && err != -ENOMEM)
			return err;
		gap = gap ? gap : err;
		let_others_in();
	}
	return gap;
}

static s64 map_in_two_steps(const u64 *w)
{
	sys(SYS_munmap, w[1], w[2]);
	let_others_in();
	return as_it_should(w);
}

static s64 protect_through_none(const u64 *w)
{
	if (!sys(SYS_mprotect, w[1], w[2], PROT_NONE))
		let_others_in();
	return as_it_should(w);
}

static s64 guard_what_is_absent(const u64 *w)
{
	s64 err = sys(NR_MADVISE, w[1], w[2], ADVICE_DONTNEED);

	if (err)
		return as_it_should(w);
	let_others_in();
	for (u64 at = w[1]; !err && at < w[1] + w[2]; at += PAGE) {
		u8 present = 0;

		if (sys(SYS_mincore, at, PAGE, &present) || !(present & 1))
			err = sys(NR_MADVISE, at, PAGE, ADVICE_GUARD_INSTALL);
	}
	return err;
}

static s64 read_vector_twice(const u64 *w)
{
	const volatile u64 *vector = (const volatile u64 *)w[2];
	s64 lengths = 0, result;

	for (u64 i = 0; i < w[3]; i++)
		lengths += vector[2 * i + 1];
	let_others_in();
	result = as_it_should(w);
	return result > 0 ? lengths : result;
}

s64 race_syscall(const u64 *w)
{
	bool pages = !(w[1] % PAGE) && !(w[2] % PAGE) && w[2];
	bool advice = w[0] == NR_MADVISE && pages;

	if (RACE_MUTANT(lock_dropped_between_pages) && advice && w[3] <= ADVICE_SEQUENTIAL)
		return page_by_page(w);
	if (RACE_MUTANT(mapping_replaced_in_two_steps) && w[0] == NR_MMAP)
		return map_in_two_steps(w);
	if (RACE_MUTANT(protected_through_none) && w[0] == NR_MPROTECT)
		return protect_through_none(w);
	if (RACE_MUTANT(guard_misses_late_pages) && advice && w[3] == ADVICE_GUARD_INSTALL)
		return guard_what_is_absent(w);
	if (RACE_MUTANT(vector_read_twice) && w[0] == NR_PROCESS_MADVISE && w[3] <= VECTOR_MAX)
		return read_vector_twice(w);
	return as_it_should(w);
}

#endif
