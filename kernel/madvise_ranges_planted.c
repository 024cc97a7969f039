// SPDX-License-Identifier: GPL-2.0-only
/* madvise_ranges(): what only some planted faults do; see madvise_ranges_mutants.h. */

/* What the array holds by now. */
static void mr_fetch_range_again(struct mr_request *request, unsigned long index)
{
	struct mr_user_range_native again;
	const char __user *from = request->array;

	if (request->type == MADVISE_RANGE_MULTI &&
	    !copy_from_user(&again, from + index * sizeof(again), sizeof(again)))
		mr_take_range(&request->ranges[index], again.addr, again.size, again.advice);
}

/* What the control struct holds by now. */
static void mr_fetch_control_again(struct mr_request *request)
{
	struct mr_request again;

	request->stats = mr_fetch_control(&again, request->ctl) ? NULL : again.stats;
}

/* User memory is looked at, whatever lock is held. */
static void mr_peek(const struct mr_request *request)
{
	char byte;

	if (copy_from_user(&byte, request->ctl, sizeof(byte)))
		cond_resched();
}

/*
 * A mapping that was merged away stays memory of its cache until a grace period has passed, and no
 * checker can tell before.
 */
static void mr_look_again(struct mm_struct *mm, struct vm_area_struct *vma, unsigned long start)
{
	if (find_vma(mm, start) == vma)
		return;
	synchronize_rcu();
	rcu_barrier();
	if (READ_ONCE(vma->vm_start) > start)
		cond_resched();
}
