// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which paths of the kernel a program's calls take, by KCOV. Only programs that ask for it pay.
 *
 * KCOV writes an address for each block of code that the traced thread runs, into memory that it
 * shares with the server and its children, so that what a child reached outlives the child. Two
 * addresses in a row are an edge, and an edge is a number of 16 bits: the same in every guest of
 * the same kernel. A call that acts on another process does so in the calling thread, so nothing
 * of it is missed. The process that is sacrificed (sandbox.c) traces itself into a buffer of its
 * own, which it cannot reach: the process that holds its strings reads it.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/kcov.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "executor.h"

#define KCOV_PATH "/sys/kernel/debug/kcov"
#define COVER_ASKED (OBSERVE_COVER_NEW | OBSERVE_COVER_EDGES | OBSERVE_COVER_PLACES)
#define BUFFER_WORDS (1u << 16) /* a call of a few pages takes 450; what comes after is not seen */
#define BUFFER_BYTES (BUFFER_WORDS * 8ul)
#define EDGES (1u << 16)
#define PLACE_SLOTS (1u << 14) /* ten traced files have some 3000 */
#define PROBES_MAX 64
#define MIX 0x9e3779b97f4a7c15ul /* 2^64 divided by the golden ratio: spreads neighbours */

/* Children and server share it: a child's end must not take it away. */
struct cover {
	u32 asked; /* COVER_ASKED of the program at hand */
	volatile u32 open; /* 1 + buffer: a call is being made, and what it reached is not read yet */
	u32 n_edges;
	u16 edges[COVER_EDGES_MAX]; /* of this program */
	u64 mine[EDGES / 64], told[EDGES / 64]; /* of this program, and of all, as bits */
	u64 told_before[EDGES / 64]; /* this batch */
	struct {
		u64 address, count;
	} places[PLACE_SLOTS];
};

static struct cover *cover HOT_DATA;

/* One for each thread that is traced; fd -1: it cannot be. */
static struct buffer {
	int fd;
	volatile u64 *words; /* how many there are, then the addresses */
} buffers[COVER_BUFFERS];

static bool enabled HOT_DATA; /* this process traces itself */

