// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMAs from the kernel's own structs: a BPF program walks those of the calling
 * process with the open-coded iterator bpf_iter_task_vma (Linux 6.7) and leaves
 * them in a map that the executor has mapped. It costs a fifth of reading
 * smaps. Needs CAP_BPF, CAP_PERFMON and the kernel's type information; where
 * any is missing, smaps is read.
 *
 * The program is written out by hand: 40 instructions need no compiler for BPF.
 */

#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf.h"

#define VMAS_MAX 4096 /* twice the pages of the arena */
#define LOG_BYTES (64 * 1024)

/* The one value of the map. */
struct walk {
	u64 count;
	s64 error; /* of starting the walk */
	u64 seen; /* VMAs, those above the zones too */
	u64 mapped; /* as many as the process has */
	struct raw_vma vmas[VMAS_MAX];
};

static struct walk *walk HOT_DATA;
static long prog_fd HOT_DATA = -1;

static long bpf(int command, union bpf_attr *attr)
{
	return sys(SYS_bpf, command, attr, sizeof(*attr));
}

/* An instruction: opcode, destination, source, offset, immediate. */
#define I(op, to, from, offset, value)                                                    \
	{                                                                                 \
		.code = (op), .dst_reg = (to), .src_reg = (from), .off = (offset),        \
		.imm = (s32)(value),                                                      \
	}
#define MOV(to, from) I(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
#define MOV_K(to, value) I(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value)
#define ADD(to, from) I(BPF_ALU64 | BPF_ADD | BPF_X, to, from, 0, 0)
#define ADD_K(to, value) I(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value)
#define SHL_K(to, value) I(BPF_ALU64 | BPF_LSH | BPF_K, to, 0, 0, value)
#define OR(to, from) I(BPF_ALU64 | BPF_OR | BPF_X, to, from, 0, 0)
#define LOAD(to, from, offset) I(BPF_LDX | BPF_DW | BPF_MEM, to, from, offset, 0)
#define LOAD_INT(to, from, offset) I(BPF_LDX | BPF_W | BPF_MEM, to, from, offset, 0)
#define STORE(to, offset, from) I(BPF_STX | BPF_DW | BPF_MEM, to, from, offset, 0)
#define STORE_K(to, offset, value) I(BPF_ST | BPF_DW | BPF_MEM, to, 0, offset, value)
#define IF_K(condition, reg, value, skip) I(BPF_JMP | (condition) | BPF_K, reg, 0, skip, value)
#define GOTO(skip) I(BPF_JMP | BPF_JA, 0, 0, skip, 0)
#define HELPER(number) I(BPF_JMP | BPF_CALL, 0, 0, 0, number)
#define KFUNC(id) I(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, id)
#define EXIT I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define LOAD64(to, kind, low, high) I(BPF_LD | BPF_DW | BPF_IMM, to, kind, 0, low), I(0, 0, 0, 0, high)

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP };

#define ITER -8 /* the iterator, on the stack */
#define FIELD(name) offsetof(struct walk, name)

