// SPDX-License-Identifier: GPL-2.0-only
/*
 * The zones where control structs lie. Every byte that no struct of the call
 * at hand covers is poison; a copy beside (the shadow) says what each byte must
 * be after the call. A program that has no structs pays nothing.
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

#define EXTENTS_MAX 16 /* pokes of one call; more are wiped page by page */
#define MARGIN 64 /* bytes around a poke whose pages are looked at, too */

struct zone {
	u64 base; /* where programs see it */
	u64 alias; /* where the executor writes it */
	u64 end;
	u8 *shadow;
	u8 poked[ZONE_PAGES]; /* this page was near a poke in this program */
	u32 pages_poked;
};

_Static_assert(ZONE_PAGES == ZONE_RO_PAGES, "zones of one size");

static u8 shadows[2][ZONE_PAGES * PAGE] __attribute__((aligned(PAGE)));
static struct zone zones[] = {
	{ ZONE_BASE, ZONE_BASE, ZONE_END, shadows[0], { 0 }, 0 },
	{ ZONE_RO_BASE, ZONE_RO_WRITE_BASE, ZONE_RO_END, shadows[1], { 0 }, 0 },
};

static struct extent {
	struct zone *zone;
	u32 offset, bytes;
} extents[EXTENTS_MAX];

static u32 n_extents;
static bool overflow; /* more pokes than extents: wipe the pages that were poked */
static bool call_is_open;

/* Words of arena pages that structs were stored in: 64 bytes for each page. */
static u8 arena_masks[ARENA_PAGES_MAX][PAGE / 64];
static u8 arena_poked[ARENA_PAGES_MAX];
static u32 arena_low = ARENA_PAGES_MAX, arena_high;

static void *zone_map(u64 at, u64 bytes, int prot, int flags, int fd)
{
	void *map = mmap((void *)at, bytes, prot, flags | MAP_FIXED_NOREPLACE, fd, 0);

	if (map != (void *)at)
		fail("cannot map the memory for control structs at %#lx: %m", (long)at);
	return map;
}

void zone_create(void)
{
	int fd = memfd_create("zone", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, ZONE_RO_PAGES * PAGE))
		fail("cannot make the read-only zone: %m");
	zone_map(ZONE_BASE, ZONE_PAGES * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1);
	zone_map(ZONE_RO_WRITE_BASE, ZONE_RO_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	/* Or MADV_REMOVE in some child would punch holes into everyone's zone. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK))
		fail("cannot seal the read-only zone: %m");
	zone_map(ZONE_RO_BASE, ZONE_RO_PAGES * PAGE, PROT_READ, MAP_SHARED, fd);
	close(fd);
	for (u32 i = 0; i < ARRAY_SIZE(zones); i++) {
		memset((void *)zones[i].alias, ZONE_POISON, ZONE_PAGES * PAGE);
		memset(zones[i].shadow, ZONE_POISON, ZONE_PAGES * PAGE);
	}
}

/* A new process: the read-only zone is shared, and the process before may have left bytes there. */
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

static void wipe(struct zone *zone, u32 offset, u32 bytes)
{
	memset(zone->shadow + offset, ZONE_POISON, bytes);
	memory->store(zone->alias + offset, zone->shadow + offset, bytes);
}

static void wipe_poked_pages(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(zones); i++)
		for (u32 page = 0; page < ZONE_PAGES && zones[i].pages_poked; page++)
			if (zones[i].poked[page])
				wipe(&zones[i], page * PAGE, PAGE);
}

/* Poison again what the last call's structs covered. */
static void wipe_extents(void)
{
	if (overflow)
		wipe_poked_pages();
	for (u32 i = 0; i < n_extents; i++)
		wipe(extents[i].zone, extents[i].offset, extents[i].bytes);
	n_extents = 0;
	overflow = false;
}

static void mark_pages(struct zone *zone, u32 offset, u32 bytes)
{
	u32 first = (offset > MARGIN ? offset - MARGIN : 0) / PAGE;
	u32 last = (offset + bytes + MARGIN - 1) / PAGE;

	for (u32 page = first; page <= last && page < ZONE_PAGES; page++) {
		zone->pages_poked += !zone->poked[page];
		zone->poked[page] = 1;
	}
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
void zone_open(void)
{
	if (!call_is_open && (n_extents || overflow))
		wipe_extents();
	call_is_open = true;
}

/* The call was made. */
void zone_close(void)
{
	call_is_open = false;
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
	memcpy(zone->shadow + offset, data, bytes);
	mark_pages(zone, offset, bytes);
	if (n_extents < EXTENTS_MAX)
		extents[n_extents++] = (struct extent){ zone, offset, bytes };
	else
		overflow = true;
	return memory->store(zone->alias + offset, data, bytes);
}

/* Read back; what is read is no business of ZONE_CHECK any more. */
void zone_peek(u64 address, u32 bytes)
{
	struct zone *zone = zone_of(address);
	u64 *data = record_peek(bytes);
	u32 readable = memory->load(data, address, bytes);

	if (zone)
		memcpy(zone->shadow + (address - zone->base), data, readable);
	record_peek_done(bytes, readable);
}

/* Bytes that cannot be read any more have changed, too. */
static u64 first_difference(const struct zone *zone, u32 page)
{
	static u8 seen[PAGE];
	const u8 *wanted = zone->shadow + page * PAGE;
	u64 address = zone->base + page * PAGE;
	u32 readable = memory->load(seen, address, PAGE);
	u32 i;

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
		for (u32 page = 0; page < ZONE_PAGES && zones[i].pages_poked; page++) {
			if (!zones[i].poked[page])
				continue;
			at = first_difference(&zones[i], page);
			if (!at)
				continue;
			wipe(&zones[i], page * PAGE, PAGE);
			if (!found)
				found = at;
		}
	}
	wipe_extents();
	return found;
}

/* Between programs. */
void zone_reset(void)
{
	wipe_extents();
	call_is_open = false;
	for (u32 i = 0; i < ARRAY_SIZE(zones); i++) {
		if (zones[i].pages_poked)
			memset(zones[i].poked, 0, ZONE_PAGES);
		zones[i].pages_poked = 0;
	}
	for (u32 page = arena_low; page < arena_high; page++) {
		if (arena_poked[page])
			memset(arena_masks[page], 0, sizeof(arena_masks[page]));
		arena_poked[page] = 0;
	}
	arena_low = ARENA_PAGES_MAX;
	arena_high = 0;
}

/* Which words of an arena page structs were stored in; NULL for none. */
const u8 *arena_mask(u32 page)
{
	return arena_poked[page] ? arena_masks[page] : NULL;
}
