// SPDX-License-Identifier: GPL-2.0-only
/*
 * A traced process that runs nothing of its own: for each thing it is to do,
 * its registers are set, it executes one instruction, and stops. It needs no
 * stack and no data, so it survives nearly anything that is done to its address
 * space, and results are seen even when it cannot execute another instruction.
 */

#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "trace.h"

/*
 * What the process executes. Each ends in an instruction that does not exist: of a breakpoint,
 * user mode Linux complains on its console, every time.
 */
asm(".pushsection .text\n"
    "stub_syscall: syscall\n"
    "ud2\n"
    "stub_syscall32: int $0x80\n"
    "ud2\n"
    "stub_load: mov (%rdi), %rax\n"
    "ud2\n"
    "stub_load_byte: movzbl (%rdi), %eax\n"
    "ud2\n"
    "stub_store: mov %rsi, (%rdi)\n"
    "ud2\n"
    "stub_store_byte: mov %sil, (%rdi)\n"
    "ud2\n"
    "stub_function: call *%rax\n"
    "ud2\n"
    ".popsection\n");

extern const char stub_syscall[], stub_syscall32[], stub_load[], stub_load_byte[], stub_store[], stub_store_byte[],
	stub_function[];

#define SYSCALL_STOP (SIGTRAP | 0x80)
#define STUB_END SIGILL

/* Called by the process that is to be traced; it does not run on by itself again. */
void trace_child(void)
{
	long self = sys(SYS_getpid);

	sys(SYS_ptrace, PTRACE_TRACEME);
	sys(SYS_kill, self, SIGSTOP);
	for (;;)
		sys(SYS_exit_group, EXIT_HARNESS);
}

/* Wait for the next stop. The signal of the stop, or 0 when there is none: it is dead. */
static u32 wait_stop(struct tracee *tracee, int *status)
{
	long got;

	do
		got = sys(SYS_wait4, tracee->pid, status, __WALL, NULL);
	while (got == -EINTR);
	if (got == tracee->pid && WIFSTOPPED(*status))
		return WSTOPSIG(*status);
	if (!tracee->died_of)
		tracee->died_of = got > 0 && WIFSIGNALED(*status) ? WTERMSIG(*status) : SIGKILL;
	tracee->pid = 0;
	return 0;
}

/* Wait for a process that called trace_child(), or that trace_clone() made. */
bool trace_start(struct tracee *tracee, pid_t pid)
{
	static const long wanted = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE;
	int status;

	*tracee = (struct tracee){ .pid = pid };
	if (wait_stop(tracee, &status) != SIGSTOP)
		return false;
	return !sys(SYS_ptrace, PTRACE_SETOPTIONS, pid, 0, wanted) &&
	       !sys(SYS_ptrace, PTRACE_GETREGS, pid, 0, &tracee->regs);
}

void trace_end(struct tracee *tracee)
{
	u32 died_of = tracee->died_of;
	int status;

	if (!tracee->pid)
		return;
	sys(SYS_kill, tracee->pid, SIGKILL);
	while (tracee->pid)
		wait_stop(tracee, &status);
	tracee->died_of = died_of;
}

static bool resume(struct tracee *tracee, long how, struct user_regs_struct *regs, u64 at)
{
	regs->rip = at;
	regs->orig_rax = -1; /* or the kernel might restart the call before */
	return !sys(SYS_ptrace, PTRACE_SETREGS, tracee->pid, 0, regs) &&
	       !sys(SYS_ptrace, how, tracee->pid, 0, 0);
}

static bool read_regs(struct tracee *tracee, struct user_regs_struct *regs)
{
	return !sys(SYS_ptrace, PTRACE_GETREGS, tracee->pid, 0, regs);
}

