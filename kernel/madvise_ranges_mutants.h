/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mistakes that this call could plausibly have, planted to see whether its tests find them.
 *
 * One row each: its number (kept for ever, not reused), its name, the requirement that it breaks,
 * what it does. Python reads these rows: keep a row on two lines, as they are. Below 100 a mutant
 * gives wrong results or effects, and must be found as a divergence. From 100 on it corrupts memory
 * or breaks the rules of locking: the kernel's own checkers, or a deadline, must stop it, with a
 * title that begins as MADVISE_RANGES_MUTANT_TITLES says; of several titles one is enough, because
 * not every kernel has every checker.
 *
 * Where a mistake is planted, MR_MUTANT(name) stands in place of the right condition. Which one is
 * switched on says the parameter madvise_ranges.mutant=, at boot or below /sys/module.
 */
#ifndef _MM_MADVISE_RANGES_MUTANTS_H
#define _MM_MADVISE_RANGES_MUTANTS_H

#define MADVISE_RANGES_MUTANTS(row) \
	row(1, version_ignored, "version-unknown", \
	    "any version is taken for version 1") \
	row(2, reserved_tail_accepted, "abi-reserved-zero", \
	    "the three bytes after the option byte are not looked at") \
	row(3, set_default_any_byte, "abi-enum-range", \
	    "set_default is true for every byte but 0") \
	row(4, all_options_accepted, "option-conflicts", \
	    "MADVISE_RANGE_ALL goes with stop_on_gap and single_mapping_only") \
	row(5, count_unlimited, "multi-count", \
	    "up to 65,536 ranges are accepted") \
	row(6, target_before_stats, "validation-order", \
	    "the target is looked up before the stats are read") \
	row(7, validation_ignored, "validation-order", \
	    "ignore_errors lets a range with an unknown advice pass") \
	row(8, empty_range_refused, "range-address", \
	    "a range of size 0 is an error") \
	row(9, gap_counted_twice, "gap-counted", \
	    "a gap with a mapping behind it is counted before and after") \
	row(10, gap_at_end_missed, "gap-counted", \
	    "a gap at the end of a range is not counted") \
	row(11, gap_is_enomem, "gap-counted", \
	    "a gap gives ENOMEM at the end of the call, as madvise does") \
	row(12, gap_stop_ignored, "gap-stop", \
	    "ignore_errors overrides stop_on_gap") \
	row(13, single_mapping_touching, "single-mapping", \
	    "mappings that touch pass as one") \
	row(14, error_goes_on, "error-ends", \
	    "the ranges behind the one that failed are advised") \
	row(15, ignored_error_ends_range, "error-ignored", \
	    "an ignored error leaves out the rest of its range") \
	row(16, fault_ignored, "error-ignored", \
	    "ignore_errors covers EFAULT") \
	row(17, merged_neighbour_missed, "stats-advised", \
	    "the walk goes on behind the mapping as it is after it merged with the next") \
	row(18, pages_of_whole_mapping, "stats-advised", \
	    "all pages of a mapping count, however few were advised") \
	row(19, ending_part_counted, "stats-skipped", \
	    "the part that ends the call counts as skipped") \
	row(20, last_error_wins, "stats-first-error", \
	    "the details are those of the last error") \
	row(21, failed_address_of_range, "stats-first-error", \
	    "failed_address is the start of the range, not of the part") \
	row(22, partial_never, "stats-per-range", \
	    "partial is never set") \
	row(23, unreached_written, "stats-per-range", \
	    "the element behind the last range reached is written, as the stack was") \
	row(24, stats_not_written_on_error, "stats-when", \
	    "a call that fails leaves stats as they were") \
	row(25, padding_leaked, "abi-writes-confined", \
	    "padding of stats holds part of a kernel address") \
	row(26, array_read_twice, "stats-single-fetch", \
	    "each range is read again when it is reached") \
	row(27, control_read_twice, "stats-single-fetch", \
	    "the control struct is read again to find stats") \
	row(28, remote_any_advice, "remote-advices", \
	    "which advices another process may be given is not looked at") \
	row(29, remote_own_memory, "remote-addresses", \
	    "the memory of the caller is advised") \
	row(30, default_replaces, "default-future", \
	    "a default takes the place of all others") \
	row(31, default_opposite_stays, "default-future", \
	    "the opposite advice leaves a default as it was") \
	row(32, default_advice_unchecked, "default-advices", \
	    "set_default takes every advice that ALL takes") \
	row(33, no_memory_is_done, "allocation-fails", \
	    "a part that got no memory counts as advised") \
	row(100, vma_used_after_merge, "process-survives", \
	    "a mapping is looked at again after advice that may have merged it away") \
	row(101, array_used_after_free, "process-survives", \
	    "the array is freed before the elements are written from it") \
	row(102, array_freed_twice, "process-survives", \
	    "an array that cannot be read is freed on the spot, and again at the end") \
	row(103, array_one_short, "process-survives", \
	    "the array has room for one range less than it holds") \
	row(104, chunk_one_short, "process-survives", \
	    "elements are put together in an array on the stack that is one too short") \
	row(105, copy_under_lock, "process-survives", \
	    "user memory is read while the mmap_lock is held") \
	row(106, lock_kept_on_error, "process-survives", \
	    "the lock is not dropped when single_mapping_only refuses a range") \
	row(107, lock_kept_by_all, "process-survives", \
	    "the lock is not dropped after the walk of a whole address space") \
	row(108, lock_dropped_twice, "process-survives", \
	    "the lock is dropped once more after an error that ends the call") \
	row(109, write_lock_forgotten, "process-survives", \
	    "advice that changes the flags of a mapping holds the lock for reading only") \
	row(110, sleeps_in_atomic, "process-survives", \
	    "the walk may reschedule inside a section that must not sleep") \
	row(111, gone_process_used, "process-survives", \
	    "a process that has no memory any more is walked all the same") \
	row(112, mm_kept, "process-survives", \
	    "the memory of another process is never put back") \
	row(113, task_kept, "process-survives", \
	    "another process is never put back") \
	row(114, array_kept, "process-survives", \
	    "an array is not freed when a range in it is bad") \
	row(115, ignored_error_retried, "call-returns", \
	    "a part whose error was ignored is tried again, for ever") \
	row(116, lock_kept_without_memory, "allocation-fails", \
	    "the lock is not dropped when a part got no memory") \
	row(117, missing_array_used, "allocation-fails", \
	    "an array that there is no memory for is filled all the same") \
	row(118, target_kept_without_memory, "allocation-fails", \
	    "another process is not put back when there is no memory for the array")

