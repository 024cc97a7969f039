// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ring: four equal parts, programs 0 and 1, outcomes 0 and 1. On its own machine an executor
 * shares that memory with the target. In a guest it is the memory of a device, or, where the guest
 * has none to share, a block device; programs are copied from it before a batch, and outcomes to it
 * after one. Children do not have the device: a fork would copy the page tables of all of it, and
 * advice on a whole address space would reach it.
 */

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor.h"

static u8 *ring HOT_DATA;
static u64 part_bytes HOT_DATA;
static int device HOT_DATA = -1; /* a block device */
static u8 *device_memory HOT_DATA; /* neither: the ring itself is shared */

static u8 *map_file(const struct stat *stat)
{
	u8 *at;

	if ((size_t)stat->st_size < options.ring_bytes)
		fail("the ring is no file of %zu bytes", options.ring_bytes);
	at = mmap(NULL, options.ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, options.ring_fd, 0);
	if (at == MAP_FAILED)
		fail("cannot map the ring: %m");
	close(options.ring_fd);
	return at;
}

void ring_open(void)
{
	struct stat stat;

	if (options.ring_fd < 0 || !options.ring_bytes || options.ring_bytes % (4 * PAGE))
		fail("--ring and --ring-bytes (a multiple of four pages) are needed");
	part_bytes = options.ring_bytes / 4;
	if (fstat(options.ring_fd, &stat))
		fail("the ring is no file of %zu bytes: %m", options.ring_bytes);
	if (!options.guest) {
		ring = map_file(&stat);
		shared_add(ring, options.ring_bytes);
		return;
	}
	ring = shared_create(options.ring_bytes, "the ring");
	if (S_ISBLK(stat.st_mode)) {
		device = options.ring_fd;
		return;
	}
	device_memory = map_file(&stat);
	if (madvise(device_memory, options.ring_bytes, MADV_DONTFORK))
		fail("cannot keep the ring from children: %m");
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

/*
 * Word by word: what the C library thinks fast, an emulated processor does in pieces, so that a batch
 * took 1.6 ms each way. Parts and what lies in them are of whole words.
 */
static void copy_words(u8 *to, const u8 *from, u64 bytes)
{
	volatile u64 *out = (volatile u64 *)to;
	const volatile u64 *in = (const volatile u64 *)from;

	for (u64 i = 0; i < bytes / 8; i++)
		out[i] = in[i];
}

/* The programs of a part. */
const u8 *ring_programs(u64 part, u64 bytes)
{
	u8 *at = ring + part * part_bytes;

	if (device_memory)
		copy_words(at, device_memory + part * part_bytes, bytes);
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

	if (device_memory)
		copy_words(device_memory + offset, ring + offset, bytes);
	if (device >= 0 &&
	    pwrite(device, ring + offset, whole_pages(bytes), offset) < (ssize_t)bytes)
		fail("cannot write the ring: %m");
}
