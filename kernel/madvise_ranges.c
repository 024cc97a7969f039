// SPDX-License-Identifier: GPL-2.0-only
/*
 * madvise_ranges(): advice for many ranges, or for a whole address space, in one call, with
 * control over gaps and errors and a report of what was done. Version 1 of its ABI.
 *
 * Included at the end of mm/madvise.c, whose functions advise one mapping.
 */
#ifdef CONFIG_MADVISE_RANGES

#include <linux/blkdev.h>
#include <linux/compat.h>
#include <linux/moduleparam.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "madvise_abi.h"
#include "madvise_ranges.h"
#include "madvise_ranges_mutants.h"
#include "madvise_ranges_release.h"
#include "madvise_ranges_abi.c"
#include "madvise_ranges_planted.c"
#include "madvise_ranges_walk.c"

/* Whose memory is advised. task: NULL if the caller's own. */
struct mr_target {
	struct task_struct *task;
	struct mm_struct *mm;
};

static void mr_put_target(const struct mr_target *target)
{
	if (!target->task)
		return;
	if (!MR_MUTANT(mm_kept))
		mmput(target->mm);
	if (!MR_MUTANT(task_kept))
		put_task_struct(target->task);
}

/* 0 and a target to put, or an error: the same access and rights as process_madvise(2) wants. */
static int mr_get_target(struct mr_target *target, const struct mr_request *request)
{
	unsigned int f_flags;

	target->task = NULL;
	target->mm = current->mm;
	if (!(request->flags & MADVISE_RANGES_IS_REMOTE))
		return 0;
	target->task = pidfd_get_task(request->pidfd, &f_flags);
	if (IS_ERR(target->task))
		return PTR_ERR(target->task);
	target->mm = mm_access(target->task, PTRACE_MODE_READ_FSCREDS);
	if (IS_ERR(target->mm) && !MR_MUTANT(gone_process_used)) {
		put_task_struct(target->task);
		return PTR_ERR(target->mm);
	}
	if (target->mm != current->mm && !capable(CAP_SYS_NICE)) {
		mr_put_target(target);
		return -EPERM;
	}
	return 0;
}

/* The first range that may not be advised, or count. Nothing was advised before this is known. */
static unsigned long mr_find_bad(const struct mr_request *request, const struct mm_struct *mm)
{
	unsigned long i;

	for (i = 0; i < request->count; i++) {
		const struct mr_range *range = &request->ranges[i];

		if (!mr_range_good(request, range, madvise_behavior_valid(range->advice),
				   mm != current->mm))
			break;
	}
	return i;
}

static int mr_apply(struct mr_request *request, struct mm_struct *mm)
{
	struct mr_walk walk;
	unsigned long bad = mr_find_bad(request, mm);
	int err;

	mr_walk_init(&walk, request, MR_MUTANT(remote_own_memory) ? current->mm : mm);
	if (bad < request->count) {
		walk.index = bad;
		err = -EINVAL;
		mr_note_error(&walk, err, request->ranges[bad].addr);
	} else if (request->type == MADVISE_RANGE_ALL) {
		err = mr_walk_all(&walk);
	} else {
		err = mr_walk_ranges(&walk);
	}
	if (MR_MUTANT(control_read_twice))
		mr_fetch_control_again(request);
	if (MR_MUTANT(array_used_after_free))
		mr_free_ranges(request);
	return mr_report(request, &walk.stats, walk.reached, err);
}

SYSCALL_DEFINE1(madvise_ranges, void __user *, ctl)
{
	struct mr_request request;
	struct mr_target target;
	int err;

	err = mr_fetch_control(&request, ctl);
	if (err)
		return err;
	if (!MR_MUTANT(target_before_stats)) {
		err = mr_fetch_stats(&request);
		if (err)
			return err;
	}
	err = mr_get_target(&target, &request);
	if (err)
		return err;
	if (MR_MUTANT(target_before_stats))
		err = mr_fetch_stats(&request);
	if (!err)
		err = mr_fetch_ranges(&request);
	if (err == -ENOMEM && MR_MUTANT(target_kept_without_memory))
		return err;
	if (!err)
		err = mr_apply(&request, target.mm);
	if (!MR_MUTANT(array_used_after_free) && !(err == -EINVAL && MR_MUTANT(array_kept)))
		mr_free_ranges(&request);
	mr_put_target(&target);
	return err;
}

#endif /* CONFIG_MADVISE_RANGES */
