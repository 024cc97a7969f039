// SPDX-License-Identifier: GPL-2.0-only
/*
 * What programs leave behind in the process that ran them: when the arena is unmapped, it has the
 * descriptors and mappings that it began with. Looked at when the kernel's memory is (leaks.c), and
 * told in the same way.
 */

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>

#include "executor.h"

#define FDS_OF_EXECUTOR 200 /* from here on they come and go with what programs need */
#define FDS_OF_EXECUTOR_END 250
#define BYTES 4096

static u32 fds_before, mappings_before;
static int fds_known; /* opened by the executor itself since then */
static struct pollfd files[FDS_MAX];
static u8 buffer[BYTES];

/* A descriptor that stays open for later programs. */
void residue_expect(int fds)
{
	fds_known += fds;
}

static bool is_own(u32 fd)
{
	return fd >= FDS_OF_EXECUTOR && fd < FDS_OF_EXECUTOR_END;
}

/*
 * poll() knows which numbers are open, in one call. To list /proc/self/fd makes an inode for each,
 * which goes when the process does: a third of the time of a process that runs one program.
 */
static u32 count_fds(void)
{
	u32 count = 0;
	long err;

	for (u32 i = 0; i < fds_limit; i++)
		files[i].fd = is_own(i) ? -1 : (int)i; /* -1 is passed over */
	err = sys(SYS_poll, files, fds_limit, 0);
	if (err < 0)
		child_fail("cannot count the open files", err);
	for (u32 i = 0; i < fds_limit; i++)
		count += !is_own(i) && !(files[i].revents & POLLNVAL);
	return count;
}

static u32 count_mappings(void)
{
	long fd = sys(SYS_open, "/proc/self/maps", O_RDONLY | O_CLOEXEC), got;
	u32 count = 0;

	if (fd < 0)
		child_fail("cannot open /proc/self/maps", fd);
	while ((got = sys(SYS_read, fd, buffer, BYTES)) > 0)
		for (long at = 0; at < got; at++)
			count += buffer[at] == '\n';
	sys(SYS_close, fd);
	return count;
}

/* In a process that is to run programs. */
void residue_begin(void)
{
	if (!record->residue_due)
		return;
	fds_known = 0;
	fds_before = count_fds();
	mappings_before = count_mappings();
}

/* When it has run them, and nothing of theirs is mapped any more. */
void residue_end(u32 programs)
{
	s32 fds, mappings;

	if (!record->residue_due)
		return;
	fds = count_fds() - fds_before - fds_known;
	mappings = count_mappings() - mappings_before;
	if (fds)
		complain("leak: descriptors: there are %d more after %u programs", fds, programs);
	if (mappings)
		complain("leak: mappings: there are %d more after %u programs", mappings, programs);
}
