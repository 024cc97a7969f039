// SPDX-License-Identifier: GPL-2.0-only
/* Other processes: those that calls name by pidfd, and forks that look around. */

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor.h"

#define PF_KTHREAD 0x00200000 /* in field 9 of /proc/PID/stat */
#define KTHREADD 2 /* the pid of the first kernel thread, in the first pid namespace */

#define REMOTE_LOOK 1 /* what it is told to do */
#define REMOTE_RACE 2

static int remote_pidfd = -1;

static void hold(int fd, int at, const char *what)
{
	if (fd < 0 || dup3(fd, at, O_CLOEXEC) != at)
		fail("cannot open %s: %m", what);
	close(fd);
}

/* A child that exits at once; a zombie until it is reaped. */
static void hold_dead(int at, bool reap)
{
	siginfo_t info;
	int pidfd = -1;
	pid_t pid = fork_raw(&pidfd);

	if (!pid)
		_exit(0);
	if (pid < 0)
		fail("cannot fork: %s", strerror(-pid));
	if (waitid(P_PIDFD, pidfd, &info, WEXITED | (reap ? 0 : WNOWAIT)))
		fail("cannot wait for a child: %m");
	hold(pidfd, at, "a pidfd");
}

static bool is_kthread(pid_t pid)
{
	char path[64], line[512];
	unsigned int flags = 0;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	stat = fopen(path, "re");
	if (!stat)
		return false;
	if (fgets(line, sizeof(line), stat) && strrchr(line, ')'))
		sscanf(strrchr(line, ')'), ") %*c %*d %*d %*d %*d %*d %u", &flags);
	fclose(stat);
	return flags & PF_KTHREAD;
}

/* The descriptors that stay the same for all children. */
void remote_create(void)
{
	hold(open("/dev/null", O_RDWR | O_CLOEXEC), FD_NOT_PIDFD, "/dev/null");
	hold(open("/dev/zero", O_RDWR | O_CLOEXEC), FD_DEV_ZERO, "/dev/zero");
	hold_dead(FD_PIDFD_DEAD, true);
	hold_dead(FD_PIDFD_ZOMBIE, false);
	if (is_kthread(KTHREADD))
		hold(sys(NR_PIDFD_OPEN, KTHREADD, 0), FD_PIDFD_KTHREAD, "a pidfd of kthreadd");
}

/* The descriptor of the process that makes the calls. */
void remote_open_self(void)
{
	long self = sys(SYS_getpid);
	long fd = sys(NR_PIDFD_OPEN, self, 0);
	long ret = fd;

	if (fd >= 0) {
		ret = sys(SYS_dup3, fd, FD_PIDFD_SELF, O_CLOEXEC);
		sys(SYS_close, fd);
	}
	if (ret < 0)
		child_fail("cannot open a pidfd of itself", ret);
}

static void reap(int pidfd)
{
	siginfo_t info;

	while (sys(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED, 0) == -EINTR)
		;
	sys(SYS_close, pidfd);
}

/* Op FORK: the child looks at its own arena, while this process waits. */
s64 remote_fork_snapshot(const struct program *program)
{
	pid_t parent = sys(SYS_getpid);
	u32 step = record->n_results;
	int pidfd = -1;
	pid_t pid = fork_raw(&pidfd);

	if (!pid) {
		die_with_parent(parent);
		child_open_proc();
		snapshot_take(&myself, program, step, true, false);
		sys(SYS_exit_group, 0);
	}
	if (pid < 0)
		return pid;
	reap(pidfd);
	return 0;
}

/* Until it is to look around. */
static void wait_for_orders(void)
{
	u32 wanted;

	while ((wanted = record->remote_wanted) != REMOTE_LOOK) {
		if (wanted == REMOTE_RACE) {
			record->remote_wanted = 0;
			race_remote();
		}
		sys(SYS_futex, &record->remote_wanted, FUTEX_WAIT, 0, NULL);
	}
}

/* Op REMOTE: a fork that waits, with a pidfd, until remote_finish(). */
bool remote_start(const struct program *program)
{
	pid_t parent = sys(SYS_getpid);
	pid_t pid;

	record->remote_wanted = 0;
	record->remote_stands = 0;
	record->remote_refused = 0;
	pid = fork_raw(&remote_pidfd);
	if (!pid) {
		die_with_parent(parent);
		if (rights_other_user()) {
			record->remote_refused = !rights_become_other();
			die_with_parent(parent); /* a new user has forgotten it */
		}
		record->remote_stands = 1;
		sys(SYS_futex, &record->remote_stands, FUTEX_WAKE, 1);
		wait_for_orders();
		child_open_proc();
		snapshot_take(&myself, program, record_step(), true, true);
		sys(SYS_exit_group, 0);
	}
	while (pid > 0 && rights_other_user() && !record->remote_stands)
		sys(SYS_futex, &record->remote_stands, FUTEX_WAIT, 0, NULL);
	if (pid > 0 && record->remote_refused)
		return false;
	return pid > 0 && sys(SYS_dup3, remote_pidfd, FD_PIDFD_REMOTE, O_CLOEXEC) >= 0;
}

static void tell(u32 what)
{
	record->remote_wanted = what;
	sys(SYS_futex, &record->remote_wanted, FUTEX_WAKE, 1);
}

/* The second process is an actor of the race that begins. */
void remote_race(void)
{
	tell(REMOTE_RACE);
}

/* The second process, -1 without one. */
int remote_process(void)
{
	return remote_pidfd;
}

/* After the last op: the second process takes the last snapshot. */
void remote_finish(void)
{
	if (remote_pidfd < 0)
		return;
	tell(REMOTE_LOOK);
	reap(remote_pidfd);
	sys(SYS_close, FD_PIDFD_REMOTE);
	remote_pidfd = -1;
}
