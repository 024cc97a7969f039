// SPDX-License-Identifier: GPL-2.0-only
/* madvise_ranges() in user space; see shim.h for what that cannot have. */

#include <errno.h>

#include "shim.h"
#include "shim_types.h"

#ifdef MADVET_MUTANTS
int shim_mutant;
#endif

void shim_set_mutant(int number)
{
#ifdef MADVET_MUTANTS
	shim_mutant = number;
#else
	(void)number;
#endif
}

/* A call whose arguments passed all checks. */
static int apply(struct shim_walk *walk)
{
	const struct shim_request *request = walk->request;
	int err;

	if (!request->count)
		return 0;
	err = shim_map_open(&walk->map, &request->target);
	if (err) {
		shim_note_error(walk, err, 0, 0);
		return err;
	}
	if (request->type == MADVISE_RANGE_ALL)
		err = shim_walk_all(walk);
	else
		err = shim_walk_ranges(walk);
	shim_map_close(&walk->map);
	return err;
}

static int call(uintptr_t ctl_at)
{
	struct shim_request request;
	struct shim_walk walk;
	int err = shim_read_request(&request, ctl_at);

	if (err && !MUTANT(stats_written_too_soon))
		return err;
	shim_walk_init(&walk, &request);
	if (err) {
		shim_note_error(&walk, err, 0, 0);
	} else if (request.bad < request.count) {
		err = -EINVAL;
		shim_note_error(&walk, err, (uintptr_t)request.ranges[request.bad].addr,
				request.bad);
	} else if (request.set_default) {
		err = -EOPNOTSUPP;
		shim_note_error(&walk, err, 0, 0);
	} else {
		err = apply(&walk);
	}
	return shim_report(&walk, err);
}

int shim_madvise_ranges(void *ctl)
{
	int saved = errno;
	int result = call((uintptr_t)ctl);

	errno = saved;
	return result;
}
