// SPDX-License-Identifier: GPL-2.0-only
/*
 * Op RACE: actors that make their calls at the same time. Each is a thread of this process, another
 * process in the same memory, or the second process, and runs on a processor of its own where there
 * are enough. None of them uses the C library, which knows of no threads here.
 *
 * Words: [actors] and for each [place | repeats << 8 | ops << 24 | words << 32] [delay] op...
 * Results: actor by actor, repeat by repeat, op by op; read back as one PEEK.
 */

#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "race.h"
#include "race_mutants.h"
#include "thread.h"
#include "touch.h"

#define STACK_BYTES (64 * 1024) /* the shim needs 40 KiB */
#define FAULT_STACK_BYTES (16 * 1024)
#define SPINS_MAX 65536 /* 0.1 ms; then others may run */
#define SPINS_ALONE 64 /* the same where one processor is all there is */
#define LOOK_NS 20000000 /* until it is seen that an actor was killed */
#define CPUS_MAX 64

static u8 stacks[RACE_ACTORS_MAX][STACK_BYTES] __attribute__((aligned(64)));
static u8 fault_stacks[RACE_ACTORS_MAX][FAULT_STACK_BYTES] __attribute__((aligned(64)));
static u32 running[RACE_ACTORS_MAX]; /* cleared by the kernel when a thread ends */
static volatile u32 shim_busy; /* the shim is a function of one caller; what it calls may race */
static long cpus = 1;

void race_init(void)
{
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (cpus > CPUS_MAX)
		cpus = CPUS_MAX;
}

static s64 ranges(u64 ctl)
{
	s64 result;

	if (!options.shim)
		return call_ranges(ctl);
	while (__atomic_exchange_n(&shim_busy, 1, __ATOMIC_ACQUIRE))
		sys(SYS_sched_yield);
	result = call_ranges(ctl);
	__atomic_store_n(&shim_busy, 0, __ATOMIC_RELEASE);
	return result;
}

/* A child that ends at once: what it is made of is all that matters. */
static s64 fork_and_reap(void)
{
	siginfo_t info;
	int pidfd = -1;
	pid_t pid = fork_raw(&pidfd);

	if (!pid)
		for (;;)
			sys(SYS_exit_group, 0);
	if (pid < 0)
		return pid;
	while (sys(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED, 0) == -EINTR)
		;
	sys(SYS_close, pidfd);
	return 0;
}

/* 0, or what a touch that faults gives. */
static s64 store(u64 at, u64 value)
{
	u64 signal = store_word(at, value);

	return signal ? -(s64)(signal << 16) : 0;
}

static s64 make_call(const struct op *op)
{
	const u64 *w = op->word;

	switch (op->code) {
	case OP_SYSCALL:
		return race_syscall(w);
	case OP_SYSCALL32:
		return call_syscall32(w);
	case OP_RANGES:
		return ranges(w[0]);
	case OP_TOUCH:
		return touch_pages(w[0], w[0] >> 32, w[1] & TOUCH_WRITES, w[2]);
	case OP_STORE:
		return store(w[0], w[1]);
	case OP_FORK:
		return fork_and_reap();
	default:
		return 0;
	}
}

static void actor_done(void)
{
	__atomic_sub_fetch(&record->race_left, 1, __ATOMIC_SEQ_CST);
	sys(SYS_futex, &record->race_left, FUTEX_WAKE, 1);
}

/* Its calls, from the moment that all actors stand ready. */
static void act(u32 index, const struct actor *actor)
{
	u64 cpu = 1ul << index % cpus;
	s64 *results = record->race_results + actor->first_result;
	u32 most = cpus > 1 ? SPINS_MAX : SPINS_ALONE, spins = 0;

	sys(SYS_sched_setaffinity, 0, sizeof(cpu), &cpu); /* where it may; it is only faster */
	__atomic_add_fetch(&record->race_ready, 1, __ATOMIC_SEQ_CST);
	while (record->race_ready < record->race_actors)
		if (++spins % most == 0)
			sys(SYS_sched_yield);
	for (u32 n = 0; n < actor->repeats; n++) {
		const u64 *at = actor->ops;

		for (u32 i = 0; i < actor->n_ops; i++) {
			struct op op = op_at(at);

			for (u64 left = actor->delay; left; left--)
				asm volatile("" ::: "memory");
			if (op.code == OP_EXIT) {
				*results = 0;
				record->race_second_ends |= actor->place == RACE_REMOTE;
				actor_done();
				sys(SYS_exit_group, 0);
			}
			*results++ = make_call(&op);
			record->tick++;
			at += op.words;
		}
	}
}

static void find_actor(u32 index, struct actor *actor)
{
	const u64 *at = record->race_words + 1;
	u32 first = 0;

	for (u32 i = 0; i <= index; i++) {
		at = actor_at(at, first, actor);
		first += actor->repeats * actor->n_ops;
	}
}

