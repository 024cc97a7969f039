// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mistakes that a kernel could plausibly make, planted in the shim to see whether they are found.
 *
 * One row each: its number (kept for ever, not reused), its name, the requirement that it breaks,
 * what it does. fuzz/mutants/shim_mutants.py reads these rows: keep a row on three lines, as they
 * are. Where a mistake is planted, MUTANT(name) stands in place of the right condition.
 */
#ifndef MADVET_SHIM_MUTANTS_H
#define MADVET_SHIM_MUTANTS_H

#include <stdbool.h>

/* clang-format off */
#define SHIM_MUTANTS(row) \
	row(1, version_ignored, "version-unknown", \
	    "any version is taken for version 1") \
	row(2, version_zero_accepted, "version-unknown", \
	    "version 0 is taken for the current one") \
	row(3, version_read_late, "version-first", \
	    "the whole control struct is read before its version is looked at") \
	row(4, reserved_bits_accepted, "abi-reserved-zero", \
	    "bits 4 to 7 of the option byte are not looked at") \
	row(5, reserved_tail_accepted, "abi-reserved-zero", \
	    "the three bytes after the option byte are not looked at") \
	row(6, type_unchecked, "abi-enum-range", \
	    "an unknown type is taken for MADVISE_RANGE_SINGLE") \
	row(7, set_default_any_byte, "abi-enum-range", \
	    "set_default is true for every byte but 0") \
	row(8, union_tail_checked, "abi-ignored-bytes", \
	    "bytes of the union beyond the chosen arm must be zero") \
	row(9, all_options_accepted, "option-conflicts", \
	    "MADVISE_RANGE_ALL goes with stop_on_gap and single_mapping_only") \
	row(10, all_per_range_accepted, "option-conflicts", \
	    "MADVISE_RANGE_ALL goes with per_range_stats") \
	row(11, default_remote_accepted, "option-conflicts", \
	    "set_default goes with is_remote") \
	row(12, pidfd_checked_locally, "pidfd-ignored", \
	    "pidfd must be good although is_remote is clear") \
	row(13, count_limit_short, "multi-count", \
	    "as many ranges as the limit are already too many") \
	row(14, count_zero_refused, "multi-count", \
	    "no ranges at all is an error") \
	row(15, target_before_stats, "validation-order", \
	    "the target is looked up before the stats are read") \
	row(16, advice_checked_late, "validation-order", \
	    "an unknown advice is noticed when its range is reached, earlier ranges are advised") \
	row(17, validation_ignored, "validation-order", \
	    "ignore_errors lets a range with an unknown advice pass") \
	row(18, unaligned_rounded_down, "range-address", \
	    "an address inside a page stands for the page") \
	row(19, huge_size_is_empty, "range-address", \
	    "a size that rounds up to 0 makes an empty range") \
	row(20, size_rounded_down, "range-address", \
	    "the last, partial page of a range is left out") \
	row(21, size_cut_to_32_bits, "range-address", \
	    "sizes are kept in 32 bits") \
	row(22, empty_range_refused, "range-address", \
	    "a range of size 0 is an error") \
	row(23, range_end_short, "walk-as-madvise", \
	    "the last page of a range is not advised, but counted") \
	row(24, range_end_long, "walk-as-madvise", \
	    "one page after a range that ends inside a mapping is advised too") \
	row(25, ranges_backwards, "walk-order", \
	    "ranges are taken from the last to the first") \
	row(26, gap_counted_twice, "gap-counted", \
	    "a gap with a mapping behind it is counted before and after") \
	row(27, gap_at_start_missed, "gap-counted", \
	    "a gap at the start of a range is not counted") \
	row(28, gap_at_end_missed, "gap-counted", \
	    "a gap at the end of a range is not counted") \
	row(29, gap_is_enomem, "gap-counted", \
	    "a gap gives ENOMEM at the end of the call, as madvise does") \
	row(30, gap_ends_range, "gap-counted", \
	    "what lies behind a gap is not advised") \
	row(31, gap_noticed_late, "gap-stop", \
	    "stop_on_gap stops after the mapping behind the gap was advised") \
	row(32, gap_stop_ignored, "gap-stop", \
	    "ignore_errors overrides stop_on_gap") \
	row(33, gap_stop_at_range, "gap-stop", \
	    "failed_address is the start of the range, not of the gap") \
	row(34, single_mapping_touching, "single-mapping", \
	    "mappings that touch pass as one") \
	row(35, single_mapping_holes_unseen, "single-mapping", \
	    "a hole behind the second mapping gives EINVAL, not ENOMEM") \
	row(36, single_mapping_late, "single-mapping", \
	    "the first mapping is advised before the second is noticed") \
	row(37, single_mapping_early, "single-mapping", \
	    "all ranges are judged before the first is applied, its splits are not seen") \
	row(38, single_mapping_counts_gap, "single-mapping", \
	    "a range refused for a hole counts it") \
	row(39, error_goes_on, "error-ends", \
	    "the ranges behind the one that failed are advised") \
	row(40, ignored_error_ends_range, "error-ignored", \
	    "an ignored error leaves out the rest of its range") \
	row(41, fault_ignored, "error-ignored", \
	    "ignore_errors covers EFAULT") \
	row(42, all_counts_gaps, "all-walk", \
	    "the space between two mappings counts as a gap") \
	row(43, all_special_advised, "all-walk", \
	    "special mappings are advised like any other") \
	row(44, all_special_uncounted, "all-walk", \
	    "special mappings are left out, but not counted") \
	row(45, all_first_missed, "all-walk", \
	    "the lowest mapping is not met") \
	row(46, all_accepts_harmless, "all-advices", \
	    "every advice that loses no contents is accepted for the whole address space") \
	row(47, all_refuses_reclaim, "all-advices", \
	    "COLD, PAGEOUT and WILLNEED are missing in the list of what ALL accepts") \
	row(48, stats_not_written_on_error, "stats-when", \
	    "a call that fails leaves stats as they were") \
	row(49, stats_written_too_soon, "stats-when", \
	    "a call that fails before its ranges are looked at writes stats") \
	row(50, elements_written_as_reached, "stats-single-fetch", \
	    "the element of a range is written before later ranges are advised, which may lose it") \
	row(51, skipped_counted_advised, "stats-skipped", \
	    "parts whose error was ignored count as advised") \
	row(52, ending_part_counted, "stats-skipped", \
	    "the part that ends the call counts as skipped") \
	row(53, pages_of_whole_mapping, "stats-advised", \
	    "all pages of a mapping count, however few were advised") \
	row(54, mapping_counted_once, "stats-advised", \
	    "a part of the mapping that was counted last is not counted again") \
	row(55, merged_neighbour_missed, "stats-advised", \
	    "the walk goes on behind the mapping as it is after it merged with the next") \
	row(56, last_error_wins, "stats-first-error", \
	    "the details are those of the last error") \
	row(57, ignored_error_unreported, "stats-first-error", \
	    "an ignored error leaves no details") \
	row(58, err_negative, "stats-first-error", \
	    "err is negative") \
	row(59, failed_address_of_range, "stats-first-error", \
	    "failed_address is the start of the range, not of the part") \
	row(60, offset_from_one, "stats-first-error", \
	    "ranges are numbered from 1") \
	row(61, success_despite_error, "stats-per-range", \
	    "success is set for every range reached") \
	row(62, partial_never, "stats-per-range", \
	    "partial is never set") \
	row(63, partial_when_none, "stats-per-range", \
	    "partial is set although no part was advised") \
	row(64, unreached_written, "stats-per-range", \
	    "elements of ranges that were not reached are zeroed") \
	row(65, empty_range_no_element, "stats-per-range", \
	    "an empty range has no element, later ones move up") \
	row(66, range_echoed_rounded, "stats-per-range", \
	    "the range in an element has its size rounded up") \
	row(67, per_range_pointer_cleared, "stats-per-range", \
	    "the pointer to the elements comes back NULL") \
	row(68, padding_leaked_stats, "abi-writes-confined", \
	    "padding of stats holds what lay on the stack") \
	row(69, padding_leaked_element, "abi-writes-confined", \
	    "padding of per-range elements holds what lay on the stack") \
	row(70, stats_overrun, "abi-writes-confined", \
	    "a word behind stats is written, as if they were longer") \
	row(71, stats_fault_unnoticed, "stats-fault", \
	    "stats that cannot be written are no error") \
	row(72, control_read_twice, "stats-single-fetch", \
	    "the control struct is read again to find stats") \
	row(73, array_read_twice, "stats-single-fetch", \
	    "each range is read again when it is reached") \
	row(74, pointer_read_twice, "stats-single-fetch", \
	    "the pointer to the elements is read again to write them") \
	row(75, remote_any_advice, "remote-advices", \
	    "which advices another process may be given is not looked at") \
	row(76, remote_gone_is_ebadf, "remote-access", \
	    "a process that is gone gives EBADF") \
	row(77, remote_self_is_other, "remote-access", \
	    "a pidfd of the caller is held to the rules for other processes") \
	row(78, remote_own_map, "remote-addresses", \
	    "addresses are looked up in the map of the caller") \
	row(79, default_any_advice, "default-advices", \
	    "set_default takes every advice that ALL takes")
/* clang-format on */

#ifdef MADVET_MUTANTS
enum shim_mutant {
#define SHIM_MUTANT_ROW(number, name, requirement, what) SHIM_MUTANT_##name = (number),
	SHIM_MUTANTS(SHIM_MUTANT_ROW)
#undef SHIM_MUTANT_ROW
};

extern int shim_mutant;
#define MUTANT(name) (shim_mutant == SHIM_MUTANT_##name)
#else
#define MUTANT(name) false
#endif

#endif
