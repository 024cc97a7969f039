// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ring: four equal parts, programs 0 and 1, outcomes 0 and 1. It is memory that both sides
 * map, or, where a guest shares no memory with its host, a block device that is read and written
 * around each batch.
 */

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor.h"

static u8 *ring HOT_DATA;
static u64 part_bytes HOT_DATA;
static int device HOT_DATA = -1; /* -1: the memory is shared */

void ring_open(void)
{
	struct stat stat;

	if (options.ring_fd < 0 || !options.ring_bytes || options.ring_bytes % (4 * PAGE))
		fail("--ring and --ring-bytes (a multiple of four pages) are needed");
	part_bytes = options.ring_bytes / 4;
	if (fstat(options.ring_fd, &stat))
		fail("the ring is no file of %zu bytes: %m", options.ring_bytes);
	if (S_ISBLK(stat.st_mode)) {
		device = options.ring_fd;
		ring = shared_create(options.ring_bytes, "the ring");
		return;
	}
	if ((size_t)stat.st_size < options.ring_bytes)
		fail("the ring is no file of %zu bytes", options.ring_bytes);
	ring = mmap(NULL, options.ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		      options.ring_fd, 0);
	if (ring == MAP_FAILED)
		fail("cannot map the ring: %m");
	close(options.ring_fd);
	shared_add(ring, options.ring_bytes);
}

/* How many bytes of programs or of outcomes a part holds. */
u64 ring_part_bytes(void)
{
	return part_bytes;
}

/* Direct I/O goes by whole pages; what is too much of them nobody looks at. */
static u64 whole_pages(u64 bytes)
{
	return (bytes + PAGE - 1) & ~(u64)(PAGE - 1);
}

/* The programs of a part. */
const u8 *ring_programs(u64 part, u64 bytes)
{
	u8 *at = ring + part * part_bytes;

	if (device >= 0 &&
	    pread(device, at, whole_pages(bytes), part * part_bytes) < (ssize_t)bytes)
		fail("cannot read the ring: %m");
	return at;
}

/* Where the outcomes of a part go. */
u8 *ring_outcomes(u64 part)
{
	return ring + (2 + part) * part_bytes;
}

/* Outcomes are complete: let the other side see them. */
void ring_publish(u64 part, u64 bytes)
{
	u64 offset = (2 + part) * part_bytes;

	if (device >= 0 &&
	    pwrite(device, ring + offset, whole_pages(bytes), offset) < (ssize_t)bytes)
		fail("cannot write the ring: %m");
}
