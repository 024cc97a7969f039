/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How mm/madvise.c of this release advises part of one mapping: what it must be told, and which
 * lock it needs. The walk knows only what is declared here.
 *
 * An advisor is made for one range: lock, advise part after part, unlock. Errors are those of
 * madvise(2). -ERESTARTNOINTR means that the part must be looked up and advised again, after the
 * lock was dropped and taken.
 */
#ifndef _MM_MADVISE_RANGES_RELEASE_H
#define _MM_MADVISE_RANGES_RELEASE_H

/*
 * Asked for by what it brought, not by release: struct madvise_behavior, with the range and the
 * mapping at hand in it, came with this value in it (6.17).
 */
#ifdef __MADV_SET_ANON_VMA_NAME

struct mr_advisor {
	struct mmu_gather tlb;
	struct madvise_behavior behavior;
};

static void mr_advisor_init(struct mr_advisor *advisor, struct mm_struct *mm, int advice)
{
	advisor->behavior = (struct madvise_behavior){
		.mm = mm,
		.behavior = advice,
		.tlb = &advisor->tlb,
	};
}

/*
 * Where madvise(2) could do with the lock of one VMA, or with none, the walk still needs the
 * mmap_lock to look mappings up. 0 or -EINTR.
 */
static int mr_lock(struct mr_advisor *advisor)
{
	struct madvise_behavior *behavior = &advisor->behavior;
	struct mm_struct *mm = behavior->mm;

	if (get_lock_mode(behavior) == MADVISE_MMAP_WRITE_LOCK &&
	    !MR_MUTANT(write_lock_forgotten)) {
		if (mmap_write_lock_killable(mm))
			return -EINTR;
		behavior->lock_mode = MADVISE_MMAP_WRITE_LOCK;
	} else {
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		behavior->lock_mode = MADVISE_MMAP_READ_LOCK;
	}
	madvise_init_tlb(behavior);
	return 0;
}

static void mr_unlock(struct mr_advisor *advisor)
{
	madvise_finish_tlb(&advisor->behavior);
	madvise_unlock(&advisor->behavior);
}

static unsigned long mr_untagged(const struct mr_advisor *advisor, unsigned long address)
{
	return get_untagged_addr(advisor->behavior.mm, address);
}

/*
 * Advise [start, *end), which lies in vma. The lock is held before and afterwards, but may have
 * been dropped in between: whoever called must not use vma and prev any more. *end is lowered when
 * the mapping was split meanwhile and the advice went no further.
 */
static int mr_advise(struct mr_advisor *advisor, struct vm_area_struct *vma,
		     struct vm_area_struct *prev, unsigned long start, unsigned long *end)
{
	struct madvise_behavior *behavior = &advisor->behavior;
	struct blk_plug plug;
	int err;

	behavior->range.start = start;
	behavior->range.end = *end;
	behavior->vma = vma;
	behavior->prev = prev;
	behavior->lock_dropped = false;
	if (is_memory_failure(behavior)) {
		mmap_read_unlock(behavior->mm);
		err = madvise_inject_error(behavior);
		mmap_read_lock(behavior->mm);
		return err;
	}
	blk_start_plug(&plug);
	if (is_madvise_populate(behavior))
		err = madvise_populate(behavior);
	else
		err = madvise_vma_behavior(behavior);
	blk_finish_plug(&plug);
	if (!err && behavior->lock_dropped && behavior->range.end < *end &&
	    behavior->range.end > start && behavior->range.end == behavior->vma->vm_end)
		*end = behavior->range.end;
	return err;
}

#else /* 6.12: no struct madvise_behavior, and an advice takes one lock from start to end */

struct mr_advisor {
	struct mm_struct *mm;
	int advice;
};

static void mr_advisor_init(struct mr_advisor *advisor, struct mm_struct *mm, int advice)
{
	advisor->mm = mm;
	advisor->advice = advice;
}

static bool mr_needs_write(const struct mr_advisor *advisor)
{
	if (IS_ENABLED(CONFIG_MEMORY_FAILURE) &&
	    (advisor->advice == MADV_HWPOISON || advisor->advice == MADV_SOFT_OFFLINE))
		return false;
	return madvise_need_mmap_write(advisor->advice);
}

static int mr_lock(struct mr_advisor *advisor)
{
	if (mr_needs_write(advisor))
		return mmap_write_lock_killable(advisor->mm);
	return mmap_read_lock_killable(advisor->mm);
}

static void mr_unlock(struct mr_advisor *advisor)
{
	if (mr_needs_write(advisor))
		mmap_write_unlock(advisor->mm);
	else
		mmap_read_unlock(advisor->mm);
}

static unsigned long mr_untagged(const struct mr_advisor *advisor, unsigned long address)
{
	return untagged_addr_remote(advisor->mm, address);
}

static int mr_advise(struct mr_advisor *advisor, struct vm_area_struct *vma,
		     struct vm_area_struct *prev, unsigned long start, unsigned long *end)
{
	struct mm_struct *mm = advisor->mm;
	int advice = advisor->advice;
	struct blk_plug plug;
	int err;

#ifdef CONFIG_MEMORY_FAILURE
	if (advice == MADV_HWPOISON || advice == MADV_SOFT_OFFLINE) {
		mmap_read_unlock(mm);
		err = madvise_inject_error(advice, start, *end);
		mmap_read_lock(mm);
		return err;
	}
#endif
	blk_start_plug(&plug);
	if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)
		err = madvise_populate(mm, start, *end, advice);
	else
		err = madvise_vma_behavior(vma, &prev, start, *end, advice);
	blk_finish_plug(&plug);
	return err;
}

#endif /* __MADV_SET_ANON_VMA_NAME */

#endif /* _MM_MADVISE_RANGES_RELEASE_H */
