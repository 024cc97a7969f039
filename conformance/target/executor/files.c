// SPDX-License-Identifier: GPL-2.0-only
/*
 * File slots. Every program finds its files pristine: of the exact size, each
 * page with its pattern (tmpfs, disk) or never written (memfd), unsealed.
 *
 * tmpfs and disk files are kept by the server in a pool, one for each (slot,
 * backing, size) met, so that most programs find theirs ready; a child rewrites
 * one only after a program mapped it shared and could write. The pages of a
 * memfd come into being by being read, so a memfd is emptied after any mapping;
 * each child makes its own.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "executor.h"

#define POOL_FIRST_FD 300
#define POOL_MAX 96

static struct pool_file {
	u32 slot, backing, pages;
	u32 group; /* the last group of programs that wanted it */
	int fd; /* read-write; fd + 1 is the read-only one; 0: free */
	bool dirty;
	bool poisoned; /* some of its pages may be gone, and fault for ever */
} *pool HOT_DATA; /* shared with the children: what one dirties the next one cleans */

u32 fds_limit;

_Static_assert(POOL_FIRST_FD + 2 * POOL_MAX <= FDS_MAX, "the pool has room");

static u32 pool_size, group;
static const char *const folders[] = { [BACKING_TMPFS] = "/dev/shm", [BACKING_DISK] = NULL };

/* What a slot's descriptors refer to in this process. */
static struct slot {
	struct pool_file *file; /* NULL: the memfd, or nothing yet */
	int memfd; /* kept aside while the slot has another file; -1: none */
	int memfd_ro;
	u32 memfd_pages;
	bool memfd_sealed;
	bool memfd_mapped;
	bool shows_memfd;
} slots[FILE_SLOTS] HOT_DATA;

void files_create(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		fail("getrlimit: %m");
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_cur > POOL_FIRST_FD + 2 * POOL_MAX)
		limit.rlim_cur = POOL_FIRST_FD + 2 * POOL_MAX;
	if (limit.rlim_cur < POOL_FIRST_FD + 2 * FILE_SLOTS || setrlimit(RLIMIT_NOFILE, &limit))
		fail("the limit of open files (ulimit -n) is %lu; the executor needs %d",
		     (unsigned long)limit.rlim_max, POOL_FIRST_FD + 2 * FILE_SLOTS);
	fds_limit = limit.rlim_cur;
	pool_size = (fds_limit - POOL_FIRST_FD) / 2;
	pool = shared_create(pool_size * sizeof(*pool), "the pool of files");
	for (u32 i = 0; i < FILE_SLOTS; i++)
		slots[i].memfd = -1;
}

/* Everything wanted from now on belongs to a new group of programs. */
void files_group(void)
{
	group++;
}

