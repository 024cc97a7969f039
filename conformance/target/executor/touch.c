// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access to memory that may fault. A fault is a result here, not a death: each
 * stretch of instructions that may fault has an entry in a table that says
 * where to go on, as in the kernel. A fault anywhere else kills the process,
 * and the server names the step.
 */

#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "touch.h"

#define PAGE_WORDS (PAGE / 8)

/* Made by the linker, around the section that FIXUP fills. */
extern const struct fixup __start_fixups[], __stop_fixups[];

volatile u32 memory_errors HOT_DATA;

static u8 fault_stack[64 * 1024] __attribute__((aligned(64)));

static void on_fault(int sig, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	u64 at = regs[REG_RIP];

	for (const struct fixup *fixup = __start_fixups; fixup < __stop_fixups; fixup++) {
		if (at < fixup->start || at >= fixup->end)
			continue;
		regs[REG_RIP] = fixup->landing;
		regs[REG_RAX] = sig;
		return;
	}
	if (sig == SIGBUS && info->si_code >= BUS_MCEERR_AR) {
		memory_errors++; /* of memory that a call poisoned: it comes with the call's return */
		return;
	}
	signal(sig, SIG_DFL); /* the faulting instruction runs again, and kills */
}

/* Children inherit the handlers and the stack. */
void fault_init(void)
{
	stack_t stack = { .ss_sp = fault_stack, .ss_size = sizeof(fault_stack) };
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};

	if (sigaltstack(&stack, NULL) || sigaction(SIGSEGV, &action, NULL) ||
	    sigaction(SIGBUS, &action, NULL))
		fail("cannot install the fault handler: %m");
}

/* How many bytes were copied before the first fault: all of them if there was none. */
static HOT u32 copy_until_fault(void *to, const void *from, u32 bytes)
{
	u64 left = bytes, signal = 0;

	asm volatile("1:	rep movsb\n"
		     "2:\n" FIXUP("1b", "2b", "2b")
		     : "+a"(signal), "+c"(left), "+D"(to), "+S"(from)
		     :
		     : "memory");
	return bytes - left;
}

static u32 guarded_load(void *to, u64 from, u32 bytes)
{
	return copy_until_fault(to, (const void *)from, bytes);
}

static bool guarded_store(u64 to, const void *from, u32 bytes)
{
	return copy_until_fault((void *)to, from, bytes) == bytes;
}

const struct memory own_memory = { guarded_load, guarded_store };
const struct memory *memory HOT_DATA = &own_memory;

static u64 tag_or_torn(u64 tag)
{
	return tag > CONTENT_MASK ? CONTENT_TORN : tag;
}

/* The slow way, for a page that control structs lie in: masked words do not count. */
static u64 masked_content(const u64 *words, const u8 *mask)
{
	static const u16 offsets[] = CONTENT_WORD_OFFSETS;
	u64 tag = 0;
	bool seen = false;
	u32 i, w;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		w = offsets[i] / 8;
		if (mask[w / 8] & 1 << w % 8)
			continue;
		if (seen && words[w] != tag)
			return CONTENT_TORN;
		tag = words[w];
		seen = true;
	}
	for (w = 0; w < PAGE_WORDS; w++) {
		if (mask[w / 8] & 1 << w % 8)
			continue;
		for (i = 0; i < ARRAY_SIZE(offsets); i++)
			if (w == offsets[i] / 8)
				break;
		if (i == ARRAY_SIZE(offsets) && words[w])
			return CONTENT_TORN;
	}
	return tag_or_torn(tag);
}

/*
 * Any bit set in words [from, to). In general registers (-fno-tree-vectorize): an emulated processor
 * takes twice as long with vectors, and a real one waits for memory either way.
 */
static HOT u64 union_of(const u64 *words, u32 from, u32 to)
{
	u64 a = 0, b = 0;

	for (; from + 8 <= to; from += 8) {
		const u64 *at = words + from;

		a |= at[0] | at[1] | at[2] | at[3];
		b |= at[4] | at[5] | at[6] | at[7];
	}
	for (; from < to; from++)
		a |= words[from];
	return a | b;
}

/* The content tag of a page, see program/content.py. */
HOT __attribute__((noinline)) u64 content_of(const void *page, const u8 *mask)
{
	static const u16 offsets[] = CONTENT_WORD_OFFSETS;
	const u64 *words = page;
	u64 tag = words[offsets[0] / 8], rest = 0;
	u32 i, from, to;

	if (mask)
		return masked_content(words, mask);
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		if (words[offsets[i] / 8] != tag)
			return CONTENT_TORN;
		from = offsets[i] / 8 + 1;
		to = i + 1 < ARRAY_SIZE(offsets) ? offsets[i + 1] / 8u : PAGE_WORDS;
		rest |= union_of(words, from, to);
	}
	return rest ? CONTENT_TORN : tag_or_torn(tag);
}

/* False when reading the page faults, as its first word then does. */
HOT bool guarded_content(u64 address, const u8 *mask, u64 *content)
{
	u64 pages = 1;

	if (read_pages(address, &pages))
		return false;
	*content = content_of((const void *)address, mask);
	return true;
}