static long load(const struct kernel_types *t, int map_fd)
{
	const struct bpf_insn insns[] = {
		LOAD64(R6, BPF_PSEUDO_MAP_VALUE, map_fd, 0),
		STORE_K(R6, FIELD(count), 0),
		STORE_K(R6, FIELD(seen), 0),
		STORE_K(R6, FIELD(mapped), 0),
		HELPER(BPF_FUNC_get_current_task_btf),
		LOAD(R1, R0, t->mm),
		IF_K(BPF_JEQ, R1, 0, 2), /* as a thread of the kernel has it */
		LOAD_INT(R2, R1, t->map_count),
		STORE(R6, FIELD(mapped), R2),
		MOV(R2, R0),
		MOV(R1, FP),
		ADD_K(R1, ITER),
		MOV_K(R3, 0),
		KFUNC(t->iter_new),
		STORE(R6, FIELD(error), R0),
		/* next: */
		MOV(R1, FP),
		ADD_K(R1, ITER),
		KFUNC(t->iter_next),
		IF_K(BPF_JEQ, R0, 0, 27), /* done */
		LOAD(R1, R6, FIELD(seen)),
		ADD_K(R1, 1),
		STORE(R6, FIELD(seen), R1),
		LOAD(R1, R0, t->start),
		IF_K(BPF_JGE, R1, ZONE_BASE, -9), /* next */
		LOAD(R2, R6, FIELD(count)),
		IF_K(BPF_JGE, R2, VMAS_MAX, 20), /* done */
		MOV(R3, R2),
		ADD_K(R3, 1),
		STORE(R6, FIELD(count), R3),
		SHL_K(R2, 5), /* times the size of a struct raw_vma */
		MOV(R4, R6),
		ADD(R4, R2),
		STORE(R4, FIELD(vmas[0].start), R1),
		LOAD(R1, R0, t->end),
		STORE(R4, FIELD(vmas[0].end), R1),
		LOAD(R1, R0, t->flags),
		STORE(R4, FIELD(vmas[0].raw_flags), R1),
		MOV_K(R1, 0),
		LOAD(R2, R0, t->file),
		IF_K(BPF_JEQ, R2, 0, 4), /* no file: no offset */
		LOAD(R1, R0, t->pgoff),
		LOAD64(R3, 0, 0, 1u << 31), /* PGOFF_FILE */
		OR(R1, R3),
		STORE(R4, FIELD(vmas[0].pgoff), R1),
		GOTO(-31), /* next */
		/* done: */
		MOV(R1, FP),
		ADD_K(R1, ITER),
		KFUNC(t->iter_destroy),
		MOV_K(R0, 0),
		EXIT,
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SYSCALL,
		.prog_flags = BPF_F_SLEEPABLE,
		.insns = (u64)insns,
		.insn_cnt = ARRAY_SIZE(insns),
		.license = (u64) "GPL",
	};

	_Static_assert(sizeof(struct raw_vma) == 1 << 5, "shifted by 5 above");
	return bpf(BPF_PROG_LOAD, &attr);
}

static long map_create(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = sizeof(struct walk),
		.max_entries = 1,
		.map_flags = BPF_F_MMAPABLE,
	};

	return bpf(BPF_MAP_CREATE, &attr);
}

/* Does nothing, quietly, where the kernel or the rights of this user do not suffice. */
void bpf_create(void)
{
	struct kernel_types types;
	long map_fd = map_create();
	void *at;

	if (map_fd < 0)
		return;
	if (btf_read(&types)) {
		prog_fd = load(&types, map_fd);
		at = mmap(NULL, sizeof(*walk), PROT_READ, MAP_SHARED, map_fd, 0);
		if (at != MAP_FAILED) {
			shared_add(at, sizeof(*walk));
			walk = at;
		}
	}
	close(map_fd);
	if (!bpf_works())
		return;
	if (!bpf_learn())
		prog_fd = -1;
}

HOT bool bpf_works(void)
{
	return prog_fd >= 0 && walk;
}

HOT long bpf_read_raw(const struct raw_vma **vmas)
{
	union bpf_attr attr = { .test = { .prog_fd = prog_fd } };
	long ret = bpf(BPF_PROG_TEST_RUN, &attr);

	if (ret)
		return ret;
	if (walk->error)
		return walk->error;
	if (walk->count == VMAS_MAX)
		return -ENOSPC;
	/* The iterator passes over a VMA that it cannot lock: khugepaged may be at work there. */
	if (walk->seen != walk->mapped)
		return -EAGAIN;
	*vmas = walk->vmas;
	return walk->count;
}

/* As smaps_read() below the zones; -errno also for a flag whose meaning is not known. */
HOT long bpf_read(struct vma *vmas, u32 max)
{
	const struct raw_vma *raw;
	long count = bpf_read_raw(&raw);

	if (count > max)
		return -ENOSPC;
	for (long i = 0; i < count; i++) {
		vmas[i].start = raw[i].start;
		vmas[i].end = raw[i].end;
		vmas[i].pgoff = raw[i].pgoff;
		if (!bpf_translate(raw[i].raw_flags, &vmas[i].flags))
			return -EOPNOTSUPP;
	}
	return count;
}