static int open_unlinked(const char *folder)
{
	char path[4096];
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (snprintf(path, sizeof(path), "%s/madvet-XXXXXX", folder) >= (int)sizeof(path))
		return -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

int reopen_read_only(int fd)
{
	char path[] = "/proc/self/fd/..........";
	char *digit = path + sizeof("/proc/self/fd/") - 1;
	u32 divisor = 1;

	while (divisor <= (u32)fd / 10)
		divisor *= 10;
	for (; divisor; divisor /= 10)
		*digit++ = '0' + fd / divisor % 10;
	*digit = 0;
	return sys(SYS_open, path, O_RDONLY | O_CLOEXEC);
}

/* Every page with one tag, see program/content.py; 0 or -errno. */
static long write_pattern(int fd, u32 slot, u32 pages)
{
	static const u16 offsets[] = CONTENT_WORD_OFFSETS;
	static u64 buffer[PAGE / 8];
	long ret;

	for (u32 page = 0; page < pages; page++) {
		for (u32 i = 0; i < ARRAY_SIZE(offsets); i++)
			buffer[offsets[i] / 8] = CONTENT_FILE_TAG | slot << 16 | (page + 1);
		ret = sys(SYS_pwrite64, fd, buffer, PAGE, (u64)page * PAGE);
		if (ret != PAGE)
			return ret < 0 ? ret : -ENOSPC;
	}
	return sys(SYS_ftruncate, fd, (u64)pages * PAGE);
}

static void pool_close(struct pool_file *file)
{
	close(file->fd);
	close(file->fd + 1);
	file->fd = 0;
}

/* False when the backing is not to be had here. */
static bool pool_open(struct pool_file *file, u32 slot, u32 backing, u32 pages)
{
	int at = POOL_FIRST_FD + 2 * (file - pool);
	const char *folder = folders[backing] ? folders[backing] : options.tmp;
	int fd = open_unlinked(folder), read_only;

	if (fd < 0)
		return false;
	read_only = reopen_read_only(fd);
	if (read_only < 0 || dup3(fd, at, O_CLOEXEC) != at ||
	    dup3(read_only, at + 1, O_CLOEXEC) != at + 1 || write_pattern(fd, slot, pages)) {
		close(fd);
		close(read_only);
		close(at);
		close(at + 1);
		return false;
	}
	close(fd);
	close(read_only);
	*file = (struct pool_file){ slot, backing, pages, group, at, false, false };
	return true;
}

static HOT struct pool_file *pool_find(u32 slot, u32 backing, u32 pages)
{
	for (u32 i = 0; i < pool_size; i++) {
		struct pool_file *file = &pool[i];

		if (file->fd && file->slot == slot && file->backing == backing &&
		    file->pages == pages)
			return file;
	}
	return NULL;
}

/* A free place, or the place of a file that this group does not want. */
static struct pool_file *pool_place(void)
{
	struct pool_file *oldest = &pool[0];

	for (u32 i = 0; i < pool_size; i++) {
		if (!pool[i].fd)
			return &pool[i];
		if (pool[i].group < oldest->group)
			oldest = &pool[i];
	}
	if (oldest->group == group)
		return NULL;
	pool_close(oldest);
	return oldest;
}

/*
 * In the server, before the fork: have the program's files in the pool. False
 * when the pool is full of files that this group wants: start a new group. A
 * file that cannot be made is found missing by files_use().
 */
bool files_prepare(const struct program *program)
{
	const u64 *at = program->ops;
	struct pool_file *file;
	struct op op;

	for (u32 i = 0; i < program->n_ops; i++, at += op.words) {
		op = op_at(at);
		if (op.code != OP_FILE)
			continue;
		if (op.word[1] == BACKING_MEMFD)
			continue;
		file = pool_find(op.word[0], op.word[1], op.word[2]);
		if (file) {
			file->group = group;
			continue;
		}
		file = pool_place();
		if (!file)
			return false;
		pool_open(file, op.word[0], op.word[1], op.word[2]);
	}
	return true;
}

static bool show(u32 slot, int fd, int read_only)
{
	return sys(SYS_dup3, fd, FD_FILES + slot, O_CLOEXEC) >= 0 &&
	       sys(SYS_dup3, read_only, FD_FILES_RO + slot, O_CLOEXEC) >= 0;
}

static HOT bool use_pool(u32 number, u32 backing, u32 pages)
{
	struct pool_file *file = pool_find(number, backing, pages);
	struct slot *slot = &slots[number];

	if (!file)
		return false;
	if (file->poisoned && sys(SYS_ftruncate, file->fd, 0))
		return false;
	file->dirty |= file->poisoned;
	file->poisoned = false;
	if (file->dirty && write_pattern(file->fd, number, pages))
		return false;
	file->dirty = false;
	if (slot->file == file)
		return true;
	slot->file = file;
	slot->shows_memfd = false;
	return show(number, file->fd, file->fd + 1);
}

static bool memfd_new(struct slot *slot)
{
	if (slot->memfd >= 0) {
		sys(SYS_close, slot->memfd);
		sys(SYS_close, slot->memfd_ro);
		residue_expect(-2);
	}
	slot->memfd = sys(SYS_memfd_create, "slot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (slot->memfd < 0)
		return false;
	slot->memfd_ro = reopen_read_only(slot->memfd);
	residue_expect(2);
	slot->memfd_pages = 0;
	slot->memfd_sealed = false;
	slot->memfd_mapped = false;
	slot->shows_memfd = false;
	return slot->memfd_ro >= 0;
}

static HOT bool use_memfd(u32 number, u32 pages)
{
	struct slot *slot = &slots[number];

	if ((slot->memfd < 0 || slot->memfd_sealed) && !memfd_new(slot))
		return false;
	if (slot->memfd_mapped && sys(SYS_ftruncate, slot->memfd, 0))
		return false;
	if ((slot->memfd_mapped || slot->memfd_pages != pages) &&
	    sys(SYS_ftruncate, slot->memfd, (u64)pages * PAGE))
		return false;
	slot->memfd_mapped = false;
	slot->memfd_pages = pages;
	if (slot->shows_memfd)
		return true;
	slot->file = NULL;
	slot->shows_memfd = true;
	return show(number, slot->memfd, slot->memfd_ro);
}

/* In the child: false when the file is not to be had. */
HOT bool files_use(u32 slot, u32 backing, u32 pages)
{
	return backing == BACKING_MEMFD ? use_memfd(slot, pages) : use_pool(slot, backing, pages);
}

/* A program is about to map a descriptor. */
HOT void files_mapped(s64 fd, bool shared)
{
	bool writable = fd >= FD_FILES && fd < FD_FILES + FILE_SLOTS;
	s64 number = writable ? fd - FD_FILES : fd - FD_FILES_RO;
	struct slot *slot;

	if (number < 0 || number >= FILE_SLOTS)
		return;
	slot = &slots[number];
	if (slot->file)
		slot->file->dirty |= writable && shared;
	else
		slot->memfd_mapped = true;
}

/* A program is about to poison memory, which may be that of its files. */
void files_poisoned(void)
{
	for (u32 i = 0; i < FILE_SLOTS; i++) {
		if (slots[i].file)
			slots[i].file->poisoned = true;
		slots[i].memfd_mapped = true;
	}
}

/* A program is about to seal a file slot. */
void files_sealed(s64 fd)
{
	if (fd >= FD_FILES && fd < FD_FILES + FILE_SLOTS)
		slots[fd - FD_FILES].memfd_sealed = true;
}
