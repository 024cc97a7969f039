// SPDX-License-Identifier: GPL-2.0-only
/* Whose address space is advised: the caller's, or that of the process behind a pidfd. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim.h"
#include "shim_types.h"

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

/* process_madvise() cuts what exceeds INT_MAX bytes off without a word. */
#define ADVISE_BYTES_MAX ((size_t)1 << 30)

static bool poison_refused;

void shim_refuse_poison(int refuse)
{
	poison_refused = refuse;
}

static long process_madvise_raw(int pidfd, const struct iovec *vec, size_t count, int advice)
{
	return shim_result(syscall(SYS_process_madvise, pidfd, vec, count, advice, 0));
}

/* The process id behind a pidfd, as /proc numbers it; -ESRCH if there is none any more. */
static int pid_of(int pidfd)
{
	char path[64], text[512];
	const char *line;
	long length;
	int fd, pid;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", pidfd);
	fd = shim_result(open(path, O_RDONLY | O_CLOEXEC));
	if (fd < 0)
		return fd == -ENOENT ? -ENOSYS : fd;
	length = shim_result(read(fd, text, sizeof(text) - 1));
	close(fd);
	if (length < 0)
		return length;
	text[length] = '\0';
	line = strstr(text, "\nPid:");
	pid = line ? atoi(line + strlen("\nPid:")) : -1;
	return pid > 0 ? pid : -ESRCH;
}

/*
 * 0 or -errno. The kernel is asked with no ranges, which does nothing but check the pidfd, the
 * access and the rights; then with an advice that only the caller's own memory may be given,
 * which tells processes that share the caller's memory. Kernels before 6.13 treat oneself like
 * another process in both.
 */
int shim_find_target(struct shim_target *target, int pidfd)
{
	long err = process_madvise_raw(pidfd, NULL, 0, MADV_COLD);
	int pid;

	target->pid = 0;
	target->pidfd = -1;
	if (err == -ESRCH && MUTANT(remote_gone_is_ebadf))
		err = -EBADF;
	if (err && err != -EPERM)
		return err;
	if (!process_madvise_raw(pidfd, NULL, 0, MADV_NORMAL) && !MUTANT(remote_self_is_other))
		return 0;
	pid = pidfd < 0 ? getpid() : pid_of(pidfd);
	if (pid == getpid() && !MUTANT(remote_self_is_other))
		return 0;
	if (err || pid < 0)
		return err ? err : pid;
	target->pid = pid;
	target->pidfd = pidfd;
	return 0;
}

/* Advise bytes that lie in one mapping: 0 or -errno. */
int shim_advise(const struct shim_target *target, uintptr_t start, size_t size, int advice)
{
	if (poison_refused && (advice == MADV_HWPOISON || advice == MADV_SOFT_OFFLINE))
		return -EPERM;
	if (!target->pid)
		return shim_result(madvise((void *)start, size, advice));
	while (size) {
		size_t step = size < ADVISE_BYTES_MAX ? size : ADVISE_BYTES_MAX;
		struct iovec part = { .iov_base = (void *)start, .iov_len = step };
		long done = process_madvise_raw(target->pidfd, &part, 1, advice);

		if (done < 0)
			return done;
		start += step;
		size -= step;
	}
	return 0;
}
