// SPDX-License-Identifier: GPL-2.0-only
/* Races as they come in: checked once, with the rest of the program. */

#include "race.h"

static bool may_race(const struct op *op)
{
	const u64 *w = op->word;

	switch (op->code) {
	case OP_SYSCALL:
		return op->words == 8;
	case OP_SYSCALL32:
		return op->words == 7;
	case OP_RANGES:
		return op->words == 2;
	case OP_TOUCH:
		return op->words == 4 && (w[0] & 0xffffffff) + (w[0] >> 32) <= ARENA_PAGES_MAX;
	case OP_STORE:
		return op->words == 3 && !(w[0] % 8);
	case OP_FORK:
	case OP_EXIT:
		return op->words == 1;
	default:
		return false;
	}
}

/* How many results it gives; 0 when something is wrong with its words. */
u32 race_results(const u64 *word, const u64 *end)
{
	struct actor actor;
	u32 results = 0;
	u64 n_actors;

	if (word >= end || *word > RACE_ACTORS_MAX)
		return 0;
	n_actors = *word++;
	for (u64 i = 0; i < n_actors; i++) {
		const u64 *at;

		if (end - word < 2 || *word >> 32 > (u64)(end - word) || *word >> 32 < 2)
			return 0;
		word = actor_at(word, results, &actor);
		if (actor.place > RACE_REMOTE)
			return 0;
		at = actor.ops;
		for (u32 n = 0; n < actor.n_ops; n++) {
			struct op op;

			if (at >= actor.end)
				return 0;
			op = op_at(at);
			if (!op.words || op.words > actor.end - at || !may_race(&op))
				return 0;
			at += op.words;
		}
		if (at != actor.end)
			return 0;
		results += actor.repeats * actor.n_ops;
	}
	return word == end && results <= RACE_RESULTS_MAX ? results : 0;
}
