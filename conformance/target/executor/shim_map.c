// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which mapping is at an address: by PROCMAP_QUERY, or on kernels before 6.11 by reading maps.
 *
 * Nothing is remembered from one look to the next, because advice splits and merges mappings.
 * But for what makes a mapping special: no advice changes that.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "shim_types.h"

/* struct procmap_query of linux/fs.h, which C libraries of a few years ago do not have. */
struct map_query {
	uint64_t size, flags, at;
	uint64_t start, end, vma_flags, page_size, offset, inode;
	uint32_t dev_major, dev_minor, name_size, build_id_size;
	uint64_t name_at, build_id_at;
};

#define MAP_QUERY _IOWR('f', 17, struct map_query)
#define MAP_QUERY_COVERING_OR_NEXT 0x10

#ifndef SHIM_USE_MAP_QUERY
#define SHIM_USE_MAP_QUERY 1 /* 0: a build that reads maps, as if the kernel were older */
#endif

/* A file of /proc, line by line; a line longer than its room is cut. */
struct lines {
	int fd;
	size_t used, at;
	char buffer[4096];
	char line[256];
};

/* 1 and a line, 0 at the end, -errno. */
static int next_line(struct lines *lines)
{
	size_t length = 0;

	for (;;) {
		char c;

		if (lines->at == lines->used) {
			long got = shim_result(read(lines->fd, lines->buffer,
						    sizeof(lines->buffer)));

			if (got < 0)
				return got;
			if (!got)
				return 0;
			lines->used = got;
			lines->at = 0;
		}
		c = lines->buffer[lines->at++];
		if (c == '\n')
			break;
		if (length < sizeof(lines->line) - 1)
			lines->line[length++] = c;
	}
	lines->line[length] = '\0';
	return 1;
}

/* The digits at *text, which moves behind them; false where there are none. */
static bool read_hex(const char **text, uintptr_t *value)
{
	const char *start = *text;

	*value = 0;
	for (;; (*text)++) {
		char c = **text;

		if (c >= '0' && c <= '9')
			*value = *value << 4 | (uintptr_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			*value = *value << 4 | (uintptr_t)(c - 'a' + 10);
		else
			return *text != start;
	}
}

/* Is this the line that begins a mapping? [vsyscall] is shown, but is none. */
static bool read_bounds(const char *line, struct shim_vma *vma)
{
	struct shim_vma read;

	if (!read_hex(&line, &read.start) || *line++ != '-')
		return false;
	if (!read_hex(&line, &read.end) || *line != ' ' || strstr(line, "[vsyscall]"))
		return false;
	*vma = read;
	return true;
}

static int open_proc(const struct shim_target *target, const char *name)
{
	char path[64] = "/proc/self";
	int fd;

	if (target->pid && !MUTANT(remote_own_map))
		snprintf(path, sizeof(path), "/proc/%d", target->pid);
	strcat(strcat(path, "/"), name);
	fd = shim_result(open(path, O_RDONLY | O_CLOEXEC));
	if (fd == -ENOENT)
		return target->pid ? -ESRCH : -ENOSYS;
	return fd;
}

static int query(int fd, uintptr_t at, struct shim_vma *vma)
{
	struct map_query query = {
		.size = sizeof(query),
		.flags = MAP_QUERY_COVERING_OR_NEXT,
		.at = at,
	};
	long err = shim_result(ioctl(fd, MAP_QUERY, &query));

	if (err)
		return err == -ENOENT ? 0 : err;
	vma->start = query.start;
	vma->end = query.end;
	return 1;
}

static int find_in_text(int fd, uintptr_t at, struct shim_vma *vma)
{
	struct lines lines = { .fd = fd };
	int err;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	while ((err = next_line(&lines)) > 0)
		if (read_bounds(lines.line, vma) && vma->end > at)
			return 1;
	return err;
}

/* 0 or -errno; only after 0 there is something to close. */
int shim_map_open(struct shim_map *map, const struct shim_target *target)
{
	struct shim_vma any;

	map->target = target;
	map->special_from = map->special_to = 0;
	map->n_special = 0;
	map->fd = open_proc(target, "maps");
	if (map->fd < 0)
		return map->fd;
	map->query = SHIM_USE_MAP_QUERY && query(map->fd, 0, &any) >= 0;
	return 0;
}

void shim_map_close(struct shim_map *map)
{
	close(map->fd);
}

/* 1 and the mapping that holds an address, or else the next one above; 0 if none; -errno. */
int shim_map_find(struct shim_map *map, uintptr_t at, struct shim_vma *vma)
{
	return map->query ? query(map->fd, at, vma) : find_in_text(map->fd, at, vma);
}

/* Has a mapping any of VM_IO, VM_PFNMAP, VM_DONTEXPAND, VM_MIXEDMAP? */
static bool flags_special(const char *flags)
{
	return strstr(flags, " io") || strstr(flags, " pf") || strstr(flags, " de") ||
	       strstr(flags, " mm");
}

/* Remember the special mappings from an address on: as many as there is room for. */
static int look_for_special(struct shim_map *map, uintptr_t from)
{
	struct lines lines = { .fd = open_proc(map->target, "smaps") };
	struct shim_vma vma = { 0, 0 };
	int err;

	if (lines.fd < 0)
		return lines.fd;
	map->n_special = 0;
	map->special_from = from;
	map->special_to = UINTPTR_MAX;
	while ((err = next_line(&lines)) > 0) {
		if (read_bounds(lines.line, &vma) || vma.end <= from)
			continue;
		if (strncmp(lines.line, "VmFlags:", 8) || !flags_special(lines.line))
			continue;
		map->special[map->n_special++] = vma;
		if (map->n_special == SHIM_SPECIAL_MAX) {
			map->special_to = vma.end;
			break;
		}
	}
	close(lines.fd);
	return err < 0 ? err : 0;
}

/* 1 if the mapping that holds an address is special, 0 if not, -errno. */
int shim_map_special(struct shim_map *map, uintptr_t at)
{
	if (at < map->special_from || at >= map->special_to) {
		int err = look_for_special(map, at);

		if (err)
			return err;
	}
	for (unsigned int i = 0; i < map->n_special; i++)
		if (map->special[i].start <= at && at < map->special[i].end)
			return 1;
	return 0;
}
