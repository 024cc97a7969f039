// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access to memory that may fault. A fault is a result here, not a death: the
 * handler jumps back, on a stack of its own. A fault anywhere else kills the
 * process, and the server names the step.
 */

#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "executor.h"

#define PAGE_WORDS (PAGE / 8)

typedef u64 lane __attribute__((vector_size(16), may_alias));

static jmp_buf fault_jump;
static volatile sig_atomic_t armed;
static u8 fault_stack[64 * 1024] __attribute__((aligned(64)));

static void on_fault(int sig)
{
	if (armed) {
		armed = 0;
		longjmp(fault_jump, sig);
	}
	signal(sig, SIG_DFL); /* the faulting instruction runs again, and kills */
}

/* Children inherit the handlers and the stack. */
void fault_init(void)
{
	stack_t stack = { .ss_sp = fault_stack, .ss_size = sizeof(fault_stack) };
	struct sigaction action = {
		.sa_handler = on_fault,
		.sa_flags = SA_ONSTACK | SA_NODEFER,
	};

	if (sigaltstack(&stack, NULL) || sigaction(SIGSEGV, &action, NULL) ||
	    sigaction(SIGBUS, &action, NULL))
		fail("cannot install the fault handler: %m");
}

/*
 * One word in each page, in order; see call.TouchPages for the result. Volatile,
 * so that each page sees exactly one load or three stores.
 */
s64 touch_pages(u32 page, u32 pages, bool write, u32 serial)
{
	static const u16 offsets[] = CONTENT_WORD_OFFSETS;
	volatile u32 done = 0;
	int sig = setjmp(fault_jump);

	if (sig)
		return -(s64)((u64)sig << 16 | done);
	armed = 1;
	for (; done < pages; done++) {
		u64 at = ARENA_BASE + (u64)(page + done) * PAGE;
		u64 tag = ((u64)serial << 16 | (page + done + 1)) & CONTENT_MASK;

		if (!write) {
			(void)*(volatile u64 *)at;
			continue;
		}
		for (u32 i = 0; i < ARRAY_SIZE(offsets); i++)
			*(volatile u64 *)(at + offsets[i]) = tag;
	}
	armed = 0;
	return done;
}

static u32 to_page_end(u64 address, u32 bytes)
{
	u32 room = PAGE - address % PAGE;

	return bytes < room ? bytes : room;
}

/* How many of the bytes could be read, page by page up to the first fault. */
static u32 guarded_load(void *to, u64 from, u32 bytes)
{
	volatile u32 done = 0;
	u32 part;

	if (setjmp(fault_jump))
		return done;
	armed = 1;
	for (; done < bytes; done += part) {
		part = to_page_end(from + done, bytes - done);
		memcpy((u8 *)to + done, (void *)(from + done), part);
	}
	armed = 0;
	return done;
}

/* Store page by page up to the first fault; false if there was one. */
static bool guarded_store(u64 to, const void *from, u32 bytes)
{
	volatile u32 done = 0;
	u32 part;

	if (setjmp(fault_jump))
		return false;
	armed = 1;
	for (; done < bytes; done += part) {
		part = to_page_end(to + done, bytes - done);
		memcpy((void *)(to + done), (const u8 *)from + done, part);
	}
	armed = 0;
	return true;
}

const struct memory own_memory = { guarded_load, guarded_store };
const struct memory *memory = &own_memory;

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

/* Any bit set in words [from, to): two words at a time, the odd ones alone. */
static u64 union_of(const u64 *words, u32 from, u32 to)
{
	lane a = { 0, 0 }, b = { 0, 0 };
	u64 odd = 0;

	for (; from % 2 && from < to; from++)
		odd |= words[from];
	for (; from + 8 <= to; from += 8) {
		const lane *at = (const lane *)(words + from);

		a |= at[0] | at[1];
		b |= at[2] | at[3];
	}
	for (; from < to; from++)
		odd |= words[from];
	a |= b;
	return odd | a[0] | a[1];
}

/* The content tag of a page, see program/content.py. */
__attribute__((noinline)) u64 content_of(const void *page, const u8 *mask)
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

/* False when reading the page faults. */
bool guarded_content(u64 address, const u8 *mask, u64 *content)
{
	if (setjmp(fault_jump))
		return false;
	armed = 1;
	*content = content_of((const void *)address, mask);
	armed = 0;
	return true;
}
