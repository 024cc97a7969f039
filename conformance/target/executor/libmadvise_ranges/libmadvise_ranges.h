// SPDX-License-Identifier: GPL-2.0-only
/*
 * madvise_ranges(), whether the kernel has it or not.
 *
 * The structs, advices and options are those of madvise_abi.h, which is installed beside this
 * file. What the fallback cannot do is listed in README.md.
 */
#ifndef LIBMADVISE_RANGES_H
#define LIBMADVISE_RANGES_H

#include "madvise_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * 0, or -1 with errno set. The system call where the kernel has it; where that is ENOSYS, the
 * same in user space on top of madvise(2), process_madvise(2) and /proc. Any number of threads
 * may call it at once.
 */
long madvise_ranges(struct madvise_ranges_control *ctl);

#ifdef __cplusplus
}
#endif

#endif
