// SPDX-License-Identifier: GPL-2.0-only
/* Facts: what this process may do to other processes; asked only of its own child. */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor.h"
#include "facts.h"

#define CAP_SYS_NICE_NUMBER 23
#define PF_KTHREAD 0x00200000 /* include/linux/sched.h; field 9 of /proc/PID/stat */

struct child {
	pid_t pid;
	int pidfd; /* -1 if there is none */
};

/* A child that sleeps; unreadable: without CAP_SYS_PTRACE nobody may look into it. */
static struct child sleeping_child(int unreadable)
{
	struct child child = { .pidfd = -1 };
	pid_t parent = getpid();
	int ready[2];
	char word;

	if (pipe(ready))
		return child;
	child.pid = fork();
	if (!child.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unreadable)
			prctl(PR_SET_DUMPABLE, 0);
		if (getppid() != parent || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (child.pid > 0 && read(ready[0], &word, 1) == 1)
		child.pidfd = syscall(SYS_pidfd_open, child.pid, 0);
	close(ready[0]);
	return child;
}

static void end_child(struct child child)
{
	if (child.pid <= 0)
		return;
	kill(child.pid, SIGKILL);
	waitpid(child.pid, NULL, 0);
}

/* 0, or the errno of WILLNEED on a page of one's own child; -1 if there is none to ask. */
static int willneed_on_child(void)
{
	char *page = map_anon(window(1), 1, PROT_READ);
	struct child child = sleeping_child(0);
	int result = -1;

	if (child.pidfd >= 0)
		result = call_process_madvise(child.pidfd, page, PAGE, ADVICE_WILLNEED) < 0 ? errno : 0;
	end_child(child);
	return result;
}

static void remote_readable(struct finding *f, const struct ground *ground)
{
	int error = willneed_on_child();

	(void)ground;
	if (error < 0)
		unfound(f, 0, "no child could be had with a pidfd");
	else
		found(f, error != EACCES && error != ENOSYS);
}

static void cap_sys_nice(struct finding *f, const struct ground *ground)
{
	int error = willneed_on_child();

	(void)ground;
	if (error == 0 || error == EPERM) /* EPERM is only of the last check, capable() */
		found(f, error == 0);
	else
		found(f, has_capability(CAP_SYS_NICE_NUMBER));
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	return syscall(SYS_capset, &header, none);
}

/* Both the process and the advice are wrong: which is said tells what is looked at first. */
static void remote_access_first(struct finding *f, const struct ground *ground)
{
	struct child child = sleeping_child(1);
	char *page = map_anon(window(1), 1, PROT_READ);
	int error = 0;

	(void)ground;
	if (child.pidfd < 0 || drop_capabilities()) {
		unfound(f, 1, "no unreadable child could be had");
	} else {
		if (call_process_madvise(child.pidfd, page, PAGE, ADVICE_UNKNOWN) < 0)
			error = errno;
		if (error == EACCES || error == EINVAL)
			found(f, error == EACCES);
		else
			unfound(f, 1, "an unknown advice for an unreadable child: %s", strerror(error));
	}
	end_child(child);
}

/* An advice that needs the right on another process, given to oneself without it. */
static void self_needs_nice(struct finding *f, const struct ground *ground)
{
	int self = syscall(SYS_pidfd_open, getpid(), 0);
	char *page = map_anon(window(1), 1, PROT_READ);

	(void)ground;
	if (self < 0 || drop_capabilities())
		unfound(f, 0, "no pidfd of oneself, or no way to give up capabilities");
	else
		found(f, call_process_madvise(self, page, PAGE, ADVICE_WILLNEED) < 0 && errno == EPERM);
}

static long advise_vector(const struct iovec *vec, unsigned long count)
{
	int self = syscall(SYS_pidfd_open, getpid(), 0);

	return self < 0 ? -1 : syscall(NR_PROCESS_MADVISE, self, vec, count, ADVICE_WILLNEED, 0UL);
}

/* The first length is wrong, and the second element cannot be read: which is said? */
static void iovec_whole(struct finding *f, const struct ground *ground)
{
	char *page = map_anon(window(2), 1, PROT_READ | PROT_WRITE);
	struct iovec *vec = (struct iovec *)(page + PAGE) - 1;

	(void)ground;
	vec->iov_len = -1UL;
	if (advise_vector(vec, 2) < 0 && (errno == EFAULT || errno == EINVAL))
		found(f, errno == EFAULT);
	else
		unfound(f, 0, "a vector with two mistakes: %s", strerror(errno));
}

/* One element that reaches beyond all memory, and begins where nothing is. */
static void iovec_one_clamped(struct finding *f, const struct ground *ground)
{
	struct iovec vec = { .iov_base = window(1), .iov_len = 1UL << 62 };

	(void)ground;
	if (advise_vector(&vec, 1) < 0 && (errno == EFAULT || errno == ENOMEM))
		found(f, errno == ENOMEM);
	else
		unfound(f, 1, "a vector of one that is too long: %s", strerror(errno));
}

static void change_user(struct finding *f, const struct ground *ground)
{
	(void)ground;
	found(f, rights_become_other());
}

/* Is process 2 a kernel thread that one can hold a pidfd of? Not in a pid namespace. */
static void kthread_visible(struct finding *f, const struct ground *ground)
{
	char stat[512], *after_name;
	unsigned long flags;

	(void)ground;
	if (syscall(SYS_pidfd_open, 2, 0) < 0) {
		found(f, 0);
		return;
	}
	if (read_text("/proc/2/stat", stat, sizeof(stat))) {
		unfound(f, 0, "/proc/2/stat cannot be read");
		return;
	}
	after_name = strrchr(stat, ')');
	if (!after_name || sscanf(after_name, ") %*c %*d %*d %*d %*d %*d %lu", &flags) != 1)
		unfound(f, 0, "/proc/2/stat is not understood");
	else
		found(f, !!(flags & PF_KTHREAD));
}

const struct fact facts_of_remote[] = {
	{ "remote_access_first", FACT_BOOL, remote_access_first },
	{ "remote_readable", FACT_BOOL, remote_readable },
	{ "self_needs_nice", FACT_BOOL, self_needs_nice },
	{ "iovec_whole", FACT_BOOL, iovec_whole },
	{ "iovec_one_clamped", FACT_BOOL, iovec_one_clamped },
	{ "change_user", FACT_BOOL, change_user },
	{ "kthread_visible", FACT_BOOL, kthread_visible },
	{ "cap_sys_nice", FACT_BOOL, cap_sys_nice },
	{ 0 },
};
