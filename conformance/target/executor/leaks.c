// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel memory that a batch leaves behind: when everything that it made has
 * ended, there are as many address spaces, tasks, mappings and the like as
 * before. Only on a kernel that nobody else uses does that say anything.
 *
 * The kernel counts the objects of each of its caches below /sys/kernel/slab.
 * To shrink a cache makes the count exact: what is free and kept for later, and
 * what KASAN keeps to catch its use, is given back. Under KASAN that takes 10 ms
 * for each cache, nearly all of it waiting, so some processes do it side by side;
 * and large batches are looked at only so often that it costs 1 % of the time.
 *
 * Some growth is for good and no fault: what is made on first use. A batch leaks
 * when the same cache grows each time that the batch is run again.
 */

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "executor.h"

#define SMALL_BATCH (PROGRAMS_PER_CHILD - 1) /* is looked at each time */
#define SHARE 100 /* of the time, at most one part in so many is spent looking */
#define SETTLE_US 20000 /* between two looks at a cache that has grown */
#define SETTLE_LOOKS 10 /* RCU lets go within some ticks of the clock */

/*
 * What a process is made of, files that it holds, and memory of unknown purpose that is charged to one. What the
 * kernel allocates for itself comes and goes with its own work.
 */
static const char *const names[] = {
	"mm_struct", "task_struct", "vm_area_struct", "anon_vma", "pid", "signal_cache",
	"anon_vma_chain", "filp", "shmem_inode_cache", "userfaultfd_ctx_cache",
	"kmalloc-cg-8", "kmalloc-cg-16", "kmalloc-cg-32", "kmalloc-cg-64", "kmalloc-cg-96",
	"kmalloc-cg-128", "kmalloc-cg-192", "kmalloc-cg-256", "kmalloc-cg-512", "kmalloc-cg-1k",
	"kmalloc-cg-2k", "kmalloc-cg-4k", "kmalloc-cg-8k",
};

/*
 * Pages of processes, which the kernel counts machine-wide. Not page tables: its own are among them,
 * and of those of processes it says so itself when some are left (check_mm()).
 */
static const char *const page_counts[] = { "nr_anon_pages", "nr_mlock" };

static struct cache {
	const char *name;
	int objects, shrink;
	bool pages; /* a line of /proc/vmstat, which is made exact by /proc/sys/vm/stat_refresh */
	long base; /* objects when it was last looked at */
} caches[ARRAY_SIZE(names) + ARRAY_SIZE(page_counts)];
static u32 n_caches;
_Static_assert(ARRAY_SIZE(caches) <= 64, "a set of caches is a word of bits");

#define SHRINKERS 8 /* processes; each has its own address space, or its host process under UML */
#define SHRINK_MS 10000 /* all caches together take some 40 */
#define BROKEN 255 /* a shrinker's answer: no cache has that number */

static int to_shrink[2], shrunk[2]; /* pipes of cache numbers */
static u64 begun, next_look; /* when, in microseconds */

static u64 now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ul + now.tv_nsec / 1000;
}

static int open_file(const char *folder, const char *cache, const char *file, int flags)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s/%s", folder, cache, file);
	return open(path, flags | O_CLOEXEC);
}

static void add(const char *folder, const char *name)
{
	struct cache *cache = &caches[n_caches];

	cache->name = name;
	cache->objects = open_file(folder, name, "objects", O_RDONLY);
	if (cache->objects < 0)
		return; /* this kernel has no such cache, or does not count it */
	cache->shrink = open_file(folder, name, "shrink", O_WRONLY);
	if (cache->shrink < 0)
		fail("cannot open %s/%s/shrink: %m", folder, name);
	cache->base = LONG_MAX;
	n_caches++;
}

static void add_pages(const char *name)
{
	struct cache *cache = &caches[n_caches];

	cache->name = name;
	cache->pages = true;
	cache->objects = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	cache->shrink = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);
	cache->base = LONG_MAX;
	if (cache->objects < 0 || cache->shrink < 0)
		return; /* no CONFIG_VM_EVENT_COUNTERS, or no root */
	n_caches++;
}

static bool shrink(const struct cache *cache)
{
	return pwrite(cache->shrink, "1", 1, 0) == 1;
}

