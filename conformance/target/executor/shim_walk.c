// SPDX-License-Identifier: GPL-2.0-only
/* The walk: ranges in order, in each the mappings from the lowest up, every gap counted. */

#include <errno.h>
#include <string.h>

#include "shim_types.h"

/* A range, or part of one, on its way through its mappings. */
struct span {
	uintptr_t start, end;
	int advice;
	size_t index;
};

void shim_walk_init(struct shim_walk *walk, const struct shim_request *request)
{
	walk->request = request;
	walk->reached = 0;
	walk->counted = 0;
	memset(&walk->stats, 0, sizeof(walk->stats));
	walk->stats.per_range_stats = (struct madvise_range_stats *)request->per_range_at;
	if (MUTANT(per_range_pointer_cleared))
		walk->stats.per_range_stats = NULL;
}

/* Details of an error, ignored or not: the first is kept. */
void shim_note_error(struct shim_walk *walk, int err, uintptr_t address, size_t offset)
{
	if (walk->stats.err && !MUTANT(last_error_wins))
		return;
	walk->stats.err = MUTANT(err_negative) ? err : -err;
	walk->stats.failed_address = address;
	walk->stats.offset = MUTANT(offset_from_one) ? offset + 1 : offset;
}

static bool ignores(const struct shim_walk *walk, int err)
{
	if (!(walk->request->flags & MADVISE_RANGES_IGNORE_ERRORS) || err == -EINTR)
		return false;
	return err != -EFAULT || MUTANT(fault_ignored);
}

static void count_skipped(struct shim_walk *walk, uintptr_t bytes)
{
	walk->stats.nr_mappings_skipped++;
	walk->stats.nr_pages_skipped += bytes / walk->request->page;
}

static void count_advised(struct shim_walk *walk, const struct shim_vma *vma, uintptr_t start,
			  uintptr_t end)
{
	if (MUTANT(mapping_counted_once) && vma->start < walk->counted && walk->counted <= vma->end)
		return;
	walk->counted = end;
	walk->stats.nr_mappings_advised++;
	if (MUTANT(pages_of_whole_mapping)) {
		start = vma->start;
		end = vma->end;
	}
	walk->stats.nr_pages_advised += (end - start) / walk->request->page;
}

/* How much of a part is advised; all of it, but for mutants. */
static uintptr_t advised_bytes(const struct shim_walk *walk, const struct shim_vma *vma,
			       uintptr_t start, uintptr_t end, const struct span *span)
{
	if (MUTANT(range_end_short) && end == span->end)
		end -= walk->request->page;
	if (MUTANT(range_end_long) && end == span->end && end < vma->end)
		end += walk->request->page;
	return end - start;
}

/*
 * Advise the part [start, end) of a mapping: 0 to go on, or the error that ends the call. The
 * mapping counts as it was found, whatever the advice makes of it.
 */
static int walk_part(struct shim_walk *walk, const struct shim_vma *vma, uintptr_t start,
		     uintptr_t end, const struct span *span)
{
	int err = shim_advise(&walk->request->target, start,
			      advised_bytes(walk, vma, start, end, span), span->advice);

	if (!err) {
		walk->advised++;
		count_advised(walk, vma, start, end);
		return 0;
	}
	walk->failed++;
	if (!ignores(walk, err)) {
		shim_note_error(walk, err, MUTANT(failed_address_of_range) ? span->start : start,
				span->index);
		if (MUTANT(ending_part_counted))
			count_skipped(walk, end - start);
		return err;
	}
	if (!MUTANT(ignored_error_unreported))
		shim_note_error(walk, err, MUTANT(failed_address_of_range) ? span->start : start,
				span->index);
	if (MUTANT(skipped_counted_advised))
		count_advised(walk, vma, start, end);
	else
		count_skipped(walk, end - start);
	return 0;
}

/* 1 if some of [at, span's end) is mapped, with the first mapping there; 0; -errno. */
static int find_in(struct shim_walk *walk, uintptr_t at, const struct span *span,
		   struct shim_vma *vma)
{
	int found = shim_map_find(&walk->map, at, vma);

