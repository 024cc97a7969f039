// SPDX-License-Identifier: GPL-2.0-only
/*
 * madvise_ranges(): the walk over mappings, under the lock, without any access to user memory.
 *
 * Nothing is remembered of a mapping from one step to the next: advice splits and merges mappings,
 * and some of it drops the lock. Each step looks up the next address again.
 */

struct mr_walk {
	struct mr_request *request;
	struct mm_struct *mm;
	struct mr_advisor advisor;
	struct mr_stats stats;
	unsigned long reached;	 /* ranges */
	unsigned long index;	 /* of the range at hand */
	unsigned long start;	 /* of the range at hand: its first address */
	unsigned long nr_advised; /* parts of the range at hand */
	unsigned long nr_failed;
};

static void mr_walk_init(struct mr_walk *walk, struct mr_request *request, struct mm_struct *mm)
{
	walk->request = request;
	walk->mm = mm;
	walk->reached = 0;
	walk->index = 0;
	memset(&walk->stats, 0, sizeof(walk->stats));
}

/* Details of an error, ignored or not: those of the first are kept. */
static void mr_note_error(struct mr_walk *walk, int err, unsigned long address)
{
	if (walk->stats.err && !MR_MUTANT(last_error_wins))
		return;
	walk->stats.err = -err;
	walk->stats.failed_address = MR_MUTANT(failed_address_of_range) ? walk->start : address;
	walk->stats.offset = walk->index;
}

/* A signal, and a fault on user memory, end the call whatever the caller ignores. */
static bool mr_ignored(const struct mr_walk *walk, int err)
{
	if (!(walk->request->flags & MADVISE_RANGES_IGNORE_ERRORS) || err == -EINTR)
		return false;
	return err != -EFAULT || MR_MUTANT(fault_ignored);
}

static void mr_count_advised(struct mr_walk *walk, unsigned long size)
{
	walk->stats.mappings_advised++;
	walk->stats.pages_advised += size >> PAGE_SHIFT;
}

static void mr_count_skipped(struct mr_walk *walk, unsigned long size)
{
	walk->stats.mappings_skipped++;
	walk->stats.pages_skipped += size >> PAGE_SHIFT;
}

/*
 * An advice lost a race, and asked for the system call to be made again. That would repeat what was
 * done and counted, so only the lock is dropped and taken: 0, or -EINTR with the lock not held.
 * With the request came a pending signal that does not exist; later advice must not see it.
 */
static int mr_relock(struct mr_walk *walk, unsigned long at, bool *locked)
{
	int err = -EINTR;

	mr_unlock(&walk->advisor);
	spin_lock_irq(&current->sighand->siglock);
	recalc_sigpending();
	spin_unlock_irq(&current->sighand->siglock);
	cond_resched();
	if (!fatal_signal_pending(current))
		err = mr_lock(&walk->advisor);
	if (err) {
		*locked = false;
		mr_note_error(walk, err, at);
	}
	return err;
}

/*
 * Advise the part [start, *end) of a mapping and count it. 0 to go on at *end, -ERESTARTNOINTR to
 * look start up again under a fresh lock, or the error that ends the call.
 */
static int mr_walk_part(struct mr_walk *walk, struct vm_area_struct *vma,
			struct vm_area_struct *prev, unsigned long start, unsigned long *end)
{
	unsigned long whole = vma->vm_end - vma->vm_start;
	int err = mr_advise(&walk->advisor, vma, prev, start, end);

	if (err == -ERESTARTNOINTR)
		return err;
	if (err == -ERESTARTSYS) /* a signal came, see ksm_madvise(); what was counted stays counted */
		err = -EINTR;
	if (err == -EAGAIN && MR_MUTANT(no_memory_is_done))
		err = 0;
	if (MR_MUTANT(vma_used_after_merge))
		mr_look_again(walk->mm, vma, start);
	if (!err) {
		walk->nr_advised++;
		mr_count_advised(walk, MR_MUTANT(pages_of_whole_mapping) ? whole : *end - start);
		return 0;
	}
	walk->nr_failed++;
	mr_note_error(walk, err, start);
	if (mr_ignored(walk, err)) {
		mr_count_skipped(walk, *end - start);
		if (MR_MUTANT(ignored_error_retried))
			*end = start;
		return 0;
	}
	if (MR_MUTANT(ending_part_counted))
		mr_count_skipped(walk, *end - start);
	return err;
}

