// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs whose calls may name any address (Observe.WHOLE) run in a process
 * that is sacrificed: it is traced, does what each op says, and is killed. The
 * process that traces it keeps the record, and looks from outside.
 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "shim.h"
#include "trace.h"

#define USER_END 0x800000000000ul /* vsyscall, above it, is in no VMA tree */

static struct tracee victim, second; /* second: Op.REMOTE */
static struct tracee *looked_at = &victim; /* whose memory `memory` is */
static bool not_placed;

static long copy(long nr, void *here, u64 there, u32 bytes)
{
	struct iovec own = { here, bytes }, theirs = { (void *)there, bytes };

	return sys(nr, looked_at->pid, &own, 1, &theirs, 1, 0);
}

/*
 * Some memory (secretmem) no other process may copy, so what fails is tried
 * again by the process itself, a word at a time. It stops at the first fault.
 */
static u32 access_by_word(u8 *here, u64 there, u32 bytes, bool write)
{
	u32 done = 0;

	while (done < bytes && !looked_at->died_of) {
		u32 size = (there + done) % 8 || bytes - done < 8 ? 1 : 8;
		u64 value = 0;

		if (write)
			memcpy(&value, here + done, size);
		record->tick++; /* 10 us each: a sign of life */
		if (trace_access(looked_at, there + done, write, size, &value))
			break;
		if (!write)
			memcpy(here + done, &value, size);
		done += size;
	}
	return done;
}

static u32 access_by_page(u8 *here, u64 there, u32 bytes, bool write)
{
	long nr = write ? SYS_process_vm_writev : SYS_process_vm_readv;
	u32 done = 0;

	while (done < bytes) {
		u32 part = PAGE - (there + done) % PAGE;

		if (part > bytes - done)
			part = bytes - done;
		if (copy(nr, here + done, there + done, part) != part &&
		    access_by_word(here + done, there + done, part, write) != part)
			break;
		done += part;
	}
	return done;
}

static u32 traced_load(void *to, u64 from, u32 bytes)
{
	return access_by_page(to, from, bytes, false);
}

static bool traced_store(u64 to, const void *from, u32 bytes)
{
	return access_by_page((u8 *)from, to, bytes, true) == bytes;
}

static const struct memory traced_memory = { traced_load, traced_store };

static bool open_proc(pid_t pid, const char *name, int *fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	return *fd >= 0;
}

static bool subject_open(struct subject *subject, pid_t pid)
{
	subject->pid = pid;
	subject->smaps = -1;
	return open_proc(pid, "smaps", &subject->smaps) &&
	       open_proc(pid, "pagemap", &subject->pagemap);
}

static void subject_close(struct subject *subject)
{
	sys(SYS_close, subject->smaps);
	sys(SYS_close, subject->pagemap);
}

static void snapshot_of(struct tracee *tracee, const struct program *program, u32 step, bool child,
			bool last)
{
	struct subject subject;

	looked_at = tracee;
	if (!subject_open(&subject, tracee->pid))
		child_fail("cannot open the files in /proc of a traced process", -errno);
	snapshot_take(&subject, program, step, child, last);
	subject_close(&subject);
	looked_at = &victim;
}

/* Op FORK: the copy never runs; it is looked at, and goes. */
static bool fork_snapshot(const struct program *program)
{
	pid_t pid = trace_clone(&victim);
	u64 wait[7] = { SYS_wait4, pid, 0, 0x40000000 /* __WALL */ };
	struct tracee child;
	s64 reaped;

	if (victim.died_of)
		return false;
	if (pid < 0) {
		record_result(pid);
		return true;
	}
	if (!trace_start(&child, pid))
		return false;
	snapshot_of(&child, program, record->n_results, true, false);
	trace_end(&child);
	record_result(0);
	return trace_syscall(&victim, wait, &reaped);
}

/* In the traced process: a descriptor of the second one at the number that programs use. */
static s64 hold_remote(pid_t pid)
{
	long fd = sys(NR_PIDFD_OPEN, pid, 0);
	long ret = fd;

	if (fd >= 0) {
		ret = sys(SYS_dup3, fd, FD_PIDFD_REMOTE, O_CLOEXEC);
		sys(SYS_close, fd);
	}
	return ret;
}

static bool start_second(void)
{
	pid_t pid = trace_clone(&victim);
	u64 arguments[4] = { pid };
	s64 result;

	if (pid < 0 || !trace_start(&second, pid))
		return false;
	return trace_function(&victim, (u64)hold_remote, arguments, &result) && result >= 0;
}

static s64 touch(const u64 *w)
{
	static const u16 offsets[] = CONTENT_WORD_OFFSETS;
	bool write = w[1] & TOUCH_WRITES;
	u32 page = w[0], pages = w[0] >> 32, stores = write ? ARRAY_SIZE(offsets) : 1, done, signal;

	for (done = 0; done < pages; done++) {
		u64 at = ARENA_BASE + (u64)(page + done) * PAGE;
		u64 tag = (w[2] << 16 | (page + done + 1)) & CONTENT_MASK;

		for (u32 i = 0; i < stores; i++) {
			signal = trace_access(&victim, at + offsets[i], write, 8, &tag);
			if (signal)
				return -(s64)((u64)signal << 16 | done);
		}
	}
	return done;
}

