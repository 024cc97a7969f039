// SPDX-License-Identifier: GPL-2.0-only
/*
 * The arguments, each read once, and their checks in the specified order. Nothing is applied
 * and nothing is written here.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim_types.h"

#define FLAGS_AT (offsetof(struct madvise_ranges_control, pidfd) + sizeof(int))
#define SET_DEFAULT_AT offsetof(struct madvise_ranges_control, all.set_default)
#define UNION_AT offsetof(struct madvise_ranges_control, range)
#define UNION_END offsetof(struct madvise_ranges_control, stats)
#define RESERVED_BYTES 3 /* behind the byte of the options */

static unsigned int uses_of(int advice)
{
	static const struct {
		int advice;
		unsigned int uses;
	} rows[] = {
#define ADVICE_ROW(name, value, uses) { value, uses },
		MADVISE_ADVICES(ADVICE_ROW)
#undef ADVICE_ROW
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].advice == advice)
			return rows[i].uses;
	return 0;
}

/* Does this kernel know the advice? Asked for an empty range, it does no more than answer. */
static bool advice_valid(int advice)
{
	return madvise(NULL, 0, advice) == 0;
}

/* The first byte of a range, and the first behind it; its address has been checked. */
uintptr_t shim_range_start(const struct shim_request *request, size_t index)
{
	uintptr_t start = (uintptr_t)request->ranges[index].addr;

	return start & ~(uintptr_t)(request->page - 1);
}

static size_t rounded(const struct shim_request *request, size_t size)
{
	if (MUTANT(size_cut_to_32_bits))
		size = (uint32_t)size;
	if (MUTANT(size_rounded_down))
		return size & ~(request->page - 1);
	return (size + request->page - 1) & ~(request->page - 1);
}

uintptr_t shim_range_end(const struct shim_request *request, size_t index)
{
	return shim_range_start(request, index) + rounded(request, request->ranges[index].size);
}

static bool address_good(const struct shim_request *request, const struct madvise_range *range)
{
	uintptr_t start = (uintptr_t)range->addr;
	size_t size = rounded(request, range->size);

	if (start & (request->page - 1) && !MUTANT(unaligned_rounded_down))
		return false;
	if (range->size && !size)
		return MUTANT(huge_size_is_empty) || MUTANT(size_rounded_down) ||
		       MUTANT(size_cut_to_32_bits);
	if (!size && MUTANT(empty_range_refused))
		return false;
	return start + size >= start;
}

static bool range_good(const struct shim_request *request, const struct madvise_range *range)
{
	unsigned int uses = uses_of(range->advice);
	bool skip = MUTANT(advice_checked_late) ||
		    (MUTANT(validation_ignored) && request->flags & MADVISE_RANGES_IGNORE_ERRORS);

	if (!skip && !advice_valid(range->advice))
		return false;
	if (request->target.pid && !(uses & MADVISE_ADVICE_REMOTE) && !MUTANT(remote_any_advice))
		return false;
	if (request->type != MADVISE_RANGE_ALL)
		return address_good(request, range);
	if (request->set_default && !MUTANT(default_any_advice))
		return uses & MADVISE_ADVICE_DEFAULT;
	if (MUTANT(all_accepts_harmless) && !(uses & MADVISE_ADVICE_DISCARD))
		return true;
	if (MUTANT(all_refuses_reclaim) && uses & MADVISE_ADVICE_REMOTE)
		return range->advice == MADV_COLLAPSE;
	return uses & MADVISE_ADVICE_WHOLE;
}

/* Reserved bits, then type, then the byte of set_default. */
static int read_options(struct shim_request *request, const uint8_t *raw)
{
	static const uint8_t zero[RESERVED_BYTES];
	unsigned int unknown = raw[FLAGS_AT] & ~MADVISE_RANGES_FLAGS_KNOWN;

	if (unknown && !MUTANT(reserved_bits_accepted))
		return -EINVAL;
	if (memcmp(raw + FLAGS_AT + 1, zero, RESERVED_BYTES) && !MUTANT(reserved_tail_accepted))
		return -EINVAL;
	request->flags = raw[FLAGS_AT] & MADVISE_RANGES_FLAGS_KNOWN;
	memcpy(&request->type, raw + offsetof(struct madvise_ranges_control, type), sizeof(int));
	request->set_default = false;
	if (request->type > MADVISE_RANGE_ALL) {
		if (!MUTANT(type_unchecked))
			return -EINVAL;
		request->type = MADVISE_RANGE_SINGLE;
	}
	if (request->type != MADVISE_RANGE_ALL)
		return 0;
	if (raw[SET_DEFAULT_AT] > 1 && !MUTANT(set_default_any_byte))
		return -EINVAL;
	request->set_default = raw[SET_DEFAULT_AT];
	return 0;
}

