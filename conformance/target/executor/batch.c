// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server's side of a batch: programs are handed to children in groups, and
 * every program gets exactly one outcome, whatever happens to the child.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "executor.h"

#define LOOKS_PER_DEADLINE 4 /* a hang is noticed after 1 to 1.25 deadlines */
#define LOOK_MS_GUEST 250    /* its host waits for signs of life */
#define GRACE_MS 1000 /* for a killed process to go away */

static struct program programs[PROGRAMS_PER_CHILD];

static bool alone(const struct program *program)
{
	return program->observe & (OBSERVE_ISOLATED | OBSERVE_WHOLE);
}

/* Decode as many programs as one child may run; how many, at least 1. */
static u32 make_group(const u64 **at, const u64 *end, u32 left)
{
	u32 count = 0;

	files_group();
	while (count < left && count < PROGRAMS_PER_CHILD) {
		struct program *program = &programs[count];
		const char *problem = program_decode(*at, end - *at, program);

		if (problem)
			fail("a program in the ring is malformed: %s", problem);
		if (alone(program) && count)
			break;
		if (!files_prepare(program) && count)
			break;
		cover_prepare(program);
		*at += program->n_words;
		count++;
		if (alone(program))
			break;
	}
	return count;
}

static pid_t start_child(u32 first, u32 count, int *pidfd)
{
	pid_t parent = getpid();
	pid_t pid = fork_raw(pidfd);

	if (pid < 0)
		fail("cannot fork: %s", strerror(-pid));
	if (!pid) {
		die_with_parent(parent);
		child_main(programs + first, count);
	}
	return pid;
}

static void kill_child(int pidfd)
{
	sys(NR_PIDFD_SEND_SIGNAL, pidfd, SIGKILL, NULL, 0);
}

/* Nobody will read what this process does any more. */
static _Noreturn void orphaned(int pidfd)
{
	kill_child(pidfd);
	exit(0);
}

/* True when the child ended, false when it stood still for the deadline. */
static bool wait_child(int pidfd)
{
	struct pollfd fds[] = {
		{ .fd = pidfd, .events = POLLIN },
		{ .fd = options.serve ? STDIN_FILENO : -1 }, /* POLLHUP comes unasked */
	};
	u32 looks = options.guest ? options.deadline_ms / LOOK_MS_GUEST + 1 : LOOKS_PER_DEADLINE;
	int timeout_ms = options.deadline_ms / looks + 1;
	u64 tick = record->tick;
	u32 still = 0;

	while (still < looks) {
		int ready = poll(fds, ARRAY_SIZE(fds), timeout_ms);

		if (ready < 0 && errno != EINTR)
			fail("poll: %m");
		if (fds[0].revents)
			return true;
		if (fds[1].revents)
			orphaned(pidfd);
		still = record->tick == tick && !ready ? still + 1 : 0;
		tick = record->tick;
		alive();
	}
	return false;
}

/* A process that SIGKILL does not end is left behind: it runs no more code. */
static void reap_hung(int pidfd)
{
	struct pollfd fd = { .fd = pidfd, .events = POLLIN };
	siginfo_t info;

	kill_child(pidfd);
	if (poll(&fd, 1, GRACE_MS) == 1)
		waitid(P_PIDFD, pidfd, &info, WEXITED);
	else
		complain("a child does not die of SIGKILL; going on without it");
}

/* Let a child run programs [first, first + count); how many have outcomes now. */
static u32 run_child(u32 first, u32 count)
{
	siginfo_t info = { 0 };
	int pidfd = -1;
	u32 status, signal = 0;

	record->finished = 0;
	start_child(first, count, &pidfd);
	if (wait_child(pidfd)) {
		if (waitid(P_PIDFD, pidfd, &info, WEXITED))
			fail("cannot wait for a child: %m");
		close(pidfd);
		if (info.si_code == CLD_EXITED && !info.si_status)
			return record->finished;
		if (info.si_code == CLD_EXITED)
			exit(EXIT_HARNESS); /* it has said why */
		status = STATUS_KILLED;
		signal = info.si_status;
	} else {
		reap_hung(pidfd);
		close(pidfd);
		status = STATUS_HUNG;
	}
	zone_fresh();
	if (record->finished == count)
		return count; /* it had nothing left to do */
	cover_close();
	record_finish(status, signal, record->n_results);
	return record->finished + 1;
}

/* 0, or -1 when the outcomes have no room in `out_size` bytes. */
int batch_run(const u8 *in, u64 in_bytes, u32 count, u8 *out, u64 out_size, u64 *out_used)
{
	const u64 *at = (const u64 *)in, *end = at + in_bytes / 8;

	if (out_size / 32 < count)
		return -1;
	record->out = out;
	record->out_size = out_size;
	record->out_used = 0;
	while (count) {
		u32 group = make_group(&at, end, count), done = 0;

		while (done < group) {
			done += run_child(done, group - done);
			alive();
		}
		count -= group;
	}
	*out_used = record->out_used;
	return 0;
}
