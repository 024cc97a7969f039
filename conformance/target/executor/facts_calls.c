// SPDX-License-Identifier: GPL-2.0-only
/* Facts: which calls, flags and kinds of mapping this kernel has. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "executor.h"
#include "facts.h"

#define MAP_DROPPABLE_VALUE 0x8
#define MREMAP_DONTUNMAP_VALUE 4

static void release(struct finding *f, const struct ground *ground)
{
	struct utsname name;

	(void)ground;
	if (uname(&name))
		unfound(f, 0, "uname: %s", strerror(errno));
	else
		found_text(f, "%s", name.release);
}

/* An advice exists when an empty range may be advised with it; nothing is advised. */
static void advices(struct finding *f, const struct ground *ground)
{
	static const int values[] = ADVICE_VALUES;
	char list[sizeof(f->text)] = "";
	size_t used = 0;

	(void)ground;
	for (size_t i = 0; i < ARRAY_SIZE(values) && used < sizeof(list) - 16; i++)
		if (!madvise(NULL, 0, values[i]))
			used += sprintf(list + used, "%s%d", used ? ", " : "", values[i]);
	found_text(f, "%s", list);
}

static void ranges_call(struct finding *f, const struct ground *ground)
{
	if (ground->shim)
		found_text(f, "shim");
	else if (syscall(NR_MADVISE_RANGES, NULL) && errno == EFAULT)
		found_text(f, "kernel");
	else
		found_text(f, "absent");
}

static void has_process_madvise(struct finding *f, const struct ground *ground)
{
	(void)ground;
	found(f, call_process_madvise(-1, NULL, 0, ADVICE_NORMAL) >= 0 || errno != ENOSYS);
}

/* Advices that another process never takes, on oneself. */
static void self_any_advice(struct finding *f, const struct ground *ground)
{
	int self = syscall(SYS_pidfd_open, getpid(), 0);
	char *page = map_anon(window(1), 1, PROT_READ);

	(void)ground;
	found(f, self >= 0 && call_process_madvise(self, page, PAGE, ADVICE_RANDOM) == PAGE);
}

static void pidfd_self(struct finding *f, const struct ground *ground)
{
	char *page = map_anon(window(1), 1, PROT_READ);

	(void)ground;
	found(f, call_process_madvise(PIDFD_SELF_THREAD, page, PAGE, ADVICE_WILLNEED) == PAGE);
}

/* The sentinel for the whole process, which had another number at first. */
static void pidfd_self_group(struct finding *f, const struct ground *ground)
{
	char *page = map_anon(window(1), 1, PROT_READ);

	(void)ground;
	found(f, call_process_madvise(PIDFD_SELF_GROUP, page, PAGE, ADVICE_WILLNEED) == PAGE);
}

static void ilp32_calls(struct finding *f, const struct ground *ground)
{
	(void)ground;
	found(f, ilp32_works());
}

static void heap_is_executable(struct finding *f, const struct ground *ground)
{
	(void)ground;
	vmas_init();
	found(f, heap_exec());
}

static void has_mseal(struct finding *f, const struct ground *ground)
{
	char *page = map_anon(window(1), 1, PROT_READ);

	(void)ground;
	found(f, !syscall(NR_MSEAL, page, PAGE, 0));
}

static void has_droppable(struct finding *f, const struct ground *ground)
{
	(void)ground;
	found(f, map_file(window(1), 1, PROT_READ, MAP_DROPPABLE_VALUE | MAP_ANONYMOUS, -1) != NULL);
}

static void has_secretmem(struct finding *f, const struct ground *ground)
{
	char *at = window(1);

	(void)ground;
	found(f, call_map_secret((uintptr_t)at, PAGE, PROT_READ | PROT_WRITE, true) ==
			 (long)(uintptr_t)at);
}

static void has_uffd(struct finding *f, const struct ground *ground)
{
	char *page = map_anon(window(1), 1, PROT_READ | PROT_WRITE);

	(void)ground;
	found(f, !call_uffd((uintptr_t)page, PAGE, false));
}

static void has_uffd_wp(struct finding *f, const struct ground *ground)
{
	char *page = map_anon(window(1), 1, PROT_READ | PROT_WRITE);

	(void)ground;
	found(f, !call_uffd((uintptr_t)page, PAGE, true));
}

/* New memory is dirty, and clearing all marks makes it clean. */
static void has_soft_dirty(struct finding *f, const struct ground *ground)
{
	char *page = map_anon(window(1), 1, PROT_READ | PROT_WRITE);
	uint64_t before, after;

	(void)ground;
	if (vm_flags(page, &before)) {
		unfound(f, 0, "/proc/self/smaps cannot be read");
	} else if (!(before & VF_SD)) {
		found(f, 0);
	} else {
		found(f, !call_clear_soft_dirty() && !vm_flags(page, &after) && !(after & VF_SD));
	}
}

static void has_mremap_dontunmap(struct finding *f, const struct ground *ground)
{
	char *from = map_anon(window(1), 1, PROT_READ | PROT_WRITE), *to = window(1);

	(void)ground;
	found(f, mremap(from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP_VALUE,
			to) == to);
}

/* Pages that are free and promised to nobody; they may be gone when a program wants them. */
static void hugetlb_pages_free(struct finding *f, const struct ground *ground)
{
	long long unused, promised;

	(void)ground;
	if (read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", &unused) ||
	    read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", &promised))
		found(f, 0);
	else
		found(f, unused - promised);
}

const struct fact facts_of_calls[] = {
	{ "release", FACT_TEXT, release },
	{ "advices", FACT_LIST, advices },
	{ "ranges_call", FACT_TEXT, ranges_call },
	{ "has_process_madvise", FACT_BOOL, has_process_madvise },
	{ "ilp32_calls", FACT_BOOL, ilp32_calls },
	{ "self_any_advice", FACT_BOOL, self_any_advice },
	{ "pidfd_self", FACT_BOOL, pidfd_self },
	{ "pidfd_self_group", FACT_BOOL, pidfd_self_group },
	{ "heap_exec", FACT_BOOL, heap_is_executable },
	{ "has_mseal", FACT_BOOL, has_mseal },
	{ "has_droppable", FACT_BOOL, has_droppable },
	{ "has_secretmem", FACT_BOOL, has_secretmem },
	{ "has_uffd", FACT_BOOL, has_uffd },
	{ "has_uffd_wp", FACT_BOOL, has_uffd_wp },
	{ "has_soft_dirty", FACT_BOOL, has_soft_dirty },
	{ "has_mremap_dontunmap", FACT_BOOL, has_mremap_dontunmap },
	{ "hugetlb_pages_free", FACT_NUMBER, hugetlb_pages_free },
	{ 0 },
};
