// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the files of the shim share. Errors are negative errnos, as in the kernel.
 *
 * A call goes through them in this order: shim_request.c reads and checks, shim_walk.c applies,
 * shim_report.c writes what is to be reported; shim_map.c finds mappings, shim_remote.c another
 * process, shim_user.c copies from and to memory that may not be there.
 */
#ifndef MADVET_SHIM_TYPES_H
#define MADVET_SHIM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../abi/generated/madvise_abi.h"
#include "shim_mutants.h"

#ifndef SHIM_SPECIAL_MAX
#define SHIM_SPECIAL_MAX 256 /* mappings that one look into smaps remembers */
#endif

/* shim_user.c */

long shim_result(long ret);
int shim_fetch(void *to, uintptr_t from, size_t size);
int shim_store(uintptr_t to, const void *from, size_t size);

/* shim_remote.c */

struct shim_target {
	pid_t pid; /* 0: the caller itself */
	int pidfd; /* if pid */
};

int shim_find_target(struct shim_target *target, int pidfd);
int shim_advise(const struct shim_target *target, uintptr_t start, size_t size, int advice);

/* shim_map.c */

struct shim_vma {
	uintptr_t start, end;
};

struct shim_map {
	const struct shim_target *target;
	int fd;	    /* of its maps, or -1 */
	bool query; /* the kernel answers PROCMAP_QUERY */
	/* The special mappings of [special_from, special_to). */
	uintptr_t special_from, special_to;
	unsigned int n_special;
	struct shim_vma special[SHIM_SPECIAL_MAX];
};

int shim_map_open(struct shim_map *map, const struct shim_target *target);
void shim_map_close(struct shim_map *map);
int shim_map_find(struct shim_map *map, uintptr_t at, struct shim_vma *vma);
int shim_map_special(struct shim_map *map, uintptr_t at);

/* shim_request.c */

struct shim_request {
	uintptr_t ctl_at, stats_at, per_range_at;
	uintptr_t array_at; /* MULTI */
	unsigned int type;  /* enum madvise_range_type, checked */
	unsigned int flags; /* MADVISE_RANGES_*, known ones only */
	bool set_default;
	struct shim_target target;
	size_t page; /* bytes */
	size_t count;
	size_t bad; /* index of the first range that fails validation, or count */
	struct madvise_range ranges[MADVISE_RANGES_COUNT_MAX]; /* ALL: [0], only its advice */
};

int shim_read_request(struct shim_request *request, uintptr_t ctl_at);
uintptr_t shim_range_start(const struct shim_request *request, size_t index);
uintptr_t shim_range_end(const struct shim_request *request, size_t index);

/* shim_walk.c */

struct shim_verdict {
	bool success, partial;
};

struct shim_walk {
	const struct shim_request *request;
	struct shim_map map;
	struct madvise_ranges_stats stats;
	size_t reached; /* ranges with a verdict */
	struct shim_verdict verdicts[MADVISE_RANGES_COUNT_MAX];
	unsigned int advised, failed; /* parts of the range at hand */
	uintptr_t counted;	      /* end of the part that was advised last */
};

void shim_walk_init(struct shim_walk *walk, const struct shim_request *request);
int shim_walk_ranges(struct shim_walk *walk);
int shim_walk_all(struct shim_walk *walk);
void shim_note_error(struct shim_walk *walk, int err, uintptr_t address, size_t offset);

/* shim_report.c */

int shim_report(const struct shim_walk *walk, int err);
int shim_report_element(const struct shim_walk *walk, size_t index);

#endif
