// SPDX-License-Identifier: GPL-2.0-only
/* The one function of the library: the system call, or the shim in its place. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "libmadvise_ranges.h"
#include "shim.h"

#define EXPORTED __attribute__((visibility("default")))

/* The test build can plant one of the faults of shim_mutants.h, by its number. */
static void plant_mutant(void)
{
#ifdef MADVET_MUTANTS
	const char *number = getenv("MADVET_SHIM_MUTANT");

	shim_set_mutant(number ? atoi(number) : 0);
#endif
}

EXPORTED long madvise_ranges(struct madvise_ranges_control *ctl)
{
	int saved = errno;
	long result = syscall(__NR_madvise_ranges, ctl);

	if (result != -1 || errno != ENOSYS)
		return result;
	errno = saved;
	plant_mutant();
	result = shim_madvise_ranges(ctl);
	if (!result)
		return 0;
	errno = -result;
	return -1;
}