	if (found <= 0)
		return found;
	return vma->start < span->end;
}

/* A gap begins at an address: 0 to go on behind it, or -ENOMEM to stop. */
static int meet_gap(struct shim_walk *walk, uintptr_t at, const struct span *span, bool last)
{
	unsigned int flags = walk->request->flags;
	bool missed = (MUTANT(gap_at_start_missed) && at == span->start) ||
		      (MUTANT(gap_at_end_missed) && last);

	if (!missed)
		walk->stats.nr_gaps++;
	if (MUTANT(gap_counted_twice) && !last)
		walk->stats.nr_gaps++;
	if (!(flags & MADVISE_RANGES_STOP_ON_GAP))
		return 0;
	if (MUTANT(gap_stop_ignored) && flags & MADVISE_RANGES_IGNORE_ERRORS)
		return 0;
	shim_note_error(walk, -ENOMEM, MUTANT(gap_stop_at_range) ? span->start : at, span->index);
	if (!last)
		walk->failed++; /* the mapping behind the gap stays without advice */
	return -ENOMEM;
}

/* Where the walk goes on after a part. */
static uintptr_t behind(struct shim_walk *walk, uintptr_t start, uintptr_t end,
			const struct span *span)
{
	struct shim_vma now;

	if (!MUTANT(merged_neighbour_missed) || shim_map_find(&walk->map, start, &now) <= 0)
		return end;
	return now.end < span->end ? now.end : span->end;
}

/* All mappings and gaps of a span: 0, or the error that ends the call. */
static int walk_span(struct shim_walk *walk, const struct span *span)
{
	uintptr_t at = span->start;
	int stop = 0;

	while (at < span->end) {
		unsigned int failed = walk->failed;
		struct shim_vma vma;
		int found = find_in(walk, at, span, &vma);
		uintptr_t end;
		int err;

		if (found < 0) {
			shim_note_error(walk, found, at, span->index);
			return found;
		}
		if (!found || vma.start > at) {
			stop = meet_gap(walk, at, span, !found);
			if (!found || (stop && !MUTANT(gap_noticed_late)))
				return stop;
			if (MUTANT(gap_ends_range))
				return 0;
			at = vma.start;
		}
		end = vma.end < span->end ? vma.end : span->end;
		err = walk_part(walk, &vma, at, end, span);
		if (err || stop)
			return err ? err : stop;
		if (MUTANT(ignored_error_ends_range) && walk->failed > failed)
			return 0;
		at = behind(walk, at, end, span);
	}
	return 0;
}

/*
 * Is the span in one mapping? 0 if so, else -ENOMEM if any of it is unmapped, else -EINVAL; with
 * the first unmapped address, or the end of the first mapping.
 */
static int check_single(struct shim_walk *walk, const struct span *span, uintptr_t *where)
{
	uintptr_t at = span->start, first_end = 0;
	struct shim_vma vma;

	while (at < span->end) {
		int found = find_in(walk, at, span, &vma);

		*where = at;
		if (found < 0)
			return found;
		if (!found || vma.start > at) {
			if (MUTANT(single_mapping_counts_gap))
				walk->stats.nr_gaps++;
			if (!MUTANT(single_mapping_holes_unseen) || !first_end)
				return -ENOMEM;
			break;
		}
		if (!first_end)
			first_end = vma.end;
		at = vma.end;
	}
	*where = first_end;
	return first_end >= span->end || MUTANT(single_mapping_touching) ? 0 : -EINVAL;
}

static struct span span_of(const struct shim_request *request, size_t index)
{
	return (struct span){
		.start = shim_range_start(request, index),
		.end = shim_range_end(request, index),
		.advice = request->ranges[index].advice,
		.index = index,
	};
}

/* What single_mapping_only says of a range, once it is reached. */
static int judge_single(struct shim_walk *walk, const struct span *span)
{
	uintptr_t where = span->start;
	int err = check_single(walk, span, &where);

	if (MUTANT(single_mapping_early) && walk->verdicts[span->index].success)
		return 0; /* judged in walk_ranges() */
	if (!err)
		return 0;
	if (MUTANT(single_mapping_late) && err == -EINVAL) {
		struct span first = *span;

		first.end = where;
		walk_span(walk, &first);
	}
	shim_note_error(walk, err, where, span->index);
	return err;
}