/* Where a new thread or process begins, on its own stack. */
static _Noreturn void race_actor(u64 index)
{
	stack_t stack = { .ss_sp = fault_stacks[index], .ss_size = FAULT_STACK_BYTES };
	struct actor actor;

	sys(SYS_sigaltstack, &stack, NULL);
	find_actor(index, &actor);
	act(index, &actor);
	actor_done();
	for (;;)
		sys(SYS_exit, 0);
}

static long start_actor(u64 index, struct clone_args *args)
{
	args->stack = (u64)stacks[index];
	args->stack_size = STACK_BYTES;
	return thread_start(args, &running[index], race_actor, index);
}

static long start_thread(u64 index)
{
	struct clone_args args = {
		.flags = THREAD_FLAGS,
	};

	return start_actor(index, &args);
}

static long start_process(u64 index, int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = (u64)pidfd,
		.exit_signal = SIGCHLD,
	};

	return start_actor(index, &args);
}

/* In the second process, when it is told to. */
void race_remote(void)
{
	struct actor actor;
	u32 index = 0;

	for (find_actor(index, &actor); actor.place != RACE_REMOTE; find_actor(++index, &actor))
		;
	act(index, &actor);
	actor_done();
}

/* What killed one of the actors kills the program. */
static void die_with(int pidfd)
{
	siginfo_t info = { 0 };

	if (pidfd < 0 || sys(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOWAIT | WNOHANG, 0))
		return;
	if (info.si_pid && info.si_code != CLD_EXITED) {
		long self = sys(SYS_getpid);

		sys(SYS_kill, self, info.si_status);
		child_fail("an actor was killed, this process was not", -EINTR);
	}
}

/* Until nobody runs any more. An actor that hangs keeps the deadline from being met. */
static void wait_for_all(u32 n_actors, const int *pidfds)
{
	struct timespec look = { .tv_nsec = LOOK_NS };
	siginfo_t info;
	u32 left;

	while ((left = record->race_left)) {
		sys(SYS_futex, &record->race_left, FUTEX_WAIT, left, &look);
		die_with(remote_process());
		for (u32 i = 0; i < n_actors; i++)
			die_with(pidfds[i]);
	}
	if (record->race_second_ends) /* remote_finish() reaps it */
		while (sys(SYS_waitid, P_PIDFD, remote_process(), &info, WEXITED | WNOWAIT, 0) == -EINTR)
			;
	for (u32 i = 0; i < n_actors; i++) {
		thread_wait(&running[i]);
		if (pidfds[i] < 0)
			continue;
		while (sys(SYS_waitid, P_PIDFD, pidfds[i], &info, WEXITED, 0) == -EINTR)
			;
		sys(SYS_close, pidfds[i]);
	}
}

/* May each of its calls be tried here? */
static bool possible(const u64 *word)
{
	const u64 *at = word + 1;
	struct actor actor;

	for (u64 i = 0; i < *word; i++) {
		const u64 *op_words;

		at = actor_at(at, 0, &actor);
		op_words = actor.ops;
		for (u32 n = 0; n < actor.n_ops; n++) {
			struct op op = op_at(op_words);

			if (!call_possible(&op))
				return false;
			if (op.code == OP_SYSCALL)
				call_noted(op.word);
			op_words += op.words;
		}
	}
	return true;
}

static void run_all(const u64 *word)
{
	int pidfds[RACE_ACTORS_MAX] = { -1, -1, -1, -1 };
	const u64 *at = word + 1;
	struct actor actor;
	long err;

	record->race_words = word;
	record->race_actors = *word;
	record->race_left = *word;
	record->race_ready = 0;
	record->race_second_ends = false;
	for (u64 i = 0; i < *word; i++) {
		at = actor_at(at, 0, &actor);
		err = 1;
		if (actor.place == RACE_REMOTE)
			remote_race();
		else if (actor.place == RACE_PROCESS)
			err = start_process(i, &pidfds[i]);
		else
			err = start_thread(i);
		if (err < 0)
			child_fail("cannot start an actor of a race", err);
	}
	wait_for_all(*word, pidfds);
}

/* placed: could all structs be stored? Without them nobody acts. */
void race_run(const struct op *op, bool placed)
{
	u32 results = race_results(op->word, op->word + op->words - 1);
	u64 *peek = record_peek(results * 8);

	if (!possible(op->word)) {
		record->unable = true;
		return;
	}
	if (placed)
		run_all(op->word);
	memcpy(peek, record->race_results, results * 8);
	if (!placed)
		for (u32 i = 0; i < results; i++)
			peek[i] = NOT_PLACED;
	record_peek_done(results * 8, results * 8);
	record_result(placed ? 0 : NOT_PLACED);
}
