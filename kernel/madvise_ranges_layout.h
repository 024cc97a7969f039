/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The structs of one data model as they lie in user memory, and what copies them. Included twice:
 * MR_WORD is the type of a pointer, size_t or unsigned long in user space, MR_NAME() gives names.
 * Options and bools are bytes here: a bool that is neither 0 nor 1 would be undefined.
 *
 * Addresses that the caller passes to be read or written become pointers in the request, those to
 * be advised stay numbers: they may belong to another process.
 */

struct MR_NAME(mr_user_range) {
	MR_WORD addr;
	MR_WORD size;
	s32 advice;
};

struct MR_NAME(mr_user_element) {
	struct MR_NAME(mr_user_range) range;
	u8 success;
	u8 partial;
};

struct MR_NAME(mr_user_stats) {
	MR_WORD mappings_advised;
	MR_WORD mappings_skipped;
	MR_WORD pages_advised;
	MR_WORD pages_skipped;
	MR_WORD gaps;
	MR_WORD per_range;
	s32 err;
	MR_WORD failed_address;
	MR_WORD offset;
};

struct MR_NAME(mr_user_control) {
	s32 version;
	u32 type;
	union {
		struct MR_NAME(mr_user_range) range;
		struct {
			MR_WORD arr;
			MR_WORD count;
		} ranges;
		struct {
			s32 advice;
			u8 set_default;
		} all;
	};
	MR_WORD stats;
	s32 pidfd;
	u8 flags[4]; /* the options, and three reserved bytes */
};

/* All of the control struct behind its version. */
static int MR_NAME(mr_fetch_control)(struct mr_request *request, const char __user *at)
{
	struct MR_NAME(mr_user_control) control;
	const size_t head = sizeof(control.version);
	int err;

	if (copy_from_user((char *)&control + head, at + head, sizeof(control) - head))
		return -EFAULT;
	err = mr_check_options(control.flags, control.type, control.all.set_default);
	if (err)
		return err;
	request->type = control.type;
	request->flags = control.flags[0];
	request->pidfd = control.pidfd;
	request->stats = MR_POINTER(control.stats);
	request->set_default = false;
	request->array = NULL;
	request->count = 1;
	if (request->type == MADVISE_RANGE_SINGLE) {
		mr_take_range(&request->inline_ranges[0], control.range.addr, control.range.size,
			      control.range.advice);
	} else if (request->type == MADVISE_RANGE_MULTI) {
		request->array = MR_POINTER(control.ranges.arr);
		request->count = control.ranges.count;
	} else {
		mr_take_range(&request->inline_ranges[0], 0, 0, control.all.advice);
		request->set_default = control.all.set_default;
	}
	return 0;
}

/* The whole struct must be readable, though only its pointer is an input. */
static int MR_NAME(mr_fetch_stats)(struct mr_request *request)
{
	struct MR_NAME(mr_user_stats) stats;

	if (copy_from_user(&stats, request->stats, sizeof(stats)))
		return -EFAULT;
	request->per_range = MR_POINTER(stats.per_range);
	return 0;
}

static int MR_NAME(mr_fetch_array)(struct mr_request *request)
{
	struct MR_NAME(mr_user_range) chunk[MR_CHUNK];
	const char __user *from = request->array;
	unsigned long done, i, n;

	for (done = 0; done < request->count; done += n) {
		n = min(request->count - done, (unsigned long)MR_CHUNK);
		if (copy_from_user(chunk, from, n * sizeof(chunk[0])))
			return -EFAULT;
		for (i = 0; i < n; i++)
			mr_take_range(&request->ranges[done + i], chunk[i].addr, chunk[i].size,
				      chunk[i].advice);
		from += n * sizeof(chunk[0]);
	}
	return 0;
}

/* Elements of the first ranges, as many as were reached. Padding is written as zero. */
static int MR_NAME(mr_store_elements)(const struct mr_request *request, unsigned long reached)
{
	struct MR_NAME(mr_user_element) chunk[MR_CHUNK];
	char __user *to = request->per_range;
	unsigned long done, i, n;

	for (done = 0; done < reached; done += n) {
		n = min(reached - done, (unsigned long)MR_CHUNK + MR_MUTANT(chunk_one_short));
		memset(chunk, 0, sizeof(chunk));
		for (i = 0; i < n; i++) {
			const struct mr_range *range = &request->ranges[done + i];

			chunk[i].range.addr = range->addr;
			chunk[i].range.size = range->size;
			chunk[i].range.advice = range->advice;
			chunk[i].success = range->success;
			chunk[i].partial = range->partial;
		}
		if (copy_to_user(to, chunk, n * sizeof(chunk[0])))
			return -EFAULT;
		to += n * sizeof(chunk[0]);
	}
	if (MR_MUTANT(unreached_written) && reached < request->count)
		return copy_to_user(to, chunk, sizeof(chunk[0])) ? -EFAULT : 0;
	return 0;
}

static int MR_NAME(mr_store_stats)(const struct mr_request *request,
				   const struct mr_stats *stats)
{
	struct MR_NAME(mr_user_stats) out;

	memset(&out, MR_MUTANT(padding_leaked) ? (unsigned long)stats >> 8 | 1 : 0, sizeof(out));
	out.mappings_advised = MR_SATURATE(stats->mappings_advised);
	out.mappings_skipped = MR_SATURATE(stats->mappings_skipped);
	out.pages_advised = MR_SATURATE(stats->pages_advised);
	out.pages_skipped = MR_SATURATE(stats->pages_skipped);
	out.gaps = MR_SATURATE(stats->gaps);
	out.per_range = (unsigned long)request->per_range;
	out.err = stats->err;
	out.failed_address = MR_SATURATE(stats->failed_address);
	out.offset = stats->offset;
	return copy_to_user(request->stats, &out, sizeof(out)) ? -EFAULT : 0;
}
