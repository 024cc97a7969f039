// SPDX-License-Identifier: GPL-2.0-only
/*
 * Op RECLAIM: memory pressure at a moment of the program's choice. In a guest all programs run in
 * a memory cgroup of their own (guest/init.c), and whoever writes to its memory.reclaim has the
 * kernel look for that much to take back from it.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "executor.h"

#define AMOUNT "64M" /* more than programs and executor have together */

/* Only /init of a guest names a cgroup: on another machine nobody may be put under pressure. */
static int open_reclaim(void)
{
	const char *folder = getenv("MADVET_CGROUP");
	char path[256];

	if (!folder)
		return -1;
	snprintf(path, sizeof(path), "%s/memory.reclaim", folder);
	return open(path, O_WRONLY | O_CLOEXEC);
}

/* The fact of that name. */
bool memcg_reclaim(void)
{
	int fd = open_reclaim();

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* In the server; children inherit the descriptor. */
void reclaim_open(void)
{
	int fd = open_reclaim();

	if (fd < 0)
		return; /* no such program arrives */
	if (dup3(fd, FD_RECLAIM, O_CLOEXEC) != FD_RECLAIM)
		fail("cannot keep memory.reclaim open: %m");
	close(fd);
}

/* 0, or -errno. That less was found than asked for is no failure. */
s64 call_reclaim(void)
{
	s64 got = sys(SYS_write, FD_RECLAIM, AMOUNT, sizeof(AMOUNT) - 1);

	return got >= 0 || got == -EAGAIN ? 0 : got;
}
