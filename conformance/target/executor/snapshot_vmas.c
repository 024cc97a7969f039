// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of VMAs with their flags. /proc/PID/smaps shows them by name on any
 * kernel, at a price; bpf_vmas.c reads them from the kernel's own structs where
 * that is allowed. Both give the bits of abi/vm_flags.py.
 */

#include <string.h>
#include <sys/syscall.h>

#include "executor.h"

#define CHUNK 2048 /* of a seq_file: small, for what is read beyond the arena is in vain */
#define LETTERS 26

static u64 flag_of_name[LETTERS * LETTERS];

void vmas_init(void)
{
	static const char *const names[] = VF_NAMES;

	for (u32 i = 0; i < ARRAY_SIZE(names); i++)
		flag_of_name[(names[i][0] - 'a') * LETTERS + names[i][1] - 'a'] = 1ul << i;
}

static HOT u64 hex(const char **at)
{
	u64 value = 0;

	for (;; (*at)++) {
		u8 c = **at;

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (c - 'a' + 10);
		else
			return value;
	}
}

/* "start-end rwxp offset major:minor inode  path"; lines end in a NUL here. */
static HOT void parse_head(const char *at, struct vma *vma)
{
	u64 offset, device;

	vma->start = hex(&at);
	at++;
	vma->end = hex(&at);
	at += sizeof(" rwxp ") - 1;
	offset = hex(&at);
	at++;
	device = hex(&at);
	at++;
	device |= hex(&at);
	at++;
	vma->flags = 0;
	vma->pgoff = 0;
	if (device || *at != '0')
		vma->pgoff = PGOFF_FILE | offset / PAGE;
}

/* The next of the names after "VmFlags:"; a flag of 0 is one that NAMES lacks. */
HOT bool smaps_next_flag(const char **names, u64 *flag)
{
	const char *at = *names;
	u32 first, second;

	while (*at == ' ')
		at++;
	*names = at;
	if (!at[0] || !at[1])
		return false;
	first = (u8)at[0] - 'a';
	second = (u8)at[1] - 'a';
	*flag = first < LETTERS && second < LETTERS ? flag_of_name[first * LETTERS + second] : 0;
	*names = at + 2;
	return true;
}

static u64 parse_flags(const char *names)
{
	u64 flags = 0, flag;

	while (smaps_next_flag(&names, &flag))
		flags |= flag;
	return flags;
}

struct smaps_reader {
	u64 low, high;
	struct vma *vmas;
	char (*names)[SMAPS_NAMES]; /* NULL, or where the names of each VMA's flags go */
	u32 max;
	u32 count;
	bool inside; /* the lines are of a VMA that is wanted */
	bool full;
};

/* False when no later line is of interest. */
static HOT bool smaps_line(struct smaps_reader *r, const char *line)
{
	static const char key[] = "VmFlags:";
	struct vma vma;

	if (line[0] >= 'A' && line[0] <= 'Z') {
		if (!r->inside || memcmp(line, key, sizeof(key) - 1))
			return true;
		line += sizeof(key) - 1;
		r->vmas[r->count - 1].flags = parse_flags(line);
		if (r->names)
			strncpy(r->names[r->count - 1], line, SMAPS_NAMES - 1);
		return true;
	}
	parse_head(line, &vma);
	r->inside = vma.end > r->low && vma.start < r->high;
	if (vma.start >= r->high)
		return false;
	if (!r->inside)
		return true;
	if (r->count == r->max) {
		r->full = true;
		return false;
	}
	r->vmas[r->count++] = vma;
	return true;
}

/* How many VMAs lie in [low, high), or -errno. */
HOT long smaps_read(int fd, u64 low, u64 high, struct vma *vmas, u32 max, char (*names)[SMAPS_NAMES])
{
	static char buffer[2 * CHUNK];
	struct smaps_reader reader = {
		.low = low, .high = high, .vmas = vmas, .names = names, .max = max
	};
	u32 kept = 0;
	u64 offset = 0;

	for (;;) {
		long got = sys(SYS_pread64, fd, buffer + kept, CHUNK, offset);
		char *line = buffer, *newline, *end;

		if (got < 0)
			return got;
		if (!got)
			break;
		offset += got;
		end = buffer + kept + got;
		while ((newline = memchr(line, '\n', end - line))) {
			*newline = 0;
			if (!smaps_line(&reader, line))
				return reader.full ? -ENOSPC : (long)reader.count;
			line = newline + 1;
		}
		kept = end - line;
		if (kept > CHUNK)
			return -EOVERFLOW;
		memmove(buffer, line, kept);
	}
	return reader.count;
}

/*
 * Everything below the zones: that is the arena, and whatever a kernel that
 * errs may have put beside it.
 */
HOT long vmas_read(const struct subject *subject, bool smaps, struct vma *vmas, u32 max)
{
	long count;

	if (!smaps && !subject->pid && bpf_works()) {
		count = bpf_read(vmas, max);
		if (count >= 0)
			return count;
	}
	return smaps_read(subject->pid ? subject->smaps : child_smaps(), 0, ZONE_BASE, vmas, max, NULL);
}
