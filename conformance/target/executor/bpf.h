// SPDX-License-Identifier: GPL-2.0-only
/* What the files of the BPF reader share. */
#ifndef MADVET_BPF_H
#define MADVET_BPF_H

#include "executor.h"

/* Of the running kernel: byte offsets into its structs, BTF ids of functions. */
struct kernel_types {
	int start, end, flags, pgoff, file; /* struct vm_area_struct */
	int mm; /* struct task_struct */
	int map_count; /* struct mm_struct */
	int iter_new, iter_next, iter_destroy;
};

/* A VMA with the kernel's own flag bits. */
struct raw_vma {
	u64 start, end, raw_flags, pgoff;
};

bool btf_read(struct kernel_types *types);

/* bpf_vmas.c: the VMAs of this process below the zones; their number or -errno. */
long bpf_read_raw(const struct raw_vma **vmas);

/* bpf_learn.c: which raw bit is which flag; false, having said why, when they disagree. */
bool bpf_learn(void);
bool bpf_translate(u64 raw_flags, u64 *flags);

#endif
