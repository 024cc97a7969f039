// SPDX-License-Identifier: GPL-2.0-only
/* Memory that the server shares with its children. */

#include <sys/mman.h>
#include <sys/syscall.h>

#include "executor.h"

#define REGIONS_MAX 12

static struct region {
	void *at;
	size_t bytes;
} regions[REGIONS_MAX];

static u32 n_regions;

/* Remember a region, for shared_leave(). */
void shared_add(void *at, size_t bytes)
{
	if (n_regions == REGIONS_MAX)
		fail("more than %d shared regions", REGIONS_MAX);
	regions[n_regions++] = (struct region){ at, bytes };
}

void *shared_create(size_t bytes, const char *what)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		fail("no memory for %s: %m", what);
	shared_add(at, bytes);
	return at;
}

/* Give it all up: advice on this process's memory must not reach anyone else's. */
void shared_leave(void)
{
	for (u32 i = 0; i < n_regions; i++)
		sys(SYS_munmap, regions[i].at, regions[i].bytes);
}
