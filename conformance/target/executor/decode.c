// SPDX-License-Identifier: GPL-2.0-only
/* Programs as they come in: every word is checked here, once, before any runs. */

#include "executor.h"

/* Words that each op has, head included; 0: it says so itself. */
static const u32 op_words[] = {
	[OP_SYSCALL] = 8,
	[OP_RANGES] = 2,
	[OP_POKE] = 0,
	[OP_PEEK] = 3,
	[OP_TOUCH] = 4,
	[OP_FORK] = 1,
	[OP_FILE] = 4,
	[OP_SNAPSHOT] = 1,
	[OP_UFFD] = 4,
	[OP_CLEAR_SOFT_DIRTY] = 1,
	[OP_MOVE_VVAR] = 2,
	[OP_MAP_SECRET] = 5,
	[OP_REMOTE] = 1,
	[OP_ZONE_CHECK] = 1,
	[OP_SYSCALL32] = 7,
	[OP_FORK_EXEC] = 1,
	[OP_RIGHTS] = 2,
	[OP_MAP_PERF] = 4,
	[OP_RECLAIM] = 1,
	[OP_FAIL_NTH] = 2,
	[OP_FAULT_LEFT] = 1,
	[OP_SIGNAL] = 4,
	[OP_SIGNAL_SEEN] = 1,
	[OP_STORE] = 3,
	[OP_EXIT] = 1,
	[OP_RACE] = 0,
};

static bool inside(u64 start, u64 bytes, u64 low, u64 high)
{
	return start >= low && start <= high && bytes <= high - start;
}

static bool is_memory(u64 start, u64 bytes)
{
	return inside(start, bytes, ARENA_BASE, ARENA_END_MAX) ||
	       inside(start, bytes, ZONE_BASE, ZONE_END) ||
	       inside(start, bytes, ZONE_RO_BASE, ZONE_RO_END);
}

static const char *check_op(const struct op *op, const struct program *program)
{
	const u64 *w = op->word;

	switch (op->code) {
	case OP_POKE:
		if (op->words < 3 || w[1] > (u64)(op->words - 3) * 8)
			return "a POKE has fewer data words than bytes";
		if (!is_memory(w[0], w[1]))
			return "a POKE is neither in the arena nor in a zone";
		break;
	case OP_PEEK:
		if (!is_memory(w[0], w[1]))
			return "a PEEK is neither in the arena nor in a zone";
		break;
	case OP_TOUCH:
		if ((w[0] & 0xffffffff) + (w[0] >> 32) > ARENA_PAGES_MAX)
			return "a TOUCH reaches beyond the arena";
		break;
	case OP_FILE:
		if (w[0] >= FILE_SLOTS || w[1] > BACKING_DISK || w[2] > ARENA_PAGES_MAX)
			return "a FILE has no such slot, backing or size";
		break;
	case OP_RIGHTS:
		if (w[0] > RIGHTS_OTHER_USER)
			return "a RIGHTS names none";
		break;
	case OP_SIGNAL:
		if (w[0] < SIGNAL_HANDLED || w[0] > SIGNAL_STORM || program->observe & OBSERVE_WHOLE ||
		    !is_memory(w[1], w[2]))
			return "a SIGNAL is of no known kind, or watches no memory of the arena";
		break;
	case OP_FAIL_NTH:
		if (!w[0] || w[0] > FAIL_NTH_MAX)
			return "a FAIL_NTH has no such count";
		if (program->observe & OBSERVE_WHOLE)
			return "a FAIL_NTH is not for a process under ptrace";
		break;
	case OP_STORE:
	case OP_EXIT:
		return "only actors of a RACE make a STORE or an EXIT";
	case OP_RACE:
		if (!race_results(w, w + op->words - 1))
			return "a RACE is malformed";
		break;
	default:
		break;
	}
	return NULL;
}

static bool gives_result(u32 code)
{
	switch (code) {
	case OP_SYSCALL:
	case OP_SYSCALL32:
	case OP_RANGES:
	case OP_TOUCH:
	case OP_FORK:
	case OP_FORK_EXEC:
	case OP_UFFD:
	case OP_CLEAR_SOFT_DIRTY:
	case OP_MOVE_VVAR:
	case OP_MAP_SECRET:
	case OP_MAP_PERF:
	case OP_RECLAIM:
	case OP_RACE:
		return true;
	default:
		return false;
	}
}

/* NULL, or what is wrong with the words. */
const char *program_decode(const u64 *words, size_t n_words, struct program *program)
{
	u64 results = 0, peek_words = 0;
	const char *problem;
	const u64 *at, *end;
	struct op op;
	u32 i;

	if (n_words < 4 || words[0] >> 32 != MAGIC_PROGRAM)
		return "it does not start with the word of a program";
	program->n_words = words[0];
	if (program->n_words < 4 || program->n_words > n_words)
		return "it is longer than what was sent";
	program->ident = words[1];
	program->observe = words[2];
	program->arena_pages = words[2] >> 32;
	program->n_ops = words[3];
	program->ops = words + 4;
	if (program->arena_pages > ARENA_PAGES_MAX)
		return "its arena is too large";

	at = program->ops;
	end = words + program->n_words;
	for (i = 0; i < program->n_ops; i++) {
		if (at >= end)
			return "it has fewer ops than it says";
		op = op_at(at);
		if (op.code >= ARRAY_SIZE(op_words) || !op.words || op.words > end - at ||
		    (op_words[op.code] && op_words[op.code] != op.words))
			return "an op has an unknown code or the wrong size";
		problem = check_op(&op, program);
		if (problem)
			return problem;
		results += gives_result(op.code);
		if (op.code == OP_PEEK)
			peek_words += 1 + WORDS_OF(op.word[1]);
		else if (op.code == OP_ZONE_CHECK || op.code == OP_FAULT_LEFT ||
			 op.code == OP_SIGNAL_SEEN)
			peek_words += 2;
		else if (op.code == OP_FORK_EXEC)
			peek_words += 1 + HEIRS;
		else if (op.code == OP_RACE)
			peek_words += 1 + race_results(op.word, op.word + op.words - 1);
		at += op.words;
	}
	if (at != end)
		return "it has more words than ops";
	if (results > RECORD_RESULTS || peek_words > RECORD_PEEK_WORDS)
		return "it gives more results or peeks than there is room for";
	return NULL;
}