/* Ops that are functions of the executor are called by the traced process itself. */
static bool run_function(const struct op *op, s64 *result)
{
	u64 function = 0;
	bool ok;

	switch (op->code) {
	case OP_UFFD:
		function = (u64)call_uffd;
		break;
	case OP_CLEAR_SOFT_DIRTY:
		function = (u64)call_clear_soft_dirty;
		break;
	case OP_MOVE_VVAR:
		function = (u64)call_move_vvar;
		break;
	case OP_MAP_SECRET:
		function = (u64)call_map_secret;
		break;
	case OP_MAP_PERF:
		function = (u64)call_map_perf;
		break;
	case OP_FORK_EXEC:
		function = (u64)call_fork_exec;
		break;
	case OP_RANGES:
		function = (u64)call_ranges;
		break;
	}
	cover_open(COVER_VICTIM);
	ok = trace_function(&victim, function, op->word, result);
	cover_close();
	return ok;
}

static bool run_call(const struct op *op, s64 *result)
{
	bool ok = true;

	if (op->code == OP_SYSCALL && op->word[0] == NR_MMAP)
		files_mapped(op->word[5], op->word[4] & 1 /* MAP_SHARED */);
	zone_open();
	*result = NOT_PLACED;
	cover_open(COVER_VICTIM);
	if (!not_placed && op->code == OP_SYSCALL)
		ok = trace_syscall(&victim, op->word, result);
	else if (!not_placed && op->code == OP_SYSCALL32)
		ok = trace_syscall32(&victim, op->word, result);
	else if (!not_placed && options.shim)
		ok = run_function(op, result);
	else if (!not_placed)
		ok = trace_syscall(&victim, (u64[7]){ NR_MADVISE_RANGES, op->word[0] }, result);
	cover_close();
	zone_close();
	not_placed = false;
	return ok;
}

/* False when the process is dead, or as good as dead. */
static bool run_op(const struct program *program, const struct op *op, bool last)
{
	const u64 *w = op->word;
	s64 result;
	bool ok = true;

	switch (op->code) {
	case OP_FILE:
		break; /* done before the process was made, which inherits it */
	case OP_POKE:
		not_placed |= !zone_poke(w[0], w[1], w + 2);
		break;
	case OP_PEEK:
		zone_peek(w[0], w[1]);
		break;
	case OP_ZONE_CHECK:
		*record_peek(8) = zone_check();
		record_peek_done(8, 8);
		break;
	case OP_SNAPSHOT:
		snapshot_of(&victim, program, record_step(), false, last);
		break;
	case OP_FORK:
		return fork_snapshot(program);
	case OP_RIGHTS:
		record->unable = true; /* no program has both */
		break;
	case OP_FORK_EXEC:
		heirs_forget();
		if (!run_function(op, &result))
			return false;
		record_result(result);
		heirs_report();
		break;
	case OP_RECLAIM:
		record_result(call_reclaim()); /* one process of the cgroup can do it for all */
		break;
	case OP_REMOTE:
		record->unable |= !start_second();
		break;
	case OP_TOUCH:
		result = touch(w);
		if (victim.died_of)
			return false;
		record_result(result);
		break;
	default:
		if (op->code == OP_SYSCALL || op->code == OP_SYSCALL32 || op->code == OP_RANGES)
			ok = run_call(op, &result);
		else
			ok = run_function(op, &result);
		if (ok)
			record_result(result);
	}
	return ok && !victim.died_of;
}

static bool prepare_files(const struct program *program)
{
	const u64 *at = program->ops;
	struct op op;

	for (u32 i = 0; i < program->n_ops; i++, at += op.words) {
		op = op_at(at);
		if (op.code == OP_FILE && !files_use(op.word[0], op.word[1], op.word[2]))
			return false;
	}
	return true;
}

/* The process to sacrifice shares no memory with anyone but the read-only zone. */
static bool start_victim(void)
{
	pid_t parent = sys(SYS_getpid);
	int pidfd = -1;
	pid_t pid = fork_raw(&pidfd);

	if (!pid) {
		die_with_parent(parent);
		remote_open_self();
		cover_enable(COVER_VICTIM);
		shared_leave();
		trace_child();
	}
	if (pid < 0)
		return false;
	sys(SYS_close, pidfd);
	return trace_start(&victim, pid);
}

/* Outcome.outside: what lies above the arena, the zones and the executor itself. */
static void record_outside(void)
{
	struct subject subject;
	long count;

	if (!subject_open(&subject, victim.pid))
		child_fail("cannot open the files in /proc of a traced process", -errno);
	count = smaps_read(subject.smaps, ZONE_BASE, USER_END, (struct vma *)record->outside,
			   RECORD_OUTSIDE_WORDS / 4, NULL);
	subject_close(&subject);
	if (count < 0)
		child_fail("cannot read the list of mappings of a traced process", count);
	record->n_outside = count;
}

/* What the process died of, 0 when it lived to the end. */
u32 sandbox_run(const struct program *program)
{
	const u64 *at = program->ops;
	bool alive = true;
	struct op op;

	if (!prepare_files(program) || !start_victim()) {
		record->unable = true;
		return 0;
	}
	record_outside();
	memory = &traced_memory;
	for (u32 i = 0; i < program->n_ops && alive && !record->unable; i++, at += op.words) {
		op = op_at(at);
		record->tick++;
		if (call_possible(&op))
			alive = run_op(program, &op, i + 1 == program->n_ops);
		else
			record->unable = true;
	}
	if (alive && second.pid)
		snapshot_of(&second, program, record_step(), true, true);
	if (!alive && !victim.died_of)
		record->unable = true; /* tracing failed, not the program */
	trace_end(&second);
	trace_end(&victim);
	memory = &own_memory;
	return alive ? 0 : victim.died_of;
}
