// SPDX-License-Identifier: GPL-2.0-only
/* What the executor calls of the shim; see shim.c. */
#ifndef MADVET_SHIM_CALL_H
#define MADVET_SHIM_CALL_H

/* 0 or -errno. */
int shim_madvise_ranges(void *ctl) __attribute__((weak));

/* Switch on one fault; only builds with mutants have it. */
void shim_set_mutant(int number) __attribute__((weak));

#endif
