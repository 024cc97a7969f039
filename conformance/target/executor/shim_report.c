// SPDX-License-Identifier: GPL-2.0-only
/* What a call reports: elements for each range reached, then the counters. Written once. */

#include <errno.h>
#include <string.h>

#include "shim_types.h"

#define ELEMENTS_AT_ONCE 32

/* Member by member: what the caller had in the padding of its range is not written back. */
static void fill_element(struct madvise_range_stats *element, const struct shim_walk *walk,
			 size_t index)
{
	const struct madvise_range *range = &walk->request->ranges[index];
	size_t page = walk->request->page;

	memset(element, MUTANT(padding_leaked_element) ? 0x7f : 0, sizeof(*element));
	element->range.addr = range->addr;
	element->range.size = range->size;
	if (MUTANT(range_echoed_rounded))
		element->range.size = (range->size + page - 1) & ~(page - 1);
	element->range.advice = range->advice;
	element->success = walk->verdicts[index].success;
	element->partial = walk->verdicts[index].partial;
}

static uintptr_t elements_at(const struct shim_walk *walk)
{
	struct madvise_ranges_stats stats;

	if (!MUTANT(pointer_read_twice))
		return walk->request->per_range_at;
	if (shim_fetch(&stats, walk->request->stats_at, sizeof(stats)))
		return 0;
	return (uintptr_t)stats.per_range_stats;
}

/* Mutant: one element, before its time. 0 or an error. */
int shim_report_element(const struct shim_walk *walk, size_t index)
{
	struct madvise_range_stats element;

	if (!walk->request->per_range_at)
		return 0;
	fill_element(&element, walk, index);
	return shim_store(walk->request->per_range_at + index * sizeof(element), &element,
			  sizeof(element));
}

static int report_elements(const struct shim_walk *walk)
{
	const struct shim_request *request = walk->request;
	struct madvise_range_stats elements[ELEMENTS_AT_ONCE];
	size_t last = MUTANT(unreached_written) ? request->count : walk->reached;
	uintptr_t at = elements_at(walk);
	size_t n = 0;

	if (!at || MUTANT(elements_written_as_reached))
		return 0;
	for (size_t i = 0; i < last; i++) {
		if (!MUTANT(empty_range_no_element) || request->ranges[i].size)
			fill_element(&elements[n++], walk, i);
		if (i >= walk->reached)
			memset(&elements[n - 1], 0, sizeof(elements[0]));
		if (n == ELEMENTS_AT_ONCE || i + 1 == last) {
			int err = shim_store(at, elements, n * sizeof(elements[0]));

			if (err)
				return err;
			at += n * sizeof(elements[0]);
			n = 0;
		}
	}
	return 0;
}

static uintptr_t stats_at(const struct shim_request *request)
{
	struct madvise_ranges_control control;

	if (!MUTANT(control_read_twice))
		return request->stats_at;
	if (shim_fetch(&control, request->ctl_at, sizeof(control)))
		return 0;
	return (uintptr_t)control.stats;
}

static int report_stats(const struct shim_walk *walk)
{
	struct {
		struct madvise_ranges_stats stats;
		unsigned long behind;
	} out = { .behind = 0 };
	uintptr_t at = stats_at(walk->request);

	if (!at)
		return 0;
	memcpy(&out.stats, &walk->stats, sizeof(out.stats));
	if (MUTANT(padding_leaked_stats))
		memset(&out.stats.err + 1, 0x7f, sizeof(int));
	return shim_store(at, &out, MUTANT(stats_overrun) ? sizeof(out) : sizeof(out.stats));
}

/* The result of the call, whose own result is err: -EFAULT wins. */
int shim_report(const struct shim_walk *walk, int err)
{
	int fault, stats_fault;

	if (!walk->request->stats_at || (err && MUTANT(stats_not_written_on_error)))
		return err;
	fault = walk->request->per_range_at ? report_elements(walk) : 0;
	stats_fault = report_stats(walk);
	if (MUTANT(stats_fault_unnoticed))
		return err;
	return fault || stats_fault ? -EFAULT : err;
}
