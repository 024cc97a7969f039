// SPDX-License-Identifier: GPL-2.0-only
/*
 * What programs leave behind in the process that ran them: when the arena is unmapped, it has the
 * descriptors and mappings that it began with. Looked at when the kernel's memory is (leaks.c), and
 * told in the same way.
 */

#include <fcntl.h>
#include <sys/syscall.h>

#include "executor.h"

#define FDS_OF_EXECUTOR 200 /* from here on they come and go with what programs need */
#define FDS_OF_EXECUTOR_END 250
#define BYTES 4096

struct dirent64 { /* as getdents64() gives it */
	u64 inode, offset;
	u16 bytes;
	u8 type;
	char name[];
};

static u32 fds_before, mappings_before;
static int fds_known; /* opened by the executor itself since then */
static u8 buffer[BYTES] __attribute__((aligned(8)));

/* A descriptor that stays open for later programs. */
void residue_expect(int fds)
{
	fds_known += fds;
}

static bool is_own(const char *name)
{
	u32 number = 0;

	for (; *name >= '0' && *name <= '9'; name++)
		number = number * 10 + (*name - '0');
	return number >= FDS_OF_EXECUTOR && number < FDS_OF_EXECUTOR_END;
}

static u32 count_fds(void)
{
	long fd = sys(SYS_open, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), got;
	u32 count = 0;

	if (fd < 0)
		child_fail("cannot open /proc/self/fd", fd);
	while ((got = sys(SYS_getdents64, fd, buffer, BYTES)) > 0)
		for (long at = 0; at < got;) {
			const struct dirent64 *entry = (void *)(buffer + at);

			count += !is_own(entry->name);
			at += entry->bytes;
		}
	sys(SYS_close, fd);
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
