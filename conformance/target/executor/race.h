// SPDX-License-Identifier: GPL-2.0-only
/* The words of a race, actor by actor: see race.c for what they are. */
#ifndef MADVET_RACE_H
#define MADVET_RACE_H

#include "executor.h"

struct actor {
	u32 place, repeats, n_ops;
	u32 first_result;
	u64 delay;
	const u64 *ops;
	const u64 *end; /* of its words */
};

/* The words behind those of the actor at hand, who gives results from first_result on. */
static inline const u64 *actor_at(const u64 *at, u32 first_result, struct actor *actor)
{
	*actor = (struct actor){
		.place = *at & 0xff,
		.repeats = *at >> 8 & 0xffff,
		.n_ops = *at >> 24 & 0xff,
		.delay = at[1],
		.first_result = first_result,
		.ops = at + 2,
		.end = at + (*at >> 32),
	};
	return actor->end;
}

#endif
