// SPDX-License-Identifier: GPL-2.0-only
/* The process that runs programs: a loop over ops, and the reset between two programs. */

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "touch.h"

#define CANARY 0x63616e6172696573ul
#define MADE_AHEAD_MIN 4 /* pages that are worth a call of their own */
#define LOWEST_ADDRESS 0x10000 /* programs' mappings are all between here and the zones */

struct subject myself HOT_DATA;
static bool not_placed HOT_DATA; /* a struct of the call at hand could not be stored */

/* As fork(), with a pidfd and without the C library's bookkeeping. */
pid_t fork_raw(int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = (u64)pidfd,
		.exit_signal = SIGCHLD,
	};

	return sys(NR_CLONE3, &args, sizeof(args));
}

/* Called by the child of a fork, which must not outlive its parent. */
void die_with_parent(pid_t parent)
{
	sys(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	if (sys(SYS_getppid) != parent)
		sys(SYS_exit_group, EXIT_HARNESS);
}

/* A failure of the harness, never of a program: the server gives up as well. */
_Noreturn void child_fail(const char *what, long err)
{
	complain("%s: %s", what, strerror(-err));
	for (;;)
		sys(SYS_exit_group, EXIT_HARNESS);
}

/*
 * A file in /proc shows the process that opened it, so every fork opens its
 * own; smaps only when it is read, since it may never be.
 */
void child_open_proc(void)
{
	if (myself.smaps > 0)
		sys(SYS_close, myself.smaps);
	if (myself.pagemap > 0)
		sys(SYS_close, myself.pagemap);
	myself.smaps = 0;
	fault_forget();
	myself.pagemap = sys(SYS_open, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (myself.pagemap < 0)
		child_fail("cannot open /proc/self/pagemap", myself.pagemap);
}

int child_smaps(void)
{
	if (myself.smaps <= 0) {
		myself.smaps = sys(SYS_open, "/proc/self/smaps", O_RDONLY | O_CLOEXEC);
		residue_expect(1);
	}
	if (myself.smaps < 0)
		child_fail("cannot open /proc/self/smaps", myself.smaps);
	return myself.smaps;
}

/* A peek that is a word. */
static inline void record_word(u64 word)
{
	*record_peek(8) = word;
	record_peek_done(8, 8);
}

/* A call whose structs are in place is made, else it is not. */
static inline __attribute__((always_inline)) void run_call(const struct op *op)
{
	u32 errors_before = memory_errors;
	s64 result = NOT_PLACED;

	zone_open();
	cover_open(COVER_OWN);
	if (fault_due)
		fault_arm();
	if (interrupt_due)
		interrupt_begin();
	if (!not_placed)
		result = op->code == OP_SYSCALL ? call_syscall(op->word) :
			 op->code == OP_RANGES	? call_ranges(op->word[0]) :
						  call_syscall32(op->word);
	if (interrupt_due)
		interrupt_end();
	if (fault_due)
		fault_disarm();
	cover_close();
	zone_close();
	not_placed = false;
	record_result(memory_errors == errors_before ? result : result - (s64)MEMORY_ERROR);
}

/* The same for calls that are made together. */
static void run_race(const struct op *op)
{
	zone_open();
	race_run(op, !not_placed);
	zone_close();
	not_placed = false;
}

static void run_fork_exec(void)
{
	heirs_forget();
	record_result(call_fork_exec());
	heirs_report();
}

/* What makes the next call hard, and what came of it. */
static void run_disturbance(const struct op *op)
{
	const u64 *w = op->word;

	switch (op->code) {
	case OP_FAIL_NTH:
		zone_present();
		record->unable = !fault_prepare(w[0]);
		break;
	case OP_FAULT_LEFT:
		record_word(fault_left());
		break;
	case OP_SIGNAL:
		record->unable = !interrupt_prepare(w[0], w[1], w[2]);
		break;
	case OP_SIGNAL_SEEN:
		record_word(interrupt_seen());
		break;
	}
}

/*
 * Each fault costs a guest dearly: user mode Linux a change to another process and back, an
 * emulated processor thousands of instructions of its own. Pages of a layout are made in one call
 * there. It does by handle_mm_fault() what stores would do, and where it will not, the stores do.
 */
static inline __attribute__((always_inline)) s64 touch(u32 page, u32 pages, u32 how, u32 serial)
{
	if (options.guest && how == (TOUCH_WRITES | TOUCH_LAYOUT) && pages >= MADE_AHEAD_MIN)
		sys(NR_MADVISE, ARENA_BASE + (u64)page * PAGE, pages * PAGE, ADVICE_POPULATE_WRITE);
	return touch_pages(page, pages, how & TOUCH_WRITES, serial);
}

static inline __attribute__((always_inline)) void run_op(const struct program *program, const struct op *op, bool last)
{
	const u64 *w = op->word;

	switch (op->code) {
	case OP_SYSCALL:
	case OP_SYSCALL32:
	case OP_RANGES:
		run_call(op);
		break;
	case OP_POKE:
		not_placed |= !zone_poke(w[0], w[1], w + 2);
		break;
	case OP_PEEK:
		zone_peek(w[0], w[1]);
		break;
	case OP_TOUCH:
		record_result(touch(w[0], w[0] >> 32, w[1], w[2]));
		break;
	case OP_FORK:
		record_result(remote_fork_snapshot(program));
		break;
	case OP_RIGHTS:
		record->unable = !rights_limit(w[0]);
		break;
	case OP_FORK_EXEC:
		run_fork_exec();
		break;
	case OP_FILE:
		record->unable = !files_use(w[0], w[1], w[2]);
		break;
	case OP_SNAPSHOT:
		snapshot_take(&myself, program, record_step(), false, last);
		break;
	case OP_UFFD:
		record_result(call_uffd(w[0], w[1], w[2]));
		break;
	case OP_CLEAR_SOFT_DIRTY:
		record_result(call_clear_soft_dirty());
		break;
	case OP_MOVE_VVAR:
		record_result(call_move_vvar(w[0]));
		break;
	case OP_MAP_SECRET:
		record_result(call_map_secret(w[0], w[1], w[2], w[3]));
		break;
	case OP_MAP_PERF:
		record_result(call_map_perf(w[0], w[1], w[2]));
		break;
	case OP_RECLAIM:
		record_result(call_reclaim());
		break;
	case OP_RACE:
		run_race(op);
		break;
	case OP_REMOTE:
		record->unable = !remote_start(program);
		break;
	case OP_ZONE_CHECK:
		record_word(zone_check());
		break;
	default:
		run_disturbance(op);
		break;
	}
}

/* Calls and accesses whose way through the kernel counts; run_call() sees to its own. */
static HOT bool counts(u32 code)
{
	switch (code) {
	case OP_TOUCH:
	case OP_FORK:
	case OP_FORK_EXEC:
	case OP_UFFD:
	case OP_CLEAR_SOFT_DIRTY:
	case OP_MOVE_VVAR:
	case OP_MAP_SECRET:
	case OP_MAP_PERF:
		return true;
	default:
		return false;
	}
}

/* What the process died of, 0 when it lives. */
static HOT u32 run_program(const struct program *program)
{
	const u64 *at = program->ops;
	struct op op;

	record_begin(program->ident);
	cover_begin(program);
	if (program->observe & OBSERVE_WHOLE)
		return sandbox_run(program);
	not_placed = false;
	fault_due = interrupt_due = 0;
	for (u32 i = 0; i < program->n_ops && !record->unable; i++, at += op.words) {
		op = op_at(at);
		record->tick++;
		if (counts(op.code))
			cover_open(COVER_OWN);
		if (call_possible(&op))
			run_op(program, &op, i + 1 == program->n_ops);
		else
			record->unable = true;
		cover_close();
	}
	if (interrupt_due)
		interrupt_forget();
	remote_finish();
	return 0;
}

/* False when the process cannot be made as new: something in it is sealed. */
static HOT bool reset(void)
{
	long err = sys(SYS_munmap, LOWEST_ADDRESS, ZONE_BASE - LOWEST_ADDRESS);

	calls_end();
	return !err;
}

/*
 * A call that reaches the executor's own memory must not go unnoticed: discarded
 * pages read as the file has them (data), or as zero (bss, stack). It counts as
 * the death of the process, at the step after the last.
 */
static u64 canary_in_data = 1;
static u64 canary_in_bss;

static u32 check_canaries(const volatile u64 *on_stack)
{
	bool well = *(volatile u64 *)&canary_in_data == CANARY &&
		    *(volatile u64 *)&canary_in_bss == CANARY && *on_stack == CANARY;

	return well ? 0 : SIGABRT;
}

/* Programs may have moved [vvar] away, or given up the right to look. */
static bool may_leave_nothing(void)
{
	return record->residue_due && !vvar_moved && !rights_limited();
}

/* Run programs until all are done, or until a fresh process is needed. */
_Noreturn void child_main(const struct program *programs, u32 count)
{
	volatile u64 canary_on_stack = CANARY;

	canary_in_data = CANARY;
	canary_in_bss = CANARY;
	child_open_proc();
	remote_open_self();
	residue_begin();
	for (u32 i = 0; i < count; i++) {
		u32 signal = run_program(&programs[i]);

		if (!signal)
			signal = check_canaries(&canary_on_stack);
		if (!record_finish(signal ? STATUS_KILLED : STATUS_DONE, signal,
				   signal ? record->n_results : 0))
			complain("the outcome of program %lu does not fit into the ring",
				 (unsigned long)programs[i].ident);
		record->finished = i + 1;
		zone_reset(); /* the read-only zone is the next process's, too */
		if (signal || (i + 1 < count && !reset()))
			break;
		if (i + 1 == count && may_leave_nothing() && reset())
			residue_end(count);
	}
	for (;;)
		sys(SYS_exit_group, 0);
}
