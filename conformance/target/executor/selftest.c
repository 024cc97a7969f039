// SPDX-License-Identifier: GPL-2.0-only
/*
 * The executor looks at itself before it looks at a kernel: a compiler has
 * silently deleted the loop that reads the arena before. Runs at every start;
 * takes less than a millisecond.
 */

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "executor.h"

#define PAGE_WORDS (PAGE / 8)
#define TAG 0x12345678ul
#define OUT_WORDS 256
#define SERIAL 7

static u64 page[PAGE_WORDS] __attribute__((aligned(PAGE)));

static void expect(u64 seen, u64 wanted, const char *what)
{
	if (seen != wanted)
		fail("self test: %s is %#lx, not %#lx; this build is no good", what,
		     (unsigned long)seen, (unsigned long)wanted);
}

static bool is_tag_word(u32 word)
{
	static const u16 offsets[] = CONTENT_WORD_OFFSETS;

	for (u32 i = 0; i < ARRAY_SIZE(offsets); i++)
		if (offsets[i] / 8u == word)
			return true;
	return false;
}

static void fill(u64 tag)
{
	memset(page, 0, sizeof(page));
	for (u32 word = 0; word < PAGE_WORDS; word++)
		if (is_tag_word(word))
			page[word] = tag;
}

/* Any word that is out of place must be seen, and only if no struct covers it. */
static void test_content(void)
{
	static const u8 none[PAGE / 64];
	u8 mask[PAGE / 64];
	u64 before;

	fill(0);
	expect(content_of(page, NULL), CONTENT_ZERO, "the content of an empty page");
	fill(TAG);
	expect(content_of(page, NULL), TAG, "the content of a written page");
	for (u32 word = 0; word < PAGE_WORDS; word++) {
		before = page[word];
		page[word] ^= 1ul << word % 64;
		expect(content_of(page, NULL), CONTENT_TORN, "the content of a torn page");
		expect(content_of(page, none), CONTENT_TORN, "the content of a torn page");
		memset(mask, 0, sizeof(mask));
		mask[word / 8] = 1 << word % 8;
		expect(content_of(page, mask), TAG, "the content beside a struct");
		page[word] = before;
	}
	fill(TAG << 32);
	expect(content_of(page, NULL), CONTENT_TORN, "the content of a wide tag");
	expect(content_of(page, none), CONTENT_TORN, "the content of a wide tag");
}

static u64 *put(u64 *at, u64 op, u32 words, const u64 *values)
{
	*at++ = op | words << 8;
	memcpy(at, values, (words - 1) * 8);
	return at + words - 1;
}

/* Four pages: written, read, torn by the kernel, never touched; and one beyond. */
static u32 make_program(u64 *words, u64 observe)
{
	u64 *at = words + 4;

	at = put(at, OP_SYSCALL, 8,
		 (u64[]){ NR_MMAP, ARENA_BASE, 4 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0 });
	at = put(at, OP_TOUCH, 4, (u64[]){ 0 | 1ul << 32, 1, SERIAL });
	at = put(at, OP_TOUCH, 4, (u64[]){ 1 | 1ul << 32, 0, 0 });
	at = put(at, OP_SYSCALL, 8,
		 (u64[]){ SYS_time, ARENA_BASE + 3 * PAGE - 16, 0, 0, 0, 0, 0 });
	at = put(at, OP_TOUCH, 4, (u64[]){ 3 | 2ul << 32, 0, 0 });
	*at++ = OP_SNAPSHOT | 1 << 8;
	words[0] = (u64)MAGIC_PROGRAM << 32 | (at - words);
	words[1] = 0;
	words[2] = observe | 5ul << 32;
	words[3] = 6;
	return at - words;
}

static void check_outcome(const u64 *out)
{
	static const u64 flags = VF_RD | VF_WR | VF_MR | VF_MW | VF_ME | VF_AC;
	const u64 *results = out + 4, *vma = results + 6, *pages = vma + 4;

	expect(out[2], 5ul << 32 | 1ul << 48, "the state of an outcome");
	expect(results[0], ARENA_BASE, "the result of mmap");
	expect(results[1], 1, "the result of a write");
	expect(results[2], 1, "the result of a read");
	expect(results[4], -(11ul << 16 | 1), "the result of a read that faults");
	expect(results[5], 4 | 1ul << 32 | 5ul << 48, "the head of a snapshot");
	expect(vma[0], ARENA_BASE, "the start of a mapping");
	expect(vma[1], ARENA_BASE + 4 * PAGE, "the end of a mapping");
	expect(vma[2] & flags, flags, "the flags of a mapping");
	expect(vma[3], 0, "the offset of a mapping");
	expect(pages[0], PAGE_PRESENT | PAGE_READ | SERIAL << 16 | 1, "a written page");
	expect(pages[1], PAGE_PRESENT | PAGE_READ, "a page that was read");
	expect(pages[2], PAGE_PRESENT | PAGE_READ | CONTENT_TORN, "a page that the kernel wrote");
	expect(pages[3], PAGE_PRESENT | PAGE_READ, "the last page");
	expect(pages[4], 0, "a page that is not there");
}

static void test_run(u64 observe, u64 *out)
{
	static u64 in[64];
	u64 used;

	memset(out, 0, OUT_WORDS * 8);
	if (batch_run((u8 *)in, make_program(in, observe) * 8, 1, (u8 *)out, OUT_WORDS * 8, &used))
		fail("self test: the outcome does not fit");
	check_outcome(out);
}

void selftest(void)
{
	u64 *out = shared_create(OUT_WORDS * 8, "the self test");

	test_content();
	test_run(OBSERVE_SMAPS, out);
	if (bpf_works())
		test_run(0, out);
}
