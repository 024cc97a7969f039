// SPDX-License-Identifier: GPL-2.0-only
/*
 * madvise_ranges_abi.c in user space: what it takes from the kernel, and what a test may ask of it.
 * Built as a shared library by conformance/tests/kernel_abi.py.
 *
 * User memory is one piece of bytes that the test gives, at the addresses it chooses; the rest of
 * the address space is not there. Copies stop at its end as in the kernel, and every byte that is
 * read is counted, so that a second fetch shows.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef int32_t s32;

#define __user
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define BUILD_BUG_ON_ZERO(wrong) ((int)sizeof(struct { int : -!!(wrong); }))
#define GFP_KERNEL_ACCOUNT 0
#define PAGE_ALIGN(value) (((value) + 4095UL) & ~4095UL)
#define PAGE_ALIGNED(value) (!((value)&4095UL))
#define U32_MAX UINT32_MAX
#define min(a, b) ((a) < (b) ? (a) : (b))
#define min_t(type, a, b) ((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define static_assert(what) _Static_assert(what, #what)

static struct {
	uintptr_t base;
	size_t size;
	u8 *bytes;
	u8 *reads; /* of each byte */
	bool writable;
	bool compat;
	bool no_memory;
	long allocated;
} world;

static bool in_compat_syscall(void)
{
	return world.compat;
}

static void *kvmalloc_array(size_t count, size_t size, int flags)
{
	(void)flags;
	if (world.no_memory)
		return NULL;
	world.allocated++;
	return malloc(count * size);
}

static void kvfree(void *at)
{
	world.allocated -= at != NULL;
	free(at);
}

/* Bytes that can be copied before the first that is not there. */
static size_t reach(uintptr_t at, size_t size)
{
	if (at < world.base || at - world.base >= world.size)
		return 0;
	return min(size, world.size - (at - world.base));
}

static size_t copy_from_user(void *to, const void *from, size_t size)
{
	size_t done = reach((uintptr_t)from, size), at = (uintptr_t)from - world.base, i;

	for (i = 0; i < done; i++) {
		((u8 *)to)[i] = world.bytes[at + i];
		world.reads[at + i]++;
	}
	memset((u8 *)to + done, 0, size - done);
	return size - done;
}

static size_t copy_to_user(void *to, const void *from, size_t size)
{
	size_t done = world.writable ? reach((uintptr_t)to, size) : 0;

	if (done)
		memcpy(world.bytes + ((uintptr_t)to - world.base), from, done);
	return size - done;
}

#include "madvise_abi.h"
#include "madvise_ranges.h"
#include "madvise_ranges_mutants.h"

#include "madvise_ranges_abi.c"

static struct mr_request request;

/* As a test sees a request. */
struct view {
	uint64_t array, stats, per_range, count;
	u32 type, flags, set_default;
	s32 pidfd;
};

void abi_world(uint64_t base, uint64_t size, void *bytes, void *reads, int writable, int compat)
{
	world.base = base;
	world.size = size;
	world.bytes = bytes;
	world.reads = reads;
	world.writable = writable;
	world.compat = compat;
}

void abi_no_memory(int none)
{
	world.no_memory = none;
}

int abi_fetch_request(uint64_t ctl, struct view *view)
{
	int err;

	memset(&request, 0xd7, sizeof(request)); /* what a stack may hold */
	err = mr_fetch_control(&request, (const char *)(uintptr_t)ctl);
	if (!err)
		err = mr_fetch_stats(&request);
	if (err)
		return err;
	view->array = (uintptr_t)request.array;
	view->stats = (uintptr_t)request.stats;
	view->per_range = (uintptr_t)request.per_range;
	view->count = request.count;
	view->type = request.type;
	view->flags = request.flags;
	view->set_default = request.set_default;
	view->pidfd = request.pidfd;
	return 0;
}

int abi_fetch_ranges(void)
{
	return mr_fetch_ranges(&request);
}

void abi_range(uint64_t index, uint64_t *addr, uint64_t *size, int32_t *advice)
{
	*addr = request.ranges[index].addr;
	*size = request.ranges[index].size;
	*advice = request.ranges[index].advice;
}

int abi_range_good(uint64_t index, int valid, int other_process)
{
	return mr_range_good(&request, &request.ranges[index], valid, other_process);
}

void abi_verdict(uint64_t index, int success, int partial)
{
	request.ranges[index].success = success;
	request.ranges[index].partial = partial;
}

/* counters: the seven words of struct mr_stats, in the order that the ABI has them. */
int abi_report(const uint64_t counters[7], int err, uint64_t reached, int result)
{
	struct mr_stats stats = {
		.mappings_advised = counters[0],
		.mappings_skipped = counters[1],
		.pages_advised = counters[2],
		.pages_skipped = counters[3],
		.gaps = counters[4],
		.failed_address = counters[5],
		.offset = counters[6],
		.err = err,
	};

	return mr_report(&request, &stats, reached, result);
}

/* Ends a call: the number of allocations that were not freed. */
long abi_end(void)
{
	mr_free_ranges(&request);
	return world.allocated;
}
