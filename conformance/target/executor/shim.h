// SPDX-License-Identifier: GPL-2.0-only
/*
 * madvise_ranges(), version 1, in user space: on top of madvise(2), process_madvise(2) and the
 * process's own map in /proc.
 *
 * Complete as conformance/model has it, but for what no user space can have:
 *
 * - set_default: answered with -EOPNOTSUPP, after all validation and before any effect.
 * - One lock for the whole of a range: other threads (or the target itself) can change the
 *   mappings between two parts, and between looking a part up and advising it. A range that is
 *   judged single_mapping_only may be split by them before it is advised.
 * - Kernel resources: a call needs one or two free descriptors (EMFILE, ENFILE), /proc, and
 *   CONFIG_CROSS_MEMORY_ATTACH; the last two missing is answered with -ENOSYS. MADVISE_RANGE_ALL
 *   needs /proc/PID/smaps (CONFIG_PROC_PAGE_MONITOR).
 *
 * It allocates nothing and maps nothing; it needs 40 KiB of stack.
 */
#ifndef MADVET_SHIM_H
#define MADVET_SHIM_H

/* The call: 0, or -errno. ctl may be any value at all; memory that is not there is -EFAULT. */
int shim_madvise_ranges(void *ctl);

/*
 * From now on, advices that poison memory (HWPOISON, SOFT_OFFLINE) fail with -EPERM where they
 * would be applied: poisoned memory is lost to the whole machine. 0: no longer.
 */
void shim_refuse_poison(int refuse);

/* Switch on one fault of shim_mutants.h, 0 for none. Without MADVET_MUTANTS: does nothing. */
void shim_set_mutant(int number);

#endif