static _Noreturn void shrinker(pid_t parent)
{
	u8 number;

	die_with_parent(parent);
	sys(SYS_close, STDIN_FILENO); /* whose ends must be seen by others */
	sys(SYS_close, STDOUT_FILENO);
	while (read(to_shrink[0], &number, 1) == 1) {
		if (!shrink(&caches[number]))
			number = BROKEN;
		if (write(shrunk[1], &number, 1) != 1)
			break;
	}
	for (;;)
		sys(SYS_exit_group, EXIT_HARNESS);
}

static void start_shrinkers(void)
{
	pid_t parent = getpid();

	if (pipe2(to_shrink, O_CLOEXEC) || pipe2(shrunk, O_CLOEXEC))
		fail("cannot make a pipe: %m");
	for (u32 i = 0; i < SHRINKERS; i++) {
		int pidfd;
		pid_t pid = fork_raw(&pidfd);

		if (pid < 0)
			fail("cannot fork: %s", strerror(-pid));
		if (!pid)
			shrinker(parent);
		close(pidfd);
	}
}

static void shrink_all(void)
{
	struct pollfd fd = { .fd = shrunk[0], .events = POLLIN };

	for (u32 i = 0; i < n_caches; i++)
		if (write(to_shrink[1], &(u8){ i }, 1) != 1)
			fail("cannot hand over a cache: %m");
	for (u32 i = 0; i < n_caches; i++) {
		u8 number = BROKEN;

		if (poll(&fd, 1, SHRINK_MS) != 1 || read(shrunk[0], &number, 1) != 1 ||
		    number == BROKEN)
			fail("the kernel's caches cannot be shrunk");
	}
}

static long count(const struct cache *cache)
{
	static char text[16384];
	long got = pread(cache->objects, text, sizeof(text) - 1, 0);
	const char *at = text;

	if (got <= 0)
		fail("cannot count %s: %m", cache->name);
	text[got] = 0;
	if (cache->pages) {
		size_t letters = strlen(cache->name);

		while (strncmp(at, cache->name, letters) || at[letters] != ' ') {
			at = strchr(at, '\n');
			if (!at++)
				return 0; /* this kernel does not count them */
		}
		at += letters;
	}
	return strtol(at, NULL, 10);
}

/* Those of the caches in this set that have more objects than at the last look. */
static u64 still_grown(u64 set, long *objects)
{
	u64 grown = 0;

	for (u32 i = 0; i < n_caches; i++) {
		if (!(set & 1ul << i))
			continue;
		objects[i] = count(&caches[i]);
		if (objects[i] > caches[i].base)
			grown |= 1ul << i;
	}
	alive();
	return grown;
}

/* Some looks, and what is run again between them: together they are what a check costs. */
void leaks_begin(void)
{
	begun = now_us();
}

void leaks_end(void)
{
	u64 now = now_us();

	next_look = now + SHARE * (now - begun);
}

/* The caches that have grown since the last look, as a word of bits. */
u64 leaks_look(void)
{
	long objects[ARRAY_SIZE(caches)];
	u64 grown;

	shrink_all();
	grown = still_grown(~0ul, objects);
	for (u32 tries = 0; grown && tries < SETTLE_LOOKS; tries++) {
		usleep(SETTLE_US); /* for all of them at once */
		for (u32 i = 0; i < n_caches; i++)
			if (grown & 1ul << i && !shrink(&caches[i]))
				fail("cannot shrink %s: %m", caches[i].name);
		grown = still_grown(grown, objects);
	}
	for (u32 i = 0; i < n_caches; i++)
		caches[i].base = objects[i];
	return grown;
}

/* True when there is something to count. */
bool leaks_create(const char *folder)
{
	for (u32 i = 0; i < ARRAY_SIZE(names); i++)
		add(folder, names[i]);
	for (u32 i = 0; options.guest && n_caches && i < ARRAY_SIZE(page_counts); i++)
		add_pages(page_counts[i]);
	if (n_caches) {
		start_shrinkers();
		leaks_look();
		next_look = 0;
	}
	return n_caches;
}

bool leaks_due(u32 programs)
{
	return n_caches && (programs <= SMALL_BATCH || now_us() >= next_look);
}

/* For the console, where conformance/target/kernel_log.py reads it. */
void leaks_tell(u64 grown, u32 runs, u32 programs)
{
	for (u32 i = 0; i < n_caches; i++) {
		int letters = strcspn(caches[i].name, "-");

		if (grown & 1ul << i)
			complain("leak: %.*s: there are more of %s after each of %u runs of %u programs",
				 letters, caches[i].name, caches[i].name, runs, programs);
	}
}