/* A gap begins at an address. 0 to go on behind it, or -ENOMEM to stop. */
static int mr_meet_gap(struct mr_walk *walk, unsigned long at, bool last)
{
	if (!last || !MR_MUTANT(gap_at_end_missed))
		walk->stats.gaps++;
	if (!last && MR_MUTANT(gap_counted_twice))
		walk->stats.gaps++;
	if (!(walk->request->flags & MADVISE_RANGES_STOP_ON_GAP))
		return 0;
	if (MR_MUTANT(gap_stop_ignored) && walk->request->flags & MADVISE_RANGES_IGNORE_ERRORS)
		return 0;
	mr_note_error(walk, -ENOMEM, at);
	if (!last)
		walk->nr_failed++; /* the mapping behind the gap stays without advice */
	return -ENOMEM;
}

/*
 * single_mapping_only: does [start, end) lie in one mapping? -ENOMEM if any of it is unmapped, with
 * the first unmapped address; else -EINVAL, with the end of the first mapping.
 */
static int mr_judge_single(struct mr_walk *walk, unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma;
	unsigned long first_end = 0, at;

	if (!(walk->request->flags & MADVISE_RANGES_SINGLE_MAPPING_ONLY))
		return 0;
	for (at = start; at < end; at = vma->vm_end) {
		vma = find_vma(walk->mm, at);
		if (!vma || vma->vm_start > at) {
			mr_note_error(walk, -ENOMEM, at);
			return -ENOMEM;
		}
		if (!first_end)
			first_end = vma->vm_end;
		cond_resched();
	}
	if (first_end >= end || MR_MUTANT(single_mapping_touching))
		return 0;
	mr_note_error(walk, -EINVAL, first_end);
	return -EINVAL;
}

/* Where the walk goes on after a part; a mutant looks at what became of its mapping. */
static unsigned long mr_behind(struct mr_walk *walk, unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma;

	if (!MR_MUTANT(merged_neighbour_missed))
		return end;
	vma = find_vma(walk->mm, start);
	return vma ? max(vma->vm_end, end) : end;
}

/* A place where other tasks may run. */
static void mr_pause(void)
{
	if (MR_MUTANT(sleeps_in_atomic))
		preempt_disable();
	cond_resched();
	if (MR_MUTANT(sleeps_in_atomic))
		preempt_enable();
}

/* All mappings and gaps of [start, end): 0, or the error that ends the call. */
static int mr_walk_span(struct mr_walk *walk, unsigned long start, unsigned long end, bool *locked)
{
	unsigned long at = start, part_end;
	int err;

	while (at < end) {
		unsigned long failed = walk->nr_failed;
		struct vm_area_struct *vma, *prev;
		bool last;

		if (fatal_signal_pending(current) && !MR_MUTANT(ignored_error_retried)) {
			mr_note_error(walk, -EINTR, at);
			return -EINTR;
		}
		vma = find_vma_prev(walk->mm, at, &prev);
		if (!vma || vma->vm_start > at) {
			last = !vma || vma->vm_start >= end;
			err = mr_meet_gap(walk, at, last);
			if (err || last)
				return err;
			at = vma->vm_start;
		}
		if (vma->vm_start < at)
			prev = vma;
		part_end = min(vma->vm_end, end);
		err = mr_walk_part(walk, vma, prev, at, &part_end);
		if (err == -ERESTARTNOINTR) {
			err = mr_relock(walk, at, locked);
			if (err)
				return err;
			err = mr_judge_single(walk, start, end);
			if (!err)
				continue;
			walk->nr_failed++;
			return mr_ignored(walk, err) ? 0 : err;
		}
		if (err)
			return err;
		if (MR_MUTANT(ignored_error_ends_range) && walk->nr_failed > failed)
			return 0;
		at = mr_behind(walk, at, part_end);
		mr_pause();
	}
	return 0;
}

/* One range: 0, or the error that ends the call. */
static int mr_walk_range(struct mr_walk *walk, struct mr_range *range)
{
	unsigned long length = PAGE_ALIGN(range->size), start;
	bool locked = true;
	int err;

	walk->nr_advised = 0;
	walk->nr_failed = 0;
	if (!length) {
		range->success = true;
		return 0;
	}
	mr_advisor_init(&walk->advisor, walk->mm, range->advice);
	err = mr_lock(&walk->advisor);
	if (err) {
		mr_note_error(walk, err, range->addr);
		return err;
	}
	start = mr_untagged(&walk->advisor, range->addr);
	walk->start = start;
	if (MR_MUTANT(copy_under_lock))
		mr_peek(walk->request);
	err = mr_judge_single(walk, start, start + length);
	if (err) {
		if (!MR_MUTANT(lock_kept_on_error))
			mr_unlock(&walk->advisor);
		return mr_ignored(walk, err) ? 0 : err;
	}
	err = mr_walk_span(walk, start, start + length, &locked);
	if (locked && !(err == -EAGAIN && MR_MUTANT(lock_kept_without_memory)))
		mr_unlock(&walk->advisor);
	if (err && MR_MUTANT(lock_dropped_twice))
		mmap_read_unlock(walk->mm);
	range->success = !err && !walk->nr_failed;
	range->partial = walk->nr_advised && walk->nr_failed && !MR_MUTANT(partial_never);
	return err;
}