/* False when the process dies, or cannot even execute the instruction at `stub`. */
static bool step_syscall(struct tracee *tracee, struct user_regs_struct *regs, const char *stub,
			 s64 *result)
{
	bool entered = false;
	int status;
	u32 stop;

	if (!resume(tracee, PTRACE_SYSCALL, regs, (u64)stub))
		return false;
	for (;;) {
		stop = wait_stop(tracee, &status);
		if (!stop)
			return false;
		if (stop == SYSCALL_STOP && entered)
			break;
		if (stop == SYSCALL_STOP)
			entered = true;
		else if (stop != SIGTRAP || !(status >> 16)) {
			tracee->died_of = stop; /* of the fetch of the instruction, most likely */
			return false;
		}
		if (sys(SYS_ptrace, PTRACE_SYSCALL, tracee->pid, 0, 0))
			return false;
	}
	if (!read_regs(tracee, regs))
		return false;
	*result = regs->rax;
	return true;
}

bool trace_syscall(struct tracee *tracee, const u64 *word, s64 *result)
{
	struct user_regs_struct regs = tracee->regs;

	regs.rax = word[0];
	regs.rdi = word[1];
	regs.rsi = word[2];
	regs.rdx = word[3];
	regs.r10 = word[4];
	regs.r8 = word[5];
	regs.r9 = word[6];
	return step_syscall(tracee, &regs, stub_syscall, result);
}

bool trace_syscall32(struct tracee *tracee, const u64 *word, s64 *result)
{
	struct user_regs_struct regs = tracee->regs;

	regs.rax = word[0];
	regs.rbx = word[1];
	regs.rcx = word[2];
	regs.rdx = word[3];
	regs.rsi = word[4];
	regs.rdi = word[5];
	return step_syscall(tracee, &regs, stub_syscall32, result);
}

/* Let the process call a function of the executor, on its own stack. */
bool trace_function(struct tracee *tracee, u64 function, const u64 arguments[4], s64 *result)
{
	struct user_regs_struct regs = tracee->regs;
	int status;
	u32 stop;

	regs.rax = function;
	regs.rdi = arguments[0];
	regs.rsi = arguments[1];
	regs.rdx = arguments[2];
	regs.rcx = arguments[3];
	regs.rsp = (regs.rsp - 1024) & ~15ul; /* below what is in use, aligned for a call */
	if (!resume(tracee, PTRACE_CONT, &regs, (u64)stub_function))
		return false;
	stop = wait_stop(tracee, &status);
	while (stop == SIGCHLD) { /* of a child that called execve(), whatever clone() was told */
		if (sys(SYS_ptrace, PTRACE_CONT, tracee->pid, 0, 0))
			return false;
		stop = wait_stop(tracee, &status);
	}
	if (!stop)
		return false;
	if (stop != STUB_END || !read_regs(tracee, &regs)) {
		tracee->died_of = stop;
		return false;
	}
	*result = regs.rax;
	return true;
}

/*
 * One load or store of 1 or 8 bytes, as the process itself would make it. 0, or
 * the signal that it got; died_of is set when it could not execute at all.
 */
u32 trace_access(struct tracee *tracee, u64 address, bool write, u32 bytes, u64 *value)
{
	const char *const stubs[2][2] = { { stub_load_byte, stub_load },
					  { stub_store_byte, stub_store } };
	u64 at = (u64)stubs[write][bytes == 8];
	struct user_regs_struct regs = tracee->regs;
	siginfo_t info = { 0 };
	int status;
	u32 stop;

	regs.rdi = address;
	regs.rsi = *value;
	if (!resume(tracee, PTRACE_CONT, &regs, at))
		return SIGKILL;
	stop = wait_stop(tracee, &status);
	if (stop == STUB_END) {
		if (!write && read_regs(tracee, &regs))
			*value = regs.rax;
		return 0;
	}
	if (!stop)
		return tracee->died_of;
	sys(SYS_ptrace, PTRACE_GETSIGINFO, tracee->pid, 0, &info);
	if ((stop != SIGSEGV && stop != SIGBUS) || info.si_code == SI_KERNEL ||
	    (u64)info.si_addr / PAGE != address / PAGE)
		tracee->died_of = stop; /* not of the access: it cannot execute it */
	return stop;
}

/* A copy of the process, traced as well: its pid, or -errno. */
pid_t trace_clone(struct tracee *tracee)
{
	const u64 word[7] = { SYS_clone }; /* no flags, and no signal when it ends */
	s64 pid;

	return trace_syscall(tracee, word, &pid) ? pid : -ESRCH;
}
