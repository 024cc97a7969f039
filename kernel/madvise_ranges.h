/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of madvise_ranges() share. madvise_ranges.c includes the others, and
 * mm/madvise.c includes that one, so that it can use the functions that advise one mapping.
 *
 * A call goes through them in this order: madvise_ranges_abi.c reads the arguments, once, and
 * checks them; madvise_ranges_walk.c applies them; madvise_ranges_abi.c writes the report. What
 * differs between releases of Linux is in madvise_ranges_release.h.
 */
#ifndef _MM_MADVISE_RANGES_H
#define _MM_MADVISE_RANGES_H

#define MR_RANGES_INLINE 8 /* that many need no allocation */

/* One range as it was given, and what came of it. ALL: advice alone. */
struct mr_range {
	unsigned long addr;
	unsigned long size;
	int advice;
	bool success;
	bool partial;
};

/* The arguments. Nothing here is read from user memory a second time. */
struct mr_request {
	const char __user *ctl;
	void __user *array;
	void __user *stats;
	void __user *per_range;
	unsigned long count;
	u32 type;	/* enum madvise_range_type, checked */
	u8 flags;	/* MADVISE_RANGES_*, known ones only */
	bool set_default;
	s32 pidfd;
	struct mr_range *ranges;
	struct mr_range inline_ranges[MR_RANGES_INLINE];
};

/* struct madvise_ranges_stats as the call counts. err is positive. */
struct mr_stats {
	unsigned long mappings_advised;
	unsigned long mappings_skipped;
	unsigned long pages_advised;
	unsigned long pages_skipped;
	unsigned long gaps;
	unsigned long failed_address;
	unsigned long offset;
	int err;
};

#endif /* _MM_MADVISE_RANGES_H */