/* One range: 0, or the error that ends the call. */
static int walk_range(struct shim_walk *walk, size_t index)
{
	const struct shim_request *request = walk->request;
	struct shim_verdict *verdict = &walk->verdicts[index];
	struct span span = span_of(request, index);
	int err = 0;

	walk->advised = walk->failed = 0;
	if (span.start != span.end && request->flags & MADVISE_RANGES_SINGLE_MAPPING_ONLY) {
		err = judge_single(walk, &span);
		if (err) {
			verdict->success = MUTANT(success_despite_error);
			verdict->partial = false;
			return ignores(walk, err) ? 0 : err;
		}
	}
	err = walk_span(walk, &span);
	verdict->success = (!err && !walk->failed) || MUTANT(success_despite_error);
	verdict->partial = walk->failed && (walk->advised || MUTANT(partial_when_none));
	if (MUTANT(partial_never))
		verdict->partial = false;
	return err;
}

/* Mutants only: what some of them do before the first range. */
static void prepare_mutants(struct shim_walk *walk)
{
	uintptr_t where;

	if (!MUTANT(single_mapping_early))
		return;
	for (size_t i = 0; i < walk->request->count; i++) {
		struct span span = span_of(walk->request, i);

		walk->verdicts[i].success = !check_single(walk, &span, &where);
	}
}

/* Mutant: the array, or the zero page that is now in its place, is read once more. */
static void read_again(const struct shim_request *request, size_t index)
{
	struct madvise_range *range = (struct madvise_range *)&request->ranges[index];

	if (request->type == MADVISE_RANGE_MULTI)
		shim_fetch(range, request->array_at + index * sizeof(*range), sizeof(*range));
}

/* SINGLE and MULTI: 0 or the error of the call. */
int shim_walk_ranges(struct shim_walk *walk)
{
	const struct shim_request *request = walk->request;
	int first = 0;

	prepare_mutants(walk);
	for (size_t i = 0; i < request->count; i++) {
		size_t index = MUTANT(ranges_backwards) ? request->count - 1 - i : i;
		int err;

		if (MUTANT(array_read_twice))
			read_again(request, index);
		err = walk_range(walk, index);
		walk->reached = i + 1;
		if (MUTANT(elements_written_as_reached) && shim_report_element(walk, index))
			return -EFAULT;
		first = first ? first : err;
		if (err && !MUTANT(error_goes_on))
			return err;
	}
	if (MUTANT(gap_is_enomem) && walk->stats.nr_gaps && !first)
		return -ENOMEM;
	return first;
}

/* ALL: every mapping that is not special; the space between them is no gap. */
int shim_walk_all(struct shim_walk *walk)
{
	struct span span = { .end = UINTPTR_MAX, .advice = walk->request->ranges[0].advice };
	bool first = true;
	uintptr_t at = 0;
	struct shim_vma vma;

	for (;;) {
		int found = shim_map_find(&walk->map, at, &vma);
		uintptr_t start;
		int special, err = 0;

		if (found <= 0) {
			if (found < 0)
				shim_note_error(walk, found, at, 0);
			return found;
		}
		start = vma.start > at ? vma.start : at;
		if (MUTANT(all_counts_gaps) && start > at && !first)
			walk->stats.nr_gaps++;
		special = shim_map_special(&walk->map, start);
		if (special > 0 && !MUTANT(all_special_advised)) {
			if (!MUTANT(all_special_uncounted))
				count_skipped(walk, vma.end - start);
		} else if (special >= 0 && !(MUTANT(all_first_missed) && first)) {
			err = walk_part(walk, &vma, start, vma.end, &span);
		} else if (special < 0) {
			shim_note_error(walk, special, start, 0);
			err = special;
		}
		if (err)
			return err;
		first = false;
		at = vma.end;
	}
}
