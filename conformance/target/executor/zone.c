// SPDX-License-Identifier: GPL-2.0-only
/*
 * The zones where control structs lie. Every byte that no struct of the call at
 * hand covers is poison. A program that has no structs pays nothing.
 *
 * A call's structs are open from its first POKE until the call is made, and
 * stay in place, for PEEK and ZONE_CHECK, until the next call's first POKE (or
 * the next call without any).
 */

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "executor.h"

#define EXTENTS_MAX 128 /* POKEs and PEEKs of one call with four structs, or of 16 in a race */
#define MARGIN 64 /* bytes around a poke whose pages are looked at, too */

_Static_assert(ZONE_PAGES == ZONE_RO_PAGES && ZONE_PAGES <= 64, "zones of one size, a bit a page");

static struct zone {
	u64 base; /* where programs see it */
	u64 alias; /* where the executor writes it */
	u64 end;
	u64 poked; /* pages near a POKE of this program, a bit for each */
} zones[] HOT_DATA = {
	{ ZONE_BASE, ZONE_BASE, ZONE_END, 0 },
	{ ZONE_RO_BASE, ZONE_RO_WRITE_BASE, ZONE_RO_END, 0 },
};

/* What the zones hold beside poison, in the order of storing. */
static struct extent {
	const struct zone *zone;
	u32 offset, bytes;
	const u8 *data; /* NULL: read back by a PEEK; what it holds is no matter */
} extents[EXTENTS_MAX] HOT_DATA;

static u32 n_extents HOT_DATA;
static bool call_is_open HOT_DATA;
static u8 poison[PAGE];

/* Words of arena pages that structs were stored in: 64 bytes for each page. */
static u8 arena_masks[ARENA_PAGES_MAX][PAGE / 64];
static u8 arena_poked[ARENA_PAGES_MAX];
static u32 arena_low HOT_DATA = ARENA_PAGES_MAX;
static u32 arena_high HOT_DATA;

/*
 * A file full of poison. Mapped privately, its pages are neither copied by a
 * fork nor present in a child before they are used.
 */