/* Options that contradict each other, as far as the control struct tells. */
static int check_conflicts(const struct shim_request *request)
{
	unsigned int pointless = MADVISE_RANGES_STOP_ON_GAP | MADVISE_RANGES_SINGLE_MAPPING_ONLY;

	if (request->type != MADVISE_RANGE_ALL)
		return 0;
	if (request->flags & pointless && !MUTANT(all_options_accepted))
		return -EINVAL;
	if (request->set_default && request->flags & MADVISE_RANGES_IS_REMOTE &&
	    !MUTANT(default_remote_accepted))
		return -EINVAL;
	return 0;
}

static int read_stats(struct shim_request *request)
{
	struct madvise_ranges_stats stats;
	int err;

	if (!request->stats_at)
		return 0;
	err = shim_fetch(&stats, request->stats_at, sizeof(stats));
	if (err)
		return err;
	request->per_range_at = (uintptr_t)stats.per_range_stats;
	if (request->type != MADVISE_RANGE_ALL || !request->per_range_at)
		return 0;
	if (!MUTANT(all_per_range_accepted))
		return -EINVAL;
	request->per_range_at = 0;
	return 0;
}

static int read_target(struct shim_request *request, int pidfd)
{
	request->target.pid = 0;
	if (!(request->flags & MADVISE_RANGES_IS_REMOTE) && !MUTANT(pidfd_checked_locally))
		return 0;
	return shim_find_target(&request->target, pidfd);
}

static int read_ranges(struct shim_request *request, const struct madvise_ranges_control *control)
{
	size_t limit = MADVISE_RANGES_COUNT_MAX - MUTANT(count_limit_short);

	request->count = 1;
	request->ranges[0] = control->range;
	if (request->type == MADVISE_RANGE_ALL)
		request->ranges[0] = (struct madvise_range){ .advice = control->all.advice };
	if (request->type != MADVISE_RANGE_MULTI)
		return 0;
	request->count = control->ranges.count;
	request->array_at = (uintptr_t)control->ranges.arr;
	if (request->count > limit)
		return -EINVAL;
	if (!request->count)
		return MUTANT(count_zero_refused) ? -EINVAL : 0;
	return shim_fetch(request->ranges, request->array_at,
			  request->count * sizeof(request->ranges[0]));
}

/* Bytes of the union that the chosen arm leaves are the caller's own business. */
static int check_union_tail(const struct shim_request *request, const uint8_t *raw)
{
	static const size_t arms[] = {
		sizeof(struct madvise_range),
		sizeof(struct madvise_ranges),
		sizeof(struct madvise_ranges_all),
	};

	for (size_t i = UNION_AT + arms[request->type]; i < UNION_END; i++)
		if (raw[i])
			return -EINVAL;
	return 0;
}

/* The version alone first: what lies behind it is only known when it is. */
static int read_control(struct madvise_ranges_control *control, uintptr_t ctl_at)
{
	uint8_t *raw = (uint8_t *)control;
	size_t head = MUTANT(version_read_late) ? sizeof(*control) : sizeof(control->version);
	int err = shim_fetch(raw, ctl_at, head);
	bool known;

	if (err)
		return err;
	known = control->version == MADVISE_RANGES_VERSION ||
		(MUTANT(version_zero_accepted) && control->version == 0);
	if (!known && !MUTANT(version_ignored))
		return -EINVAL;
	if (head == sizeof(*control))
		return 0;
	return shim_fetch(raw + head, ctl_at + head, sizeof(*control) - head);
}

/* 0, or the -errno of a failure that no stats tell of. */
int shim_read_request(struct shim_request *request, uintptr_t ctl_at)
{
	struct madvise_ranges_control control;
	const uint8_t *raw = (const uint8_t *)&control;
	int err;

	request->ctl_at = ctl_at;
	request->stats_at = 0;
	request->per_range_at = 0;
	request->page = sysconf(_SC_PAGESIZE);
	err = read_control(&control, ctl_at);
	if (err)
		return err;
	request->stats_at = (uintptr_t)control.stats;
	err = read_options(request, raw);
	if (!err && MUTANT(union_tail_checked))
		err = check_union_tail(request, raw);
	if (!err)
		err = check_conflicts(request);
	if (!err && MUTANT(target_before_stats))
		err = read_target(request, control.pidfd);
	if (!err)
		err = read_stats(request);
	if (!err)
		err = read_target(request, control.pidfd);
	if (!err)
		err = read_ranges(request, &control);
	if (err)
		return err;
	request->bad = 0;
	while (request->bad < request->count &&
	       range_good(request, &request->ranges[request->bad]))
		request->bad++;
	return 0;
}