/* An access that goes astray, of a kernel or of a program, hits nothing on either side of it. */
static volatile u64 *map_between_guards(int fd)
{
	size_t bytes = BUFFER_BYTES + 2 * PAGE;
	u8 *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		fail("no memory for coverage: %m");
	shared_add(at, bytes);
	if (mmap(at + PAGE, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
	    MAP_FAILED)
		fail("cannot map the buffer of %s: %m", KCOV_PATH);
	return (u64 *)(at + PAGE);
}

/* In the server, before it forks a child that is to run this program. */
void cover_prepare(const struct program *program)
{
	if (cover || !(program->observe & COVER_ASKED))
		return;
	cover = shared_create(sizeof(*cover), "what programs reached");
	for (u32 i = 0; i < COVER_BUFFERS; i++) {
		int fd = open(KCOV_PATH, O_RDWR | O_CLOEXEC);

		buffers[i].fd = -1;
		if (fd < 0)
			continue; /* without KCOV outcomes say nothing of it */
		if (ioctl(fd, KCOV_INIT_TRACE, BUFFER_WORDS))
			fail("cannot make a buffer of %s: %m", KCOV_PATH);
		buffers[i].words = map_between_guards(fd);
		buffers[i].fd = fd;
	}
}

/* A batch begins; again: what it told the first time nobody has heard. */
void cover_batch(bool again)
{
	if (!cover)
		return;
	if (again)
		memcpy(cover->told, cover->told_before, sizeof(cover->told));
	else
		memcpy(cover->told_before, cover->told, sizeof(cover->told));
}

/* From now on the kernel traces this process, into one of the buffers. */
bool cover_enable(u32 buffer)
{
	long err;

	if (!cover || !cover->asked || buffers[buffer].fd < 0)
		return false;
	err = sys(SYS_ioctl, buffers[buffer].fd, KCOV_ENABLE, KCOV_TRACE_PC);
	if (err)
		complain("cannot trace: %s", strerror(-err));
	return !err;
}

/* Before each program, in the process that runs it. */
HOT void cover_begin(const struct program *program)
{
	if (!cover)
		return;
	cover->open = 0;
	cover->asked = program->observe & COVER_ASKED;
	if (!cover->asked)
		return;
	for (u32 i = 0; i < cover->n_edges; i++)
		cover->mine[cover->edges[i] / 64] = 0;
	cover->n_edges = 0;
	if (!enabled)
		enabled = cover_enable(COVER_OWN);
	if (!enabled)
		cover->asked = 0;
}

/* A call is about to be made by the thread that writes to this buffer. */
HOT void cover_open(u32 buffer)
{
	if (!cover || !cover->asked)
		return;
	buffers[buffer].words[0] = 0;
	cover->open = 1 + buffer;
}

static void count_place(u64 address)
{
	u32 slot = (address * MIX) >> 50;

	for (u32 i = 0; i < PROBES_MAX; i++, slot++) {
		slot %= PLACE_SLOTS;
		if (cover->places[slot].address != address && cover->places[slot].address)
			continue;
		cover->places[slot].address = address;
		cover->places[slot].count++;
		return;
	}
}

static void note_edge(u32 edge)
{
	u64 bit = 1ul << edge % 64;

	if (cover->mine[edge / 64] & bit || cover->n_edges == COVER_EDGES_MAX)
		return;
	cover->mine[edge / 64] |= bit;
	cover->edges[cover->n_edges++] = edge;
}

/* The call was made, or the thread that made it is dead: take what it reached. */
HOT void cover_close(void)
{
	const volatile u64 *words;
	u64 count, address, before = 0, now;

	if (!cover || !cover->open)
		return;
	words = buffers[cover->open - 1].words;
	cover->open = 0;
	count = words[0];
	if (count >= BUFFER_WORDS) {
		complain("the buffer of KCOV says that it holds %lu addresses", (unsigned long)count);
		count = BUFFER_WORDS - 1;
	}
	for (u64 i = 1; i <= count; i++) {
		address = words[i];
		now = (address * MIX) >> 48;
		note_edge(now ^ before);
		before = now >> 1; /* so that an edge and its reverse differ */
		count_place(address);
	}
}

/* The edges to tell, of all that this program took: in `edges`, from the start. */
static void keep_untold(void)
{
	u32 kept = 0;

	for (u32 i = 0; i < cover->n_edges; i++) {
		u32 edge = cover->edges[i];
		u64 bit = 1ul << edge % 64;

		cover->mine[edge / 64] = 0; /* cover_begin() will not see those that go */
		if (cover->told[edge / 64] & bit || kept == COVER_NEW_MAX)
			continue;
		cover->told[edge / 64] |= bit;
		cover->edges[kept++] = edge;
	}
	cover->n_edges = kept;
}

static u32 edge_words(u32 edges)
{
	return 1 + (edges + 3) / 4;
}

/* How many words the sections of the program at hand take at most. */
HOT u32 cover_words_max(void)
{
	u32 edges, places;

	if (!cover || !cover->asked)
		return 0;
	edges = cover->n_edges;
	if (!(cover->asked & OBSERVE_COVER_EDGES) && edges > COVER_NEW_MAX)
		edges = COVER_NEW_MAX;
	places = cover->asked & OBSERVE_COVER_PLACES ? 1 + 2 * COVER_PLACES_MAX : 0;
	return 1 + edge_words(edges) + places;
}

static u64 *tell_places(u64 *at)
{
	u64 *head = at++;
	u32 count = 0;

	for (u32 i = 0; i < PLACE_SLOTS && count < COVER_PLACES_MAX; i++) {
		if (!cover->places[i].address)
			continue;
		*at++ = cover->places[i].address;
		*at++ = cover->places[i].count;
		count++;
	}
	memset(cover->places, 0, sizeof(cover->places));
	*head = SECTION_PLACES | (2ul * count) << 32;
	return at;
}

/* The sections, from `at` on; what comes after them. */
u64 *cover_tell(u64 *at)
{
	u32 words;

	if (!cover || !cover->asked)
		return at;
	if (!(cover->asked & OBSERVE_COVER_EDGES))
		keep_untold();
	words = edge_words(cover->n_edges);
	at[words] = 0; /* what is left of the last word */
	at[0] = SECTION_EDGES | (u64)words << 32;
	at[1] = cover->n_edges;
	memcpy(at + 2, cover->edges, cover->n_edges * sizeof(*cover->edges));
	at += 1 + words;
	return cover->asked & OBSERVE_COVER_PLACES ? tell_places(at) : at;
}
