// SPDX-License-Identifier: GPL-2.0-only
/*
 * madvise_ranges(): the arguments, and the report. Knows user memory and no mappings.
 *
 * Also compiled in user space, with copy_from_user() and copy_to_user() of its tests: what it
 * takes from the kernel is included by madvise_ranges.c.
 */

#define MR_CHUNK 8 /* elements on the stack at a time */

/* Reserved bits, then type, then set_default: all that the control struct says for itself. */
static int mr_check_options(const u8 flags[4], u32 type, u8 set_default)
{
	const u8 pointless = MADVISE_RANGES_STOP_ON_GAP | MADVISE_RANGES_SINGLE_MAPPING_ONLY;

	if (flags[0] & ~MADVISE_RANGES_FLAGS_KNOWN)
		return -EINVAL;
	if ((flags[1] || flags[2] || flags[3]) && !MR_MUTANT(reserved_tail_accepted))
		return -EINVAL;
	if (type > MADVISE_RANGE_ALL)
		return -EINVAL;
	if (type != MADVISE_RANGE_ALL)
		return 0;
	if (set_default > 1 && !MR_MUTANT(set_default_any_byte))
		return -EINVAL;
	if (flags[0] & pointless && !MR_MUTANT(all_options_accepted))
		return -EINVAL;
	if (set_default && flags[0] & MADVISE_RANGES_IS_REMOTE)
		return -EINVAL;
	return 0;
}

static void mr_take_range(struct mr_range *range, unsigned long addr, unsigned long size,
			  int advice)
{
	range->addr = addr;
	range->size = size;
	range->advice = advice;
	range->success = false;
	range->partial = false;
}

/* The data model of the kernel itself. */
#define MR_WORD unsigned long
#define MR_NAME(name) name##_native
#define MR_POINTER(word) ((void __user *)(word))
#define MR_SATURATE(value) (value)
#include "madvise_ranges_layout.h"
#undef MR_WORD
#undef MR_NAME
#undef MR_POINTER
#undef MR_SATURATE

static_assert(sizeof(struct mr_user_range_native) == sizeof(struct madvise_range));
static_assert(sizeof(struct mr_user_element_native) == sizeof(struct madvise_range_stats));
static_assert(sizeof(struct mr_user_stats_native) == sizeof(struct madvise_ranges_stats));
static_assert(sizeof(struct mr_user_control_native) == sizeof(struct madvise_ranges_control));

/* 32-bit callers of a 64-bit kernel; their structs have the sizes that the ABI gives for ILP32. */
#define MR_WORD u32
#define MR_NAME(name) name##_compat
#define MR_POINTER(word) ((void __user *)(unsigned long)(word))
#define MR_SATURATE(value) ((u32)min_t(unsigned long, value, U32_MAX))
#include "madvise_ranges_layout.h"
#undef MR_WORD
#undef MR_NAME
#undef MR_POINTER
#undef MR_SATURATE

static_assert(sizeof(struct mr_user_range_compat) == 12);
static_assert(sizeof(struct mr_user_element_compat) == 16);
static_assert(sizeof(struct mr_user_stats_compat) == 36);
static_assert(sizeof(struct mr_user_control_compat) == 32);

/*
 * What lies behind the version is only known when it is: of a version from the future, nothing else
 * is read.
 */
static int mr_fetch_control(struct mr_request *request, const char __user *ctl)
{
	s32 version;

	request->ctl = ctl;
	request->per_range = NULL;
	request->ranges = request->inline_ranges;
	if (copy_from_user(&version, ctl, sizeof(version)))
		return -EFAULT;
	if (version != MADVISE_RANGES_VERSION && !MR_MUTANT(version_ignored))
		return -EINVAL;
	if (in_compat_syscall())
		return mr_fetch_control_compat(request, ctl);
	return mr_fetch_control_native(request, ctl);
}

static int mr_fetch_stats(struct mr_request *request)
{
	int err;

	if (!request->stats)
		return 0;
	if (in_compat_syscall())
		err = mr_fetch_stats_compat(request);
	else
		err = mr_fetch_stats_native(request);
	if (!err && request->type == MADVISE_RANGE_ALL && request->per_range)
		err = -EINVAL;
	return err;
}

static void mr_free_ranges(struct mr_request *request)
{
	if (request->ranges != request->inline_ranges)
		kvfree(request->ranges);
}

/* The array of MULTI. Whatever the result: mr_free_ranges() when done. */
static int mr_fetch_ranges(struct mr_request *request)
{
	int err;

	if (request->type != MADVISE_RANGE_MULTI)
		return 0;
	if (request->count > MADVISE_RANGES_COUNT_MAX &&
	    !(MR_MUTANT(count_unlimited) && request->count <= 65536))
		return -EINVAL;
	if (request->count > MR_RANGES_INLINE) {
		request->ranges = kvmalloc_array(request->count - MR_MUTANT(array_one_short),
						 sizeof(request->ranges[0]), GFP_KERNEL_ACCOUNT);
		if (!request->ranges && !MR_MUTANT(missing_array_used))
			return -ENOMEM;
	}
	if (in_compat_syscall())
		err = mr_fetch_array_compat(request);
	else
		err = mr_fetch_array_native(request);
	if (err && MR_MUTANT(array_freed_twice))
		mr_free_ranges(request);
	return err;
}

#define MR_ADVICE_ROW(name, value, uses) \
	{ MADV_##name, (uses) + BUILD_BUG_ON_ZERO(MADV_##name != (value)) },

/* What an advice may be used for: MADVISE_ADVICE_* bits. */
static unsigned int mr_advice_uses(int advice)
{
	static const struct {
		int advice;
		unsigned int uses;
	} rows[] = { MADVISE_ADVICES(MR_ADVICE_ROW) };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].advice == advice)
			return rows[i].uses;
	return 0;
}

/* Is this range one that may be advised? valid: whether this kernel knows its advice. */
static bool mr_range_good(const struct mr_request *request, const struct mr_range *range,
			  bool valid, bool other_process)
{
	unsigned int uses = mr_advice_uses(range->advice);
	unsigned long length = PAGE_ALIGN(range->size);

	if (!valid && !(MR_MUTANT(validation_ignored) &&
			request->flags & MADVISE_RANGES_IGNORE_ERRORS))
		return false;
	if (other_process && !(uses & MADVISE_ADVICE_REMOTE) && !MR_MUTANT(remote_any_advice))
		return false;
	if (request->type == MADVISE_RANGE_ALL) {
		if (request->set_default && !(uses & MADVISE_ADVICE_DEFAULT) &&
		    !MR_MUTANT(default_advice_unchecked))
			return false;
		return uses & MADVISE_ADVICE_WHOLE;
	}
	if (!PAGE_ALIGNED(range->addr) || (range->size && !length))
		return false;
	if (!length && MR_MUTANT(empty_range_refused))
		return false;
	return range->addr + length >= range->addr;
}

/*
 * Elements first, then the stats, even if an element could not be written: as much as can be
 * written is. Gives the result of the call, whose own result is err.
 */
static int mr_report(const struct mr_request *request, const struct mr_stats *stats,
		     unsigned long reached, int err)
{
	int elements = 0, rest;

	if (!request->stats || (err && MR_MUTANT(stats_not_written_on_error)))
		return err;
	if (in_compat_syscall()) {
		if (request->per_range)
			elements = mr_store_elements_compat(request, reached);
		rest = mr_store_stats_compat(request, stats);
	} else {
		if (request->per_range)
			elements = mr_store_elements_native(request, reached);
		rest = mr_store_stats_native(request, stats);
	}
	return elements || rest ? -EFAULT : err;
}