static int poisoned_file(void)
{
	int fd = memfd_create("zone", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		fail("cannot make a zone: %m");
	for (u32 page = 0; page < ZONE_PAGES; page++)
		if (write(fd, poison, PAGE) != PAGE)
			fail("cannot fill a zone: %m");
	return fd;
}

static void zone_map(u64 at, int prot, int flags, int fd)
{
	void *map = mmap((void *)at, ZONE_PAGES * PAGE, prot, flags | MAP_FIXED_NOREPLACE, fd, 0);

	if (map != (void *)at)
		fail("cannot map the memory for control structs at %#lx: %m", (long)at);
}

void zone_create(void)
{
	int fd, read_only;

	memset(poison, ZONE_POISON, PAGE);
	fd = poisoned_file();
	read_only = poisoned_file();
	zone_map(ZONE_BASE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	zone_map(ZONE_RO_WRITE_BASE, PROT_READ | PROT_WRITE, MAP_SHARED, read_only);
	/* Or MADV_REMOVE in some child would punch holes into everyone's zone. */
	if (fcntl(read_only, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK))
		fail("cannot seal the read-only zone: %m");
	zone_map(ZONE_RO_BASE, PROT_READ, MAP_SHARED, read_only);
	close(fd);
	close(read_only);
}

/* In the server, when a child ended in the middle: the read-only zone is shared. */
void zone_fresh(void)
{
	memset((void *)ZONE_RO_WRITE_BASE, ZONE_POISON, ZONE_RO_PAGES * PAGE);
}

static struct zone *zone_of(u64 address)
{
	for (u32 i = 0; i < ARRAY_SIZE(zones); i++)
		if (address >= zones[i].base && address < zones[i].end)
			return &zones[i];
	return NULL;
}

static void wipe(const struct zone *zone, u32 offset, u32 bytes)
{
	u32 part;

	for (; bytes; bytes -= part, offset += part) {
		part = bytes < PAGE ? bytes : PAGE;
		memory->store(zone->alias + offset, poison, part);
	}
}

/* Poison again what the last call's structs covered. */
static void wipe_extents(void)
{
	for (u32 i = 0; i < n_extents; i++)
		if (extents[i].data)
			wipe(extents[i].zone, extents[i].offset, extents[i].bytes);
	n_extents = 0;
}

static void add_extent(const struct zone *zone, u32 offset, u32 bytes, const void *data)
{
	if (n_extents < EXTENTS_MAX)
		extents[n_extents++] = (struct extent){ zone, offset, bytes, data };
	else
		record->unable = true;
}

static void mark_pages(struct zone *zone, u32 offset, u32 bytes)
{
	u32 first = (offset > MARGIN ? offset - MARGIN : 0) / PAGE;
	u32 last = (offset + bytes + MARGIN - 1) / PAGE;

	for (u32 page = first; page <= last && page < ZONE_PAGES; page++)
		zone->poked |= 1ul << page;
}

static void arena_mark(u64 address, u32 bytes)
{
	u32 first = (address - ARENA_BASE) / 8;
	u32 last = (address - ARENA_BASE + bytes - 1) / 8;

	for (u32 word = first; word <= last; word++) {
		u32 page = word * 8 / PAGE;

		arena_masks[page][word % 512 / 8] |= 1 << word % 8;
		arena_poked[page] = 1;
	}
	if (first * 8 / PAGE < arena_low)
		arena_low = first * 8 / PAGE;
	if (last * 8 / PAGE >= arena_high)
		arena_high = last * 8 / PAGE + 1;
}

/* A call begins, or its first struct is stored: the one before is over. */
HOT void zone_open(void)
{
	if (!call_is_open && n_extents)
		wipe_extents();
	call_is_open = true;
}

/* The call was made. */
HOT void zone_close(void)
{
	call_is_open = false;
}

/*
 * Every page is there, so that no copy of the kernel from or to a zone has to make one. Only where
 * that may fail: it costs as much as a program. (A copy that gets no page table is EFAULT on x86;
 * user-mode Linux goes on with a NULL pte: maybe_map() in arch/um/kernel/skas/uaccess.c.)
 */
void zone_present(void)
{
	for (u64 offset = 0; offset < ZONE_PAGES * PAGE; offset += PAGE) {
		volatile u8 *own = (volatile u8 *)(ZONE_BASE + offset);

		*own = *own;
		(void)*(volatile u8 *)(ZONE_RO_BASE + offset);
	}
}

/* False when storing faults, as it may in the arena. */
bool zone_poke(u64 address, u32 bytes, const u64 *data)
{
	struct zone *zone = zone_of(address);
	u32 offset;

	zone_open();
	if (!bytes)
		return true;
	if (!zone) {
		arena_mark(address, bytes);
		return memory->store(address, data, bytes);
	}
	offset = address - zone->base;
	mark_pages(zone, offset, bytes);
	add_extent(zone, offset, bytes, data);
	return memory->store(zone->alias + offset, data, bytes);
}

/* Read back; what is read is no business of ZONE_CHECK any more. */
void zone_peek(u64 address, u32 bytes)
{
	const struct zone *zone = zone_of(address);
	u64 *data = record_peek(bytes);
	u32 readable = memory->load(data, address, bytes);

	if (zone)
		add_extent(zone, address - zone->base, readable, NULL);
	record_peek_done(bytes, readable);
}

/* What a page of a zone must hold; where it was read back, what it does hold. */
static void expected_page(const struct zone *zone, u32 page, const u8 *seen, u8 *wanted)
{
	u32 low = page * PAGE, high = low + PAGE;

	memset(wanted, ZONE_POISON, PAGE);
	for (u32 i = 0; i < n_extents; i++) {
		const struct extent *e = &extents[i];
		u32 from = e->offset > low ? e->offset : low;
		u32 to = e->offset + e->bytes < high ? e->offset + e->bytes : high;

		if (e->zone == zone && from < to)
			memcpy(wanted + (from - low),
			       e->data ? e->data + (from - e->offset) : seen + (from - low),
			       to - from);
	}
}

/* Bytes that cannot be read any more have changed, too. */
static u64 first_difference(const struct zone *zone, u32 page)
{
	static u8 seen[PAGE], wanted[PAGE];
	u64 address = zone->base + page * PAGE;
	u32 readable = memory->load(seen, address, PAGE);
	u32 i;

	expected_page(zone, page, seen, wanted);
	if (readable == PAGE && !memcmp(seen, wanted, PAGE))
		return 0;
	for (i = 0; i < readable && seen[i] == wanted[i]; i++)
		;
	return address + i;
}

/*
 * 0, or the address of the first byte that changed though no struct that was
 * read back covers it. Afterwards the zones are as before the call's pokes.
 */
u64 zone_check(void)
{
	u64 found = 0, at;

	for (u32 i = 0; i < ARRAY_SIZE(zones); i++) {
		for (u64 left = zones[i].poked; left; left &= left - 1) {
			u32 page = __builtin_ctzl(left);

			at = first_difference(&zones[i], page);
			if (at)
				wipe(&zones[i], page * PAGE, PAGE);
			if (at && !found)
				found = at;
		}
	}
	wipe_extents();
	return found;
}

/* Between programs. */
HOT void zone_reset(void)
{
	if (n_extents)
		wipe_extents();
	call_is_open = false;
	zones[0].poked = 0;
	zones[1].poked = 0;
	for (u32 page = arena_low; page < arena_high; page++) {
		if (arena_poked[page])
			memset(arena_masks[page], 0, sizeof(arena_masks[page]));
		arena_poked[page] = 0;
	}
	arena_low = ARENA_PAGES_MAX;
	arena_high = 0;
}

/* Which words of an arena page structs were stored in; NULL for none. */
HOT const u8 *arena_mask(u32 page)
{
	return arena_poked[page] ? arena_masks[page] : NULL;
}