/* SINGLE and MULTI. 0, or the error of the call. */
static int mr_walk_ranges(struct mr_walk *walk)
{
	struct mr_request *request = walk->request;
	int err, first = 0;

	for (; walk->index < request->count; walk->index++) {
		if (MR_MUTANT(array_read_twice))
			mr_fetch_range_again(request, walk->index);
		err = mr_walk_range(walk, &request->ranges[walk->index]);
		walk->reached = walk->index + 1;
		if (err && !MR_MUTANT(error_goes_on))
			return err;
		first = first ? first : err;
		cond_resched();
	}
	if (MR_MUTANT(gap_is_enomem) && walk->stats.gaps)
		return -ENOMEM;
	return first;
}

/*
 * Later mappings start with the flags of an advice. Only its own bits are touched: mlockall() keeps
 * others in the same place. fork and exec pass on what VM_INIT_DEF_MASK lets through.
 */
static void mr_set_default(struct mm_struct *mm, int advice)
{
	vm_flags_t set = 0, clear = 0;

	switch (advice) {
	case MADV_NORMAL:
		clear = VM_RAND_READ | VM_SEQ_READ;
		break;
	case MADV_RANDOM:
		set = VM_RAND_READ;
		clear = VM_SEQ_READ;
		break;
	case MADV_SEQUENTIAL:
		set = VM_SEQ_READ;
		clear = VM_RAND_READ;
		break;
	case MADV_HUGEPAGE:
		set = VM_HUGEPAGE;
		clear = VM_NOHUGEPAGE;
		break;
	case MADV_NOHUGEPAGE:
		set = VM_NOHUGEPAGE;
		clear = VM_HUGEPAGE;
		break;
	case MADV_DONTDUMP:
		set = VM_DONTDUMP;
		break;
	case MADV_DODUMP:
		clear = VM_DONTDUMP;
		break;
	}
	if (MR_MUTANT(default_opposite_stays))
		clear = 0;
	if (MR_MUTANT(default_replaces) && set)
		clear = ~VM_NONE;
	mm->def_flags = (mm->def_flags & ~clear) | set;
}

/* Every mapping from the lowest up; special ones are counted, and left alone. */
static int mr_walk_mappings(struct mr_walk *walk, bool *locked)
{
	unsigned long at = 0, start, end;
	int err;

	for (;;) {
		struct vm_area_struct *vma, *prev;

		if (fatal_signal_pending(current)) {
			mr_note_error(walk, -EINTR, at);
			return -EINTR;
		}
		vma = find_vma_prev(walk->mm, at, &prev);
		if (!vma)
			return 0;
		if (vma->vm_start < at)
			prev = vma;
		start = max(vma->vm_start, at);
		end = vma->vm_end;
		if (vma->vm_flags & (VM_SPECIAL | VM_HUGETLB)) {
			mr_count_skipped(walk, end - start);
			err = 0;
		} else {
			err = mr_walk_part(walk, vma, prev, start, &end);
		}
		if (err == -ERESTARTNOINTR) {
			err = mr_relock(walk, start, locked);
			if (!err)
				continue;
		}
		if (err)
			return err;
		at = end;
		cond_resched();
	}
}

/* ALL. The default is set under the same lock, so that no mapping comes in between. */
static int mr_walk_all(struct mr_walk *walk)
{
	int advice = walk->request->ranges[0].advice;
	bool locked = true;
	int err;

	walk->nr_advised = 0;
	walk->nr_failed = 0;
	mr_advisor_init(&walk->advisor, walk->mm, advice);
	err = mr_lock(&walk->advisor);
	if (err) {
		mr_note_error(walk, err, 0);
		return err;
	}
	err = mr_walk_mappings(walk, &locked);
	if (!err && walk->request->set_default)
		mr_set_default(walk->mm, advice);
	if (locked && !MR_MUTANT(lock_kept_by_all))
		mr_unlock(&walk->advisor);
	return err;
}