/* What the console must say of a mutant from 100 on: its number, how the title begins. */
#define MADVISE_RANGES_MUTANT_TITLES(title) \
	title(100, "KASAN: slab-use-after-free") \
	title(101, "KASAN: slab-use-after-free") \
	title(102, "KASAN: double-free") \
	title(102, "KASAN: invalid-free") \
	title(103, "KASAN: slab-out-of-bounds") \
	title(104, "UBSAN: array-index-out-of-bounds") \
	title(104, "KASAN: stack-out-of-bounds") \
	title(105, "possible deadlock in ") \
	title(106, "WARNING: lock held when returning to user space in ") \
	title(106, "possible deadlock in ") \
	title(107, "WARNING: lock held when returning to user space in ") \
	title(107, "possible deadlock in ") \
	title(108, "WARNING: bad unlock balance in ") \
	title(109, "WARNING in ") \
	title(109, "kernel BUG in ") \
	title(110, "BUG: sleeping function called from invalid context") \
	title(111, "KASAN: ") \
	title(111, "BUG: unable to handle") \
	title(111, "general protection fault") \
	title(112, "leak: ") \
	title(112, "memory leak in ") \
	title(113, "leak: ") \
	title(113, "memory leak in ") \
	title(114, "leak: ") \
	title(114, "memory leak in ") \
	title(115, "no output from guest") \
	title(116, "WARNING: lock held when returning to user space in ") \
	title(116, "possible deadlock in ") \
	title(117, "BUG: unable to handle") \
	title(117, "KASAN: ") \
	title(117, "general protection fault") \
	title(118, "leak: ") \
	title(118, "memory leak in ")

enum mr_mutant {
#define MR_MUTANT_ROW(number, name, ...) MR_MUTANT_##name = (number),
	MADVISE_RANGES_MUTANTS(MR_MUTANT_ROW)
#undef MR_MUTANT_ROW
};

#ifdef CONFIG_MADVISE_RANGES_MUTANTS
static int mr_mutant;

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "madvise_ranges."
module_param_named(mutant, mr_mutant, int, 0644);
MODULE_PARM_DESC(mutant, "the planted fault to switch on, 0 for none");

#define MR_MUTANT(name) (READ_ONCE(mr_mutant) == MR_MUTANT_##name)
#else
#define MR_MUTANT(name) (MR_MUTANT_##name < 0) /* never; but a wrong name is noticed */
#endif

#endif /* _MM_MADVISE_RANGES_MUTANTS_H */
