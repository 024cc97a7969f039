// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several ranges in one call, and what became of each: a mapping with a hole in it, and a
 * read-only mapping that one of the advices does not suit.
 *
 *	cc -o example example.c -lmadvise_ranges
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libmadvise_ranges.h"

#define RANGES 3

static char *map_pages(size_t pages, int prot)
{
	char *at = mmap(NULL, pages * sysconf(_SC_PAGESIZE), prot, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static const char *verdict(const struct madvise_range_stats *element)
{
	if (element->success)
		return "advised";
	return element->partial ? "advised in part" : "not advised";
}

static void print(const struct madvise_ranges_stats *stats, const char *first)
{
	printf("%lu mappings with %lu pages advised, %lu with %lu skipped, gaps: %lu\n",
	       stats->nr_mappings_advised, stats->nr_pages_advised, stats->nr_mappings_skipped,
	       stats->nr_pages_skipped, stats->nr_gaps);
	for (int i = 0; i < RANGES; i++)
		printf("range %d, advice %2d: %s\n", i, stats->per_range_stats[i].range.advice,
		       verdict(&stats->per_range_stats[i]));
	if (stats->err)
		printf("first error, of range %zu, %ld bytes in: %s\n", stats->offset,
		       (long)(stats->failed_address - (unsigned long)first),
		       strerror(stats->err));
}

int main(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *holed = map_pages(8, PROT_READ | PROT_WRITE);
	char *read_only = map_pages(4, PROT_READ);
	struct madvise_range_stats elements[RANGES];
	struct madvise_ranges_stats stats = { .per_range_stats = elements };
	struct madvise_range ranges[RANGES];
	struct madvise_ranges_control control = {
		.version = MADVISE_RANGES_VERSION,
		.type = MADVISE_RANGE_MULTI,
		.ranges = { .arr = ranges, .count = RANGES },
		.stats = &stats,
		.ignore_errors = true,
	};

	if (!holed || !read_only || munmap(holed + 3 * page, 2 * page)) {
		perror("mmap");
		return 1;
	}
	memset(holed, 1, page);
	ranges[0] = (struct madvise_range){ holed, 8 * page, MADV_DONTNEED };
	ranges[1] = (struct madvise_range){ read_only, 4 * page, MADV_POPULATE_WRITE };
	ranges[2] = (struct madvise_range){ read_only, 4 * page, MADV_DONTDUMP };
	if (madvise_ranges(&control)) {
		perror("madvise_ranges");
		return 1;
	}
	print(&stats, read_only);
	return 0;
}
