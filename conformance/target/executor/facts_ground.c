// SPDX-License-Identifier: GPL-2.0-only
/* What the probes of facts_*.c stand on: answers, memory, files, /proc. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "facts.h"

#define MARGIN_PAGES 16 /* unmapped on both sides of a window, so that nothing merges with it */

void found(struct finding *f, long long number)
{
	f->number = number;
	f->known = 1;
}

void found_text(struct finding *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	f->known = vsnprintf(f->text, sizeof(f->text), format, args) < (int)sizeof(f->text);
	va_end(args);
	if (!f->known)
		snprintf(f->why, sizeof(f->why), "the answer is too long");
}

/* No answer can be had; `assumed` is what asks least of the kernel. */
void unfound(struct finding *f, long long assumed, const char *why, ...)
{
	va_list args;

	f->number = assumed;
	va_start(args, why);
	vsnprintf(f->why, sizeof(f->why), why, args);
	va_end(args);
}

/* Address space with nothing mapped in it or next to it. */
char *window(size_t pages)
{
	size_t all = (pages + 2 * MARGIN_PAGES) * PAGE;
	char *at = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED || munmap(at, all)) {
		perror("no address space for a probe");
		_exit(1);
	}
	return at + MARGIN_PAGES * PAGE;
}

char *map_file(char *at, size_t pages, int prot, int flags, int fd)
{
	char *got = mmap(at, pages * PAGE, prot, flags | MAP_FIXED, fd, 0);

	return got == MAP_FAILED ? NULL : got;
}

/* Anonymous private memory; dies without, as every probe would then be wrong. */
char *map_anon(char *at, size_t pages, int prot)
{
	char *got = map_file(at, pages, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (!got) {
		perror("no memory for a probe");
		_exit(1);
	}
	return got;
}

void touch(volatile char *page)
{
	*page = 1;
}

/* How many VMAs lie in [start, end); -1 without /proc. */
int vma_count(const void *start, const void *end)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int count = 0;

	if (!maps)
		return -1;
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t low = strtoul(line, NULL, 16);

		count += low >= (uintptr_t)start && low < (uintptr_t)end;
	}
	fclose(maps);
	return count;
}

static uint64_t flags_of_names(char *names)
{
	static const char *const known[] = VF_NAMES;
	uint64_t flags = 0;
	char *save = NULL;

	for (char *name = strtok_r(names, " \n", &save); name; name = strtok_r(NULL, " \n", &save))
		for (size_t i = 0; i < VF_COUNT; i++)
			if (!strcmp(name, known[i]))
				flags |= 1UL << i;
	return flags;
}

/* The VmFlags of the VMA at an address, as VF_ bits; -1 if smaps does not say. */
int vm_flags(const void *at, uint64_t *flags)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char line[512];
	int inside = 0, result = -1;

	if (!smaps)
		return -1;
	while (result && fgets(line, sizeof(line), smaps)) {
		unsigned long low, high;

		if (sscanf(line, "%lx-%lx ", &low, &high) == 2) {
			inside = low <= (uintptr_t)at && (uintptr_t)at < high;
		} else if (inside && !strncmp(line, "VmFlags:", 8)) {
			*flags = flags_of_names(line + 8);
			result = 0;
		}
	}
	fclose(smaps);
	return result;
}

/* Where the VMA with this name in /proc/self/maps lies; -1 if there is none. */
int vma_named(const char *name, uintptr_t *start, uintptr_t *end)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], found_name[256];
	int result = -1;

	if (!maps)
		return -1;
	while (result && fgets(line, sizeof(line), maps)) {
		unsigned long low, high;

		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %255s", &low, &high, found_name) == 3 &&
		    !strcmp(found_name, name)) {
			*start = low;
			*end = high;
			result = 0;
		}
	}
	fclose(maps);
	return result;
}

/* The beginning of a small file as a string; -1 if it cannot be read. */
int read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -1;
	got = read(fd, text, size - 1);
	close(fd);
	if (got < 0)
		return -1;
	text[got] = 0;
	return 0;
}

int read_number(const char *path, long long *number)
{
	char text[64], *end;

	if (read_text(path, text, sizeof(text)))
		return -1;
	errno = 0;
	*number = strtoll(text, &end, 10);
	return errno || end == text ? -1 : 0;
}

/*
 * Is this capability effective, and over the initial user namespace? The kernel asks for
 * those that matter here by capable(), which a container's own root does not satisfy.
 */
int has_capability(int number)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	unsigned long inside, outside, length;
	char map[128];

	if (syscall(SYS_capget, &header, data))
		return 0;
	if (!(data[number / 32].effective >> number % 32 & 1))
		return 0;
	if (read_text("/proc/self/uid_map", map, sizeof(map)))
		return 1;
	return sscanf(map, "%lu %lu %lu", &inside, &outside, &length) == 3 && !inside &&
	       !outside && length == UINT32_MAX;
}

long call_process_madvise(int pidfd, void *start, size_t length, int advice)
{
	struct iovec range = { .iov_base = start, .iov_len = length };

	return syscall(NR_PROCESS_MADVISE, pidfd, &range, 1UL, advice, 0UL);
}

/* An empty file of this many pages, as file slots have them; -1 if there is none to be had. */
int open_backing(int backing, const char *tmp_dir, size_t pages)
{
	char path[4096];
	int fd;

	if (backing == BACKING_MEMFD) {
		fd = memfd_create("madvet-fact", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	} else {
		snprintf(path, sizeof(path), "%s/madvet-fact-XXXXXX",
			 backing == BACKING_DISK ? tmp_dir : "/dev/shm");
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			unlink(path);
	}
	if (fd >= 0 && ftruncate(fd, (off_t)(pages * PAGE))) {
		close(fd);
		fd = -1;
	}
	return fd;
}
