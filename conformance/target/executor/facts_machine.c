// SPDX-License-Identifier: GPL-2.0-only
/* Facts: the state of the machine, and the rights of the process that runs programs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "executor.h"
#include "facts.h"

#define CAP_IPC_LOCK_NUMBER 14
#define CAP_SYS_ADMIN_NUMBER 21

static void swap(struct finding *f, const struct ground *ground)
{
	struct sysinfo info;

	(void)ground;
	if (sysinfo(&info))
		unfound(f, 0, "sysinfo: %s", strerror(errno));
	else
		found(f, info.totalswap > 0);
}

/* Without CONFIG_SWAP, WILLNEED has nothing to read anonymous memory from. */
static void config_swap(struct finding *f, const struct ground *ground)
{
	char *page = map_anon(window(1), 1, PROT_READ);

	(void)ground;
	found(f, !madvise(page, PAGE, ADVICE_WILLNEED) || errno != EBADF);
}

static void thp(struct finding *f, const struct ground *ground)
{
	char text[64], word[16];
	const char *bracket;

	(void)ground;
	if (read_text("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text))) {
		found_text(f, "absent");
		return;
	}
	bracket = strchr(text, '[');
	if (!bracket || sscanf(bracket, "[%15[a-z]]", word) != 1)
		unfound(f, 0, "transparent_hugepage/enabled is not understood");
	else
		found_text(f, "%s", word);
}

static void ksm_running(struct finding *f, const struct ground *ground)
{
	long long run;

	(void)ground;
	found(f, !read_number("/sys/kernel/mm/ksm/run", &run) && run == 1);
}

static void lru_gen(struct finding *f, const struct ground *ground)
{
	char text[32] = "";
	unsigned long enabled = 0;

	(void)ground;
	if (!read_text("/sys/kernel/mm/lru_gen/enabled", text, sizeof(text)))
		enabled = strtoul(text, NULL, 0);
	found(f, enabled & 1);
}

static void reclaim(struct finding *f, const struct ground *ground)
{
	(void)ground;
	found(f, memcg_reclaim());
}

static void fail_nth(struct finding *f, const struct ground *ground)
{
	(void)ground;
	found(f, fault_works());
}

static void sysctl(struct finding *f, const char *path, long long assumed)
{
	long long number;

	if (read_number(path, &number))
		unfound(f, assumed, "%s cannot be read", path);
	else
		found(f, number);
}

static void max_map_count(struct finding *f, const struct ground *ground)
{
	(void)ground;
	sysctl(f, "/proc/sys/vm/max_map_count", 65530);
}

static void overcommit(struct finding *f, const struct ground *ground)
{
	(void)ground;
	sysctl(f, "/proc/sys/vm/overcommit_memory", 0);
}

static bool refused(int fd, unsigned long start, unsigned long length)
{
	struct iovec element = { (void *)start, length };

	return writev(fd, &element, 1) < 0 && errno == EFAULT;
}

/*
 * A vector is refused when it names kernel memory; nothing is read of what it names. User mode
 * Linux wants an end before the last address, so that it refuses an empty element there.
 */
static void task_size(struct finding *f, const struct ground *ground)
{
	static const int bits[] = { 47, 56 };
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)ground;
	for (size_t i = 0; i < sizeof(bits) / sizeof(*bits); i++) {
		unsigned long end = (1UL << bits[i]) - PAGE;

		if (refused(fd, end, PAGE)) {
			found(f, refused(fd, end, 0) ? end - 1 : end);
			return;
		}
	}
	unfound(f, (1UL << 47) - PAGE, "no address is refused");
}

static const struct file_system {
	unsigned long magic; /* include/uapi/linux/magic.h; libc headers lack some */
	const char *name;    /* "": lives in memory, so it is no disk */
} file_systems[] = {
	{ 0xef53, "ext4" }, /* and ext2, ext3: the same driver today */
	{ 0x58465342, "xfs" },
	{ 0x9123683e, "btrfs" },
	{ 0xf2f52010, "f2fs" },
	{ 0xca451a4e, "bcachefs" },
	{ 0x2fc12fc1, "zfs" },
	{ 0x794c7630, "overlay" },
	{ 0x6969, "nfs" },
	{ 0x01021997, "9p" },
	{ 0x6a656a63, "virtiofs" },
	{ 0x01021994, "" }, /* tmpfs */
	{ 0x858458f6, "" }, /* ramfs */
};

static void disk_fs(struct finding *f, const struct ground *ground)
{
	int fd = open_backing(BACKING_DISK, ground->tmp_dir, 1);
	struct statfs about;

	if (fd < 0 || fstatfs(fd, &about)) {
		unfound(f, 0, "no file in %.100s: %s", ground->tmp_dir, strerror(errno));
		return;
	}
	if (!map_file(window(1), 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd)) {
		unfound(f, 0, "a file in %.100s cannot be mapped shared", ground->tmp_dir);
		return;
	}
	for (size_t i = 0; i < sizeof(file_systems) / sizeof(*file_systems); i++)
		if (file_systems[i].magic == (unsigned long)about.f_type) {
			found_text(f, "%s", file_systems[i].name);
			return;
		}
	found_text(f, "%#lx", (unsigned long)about.f_type);
}

static void disk_punch(struct finding *f, const struct ground *ground)
{
	int fd = open_backing(BACKING_DISK, ground->tmp_dir, 1);

	found(f, fd >= 0 &&
			 !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
}

/* Kinds of mapping that a mount option or a setting of memfd forbids to make executable. */
static void noexec(struct finding *f, const struct ground *ground)
{
	static const struct {
		const char *kind;
		int backing;
	} kinds[] = {
		{ "memfd", BACKING_MEMFD },
		{ "tmpfs", BACKING_TMPFS },
		{ "disk", BACKING_DISK },
		{ "zero", -1 },
	};
	char list[sizeof(f->text)] = "";
	size_t used = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		int fd = kinds[i].backing < 0 ? open("/dev/zero", O_RDWR | O_CLOEXEC) :
						open_backing(kinds[i].backing, ground->tmp_dir, 1);
		char *at = fd < 0 ? NULL : map_file(window(1), 1, PROT_READ, MAP_PRIVATE, fd);
		uint64_t flags;

		if (!at)
			continue; /* then no program has such a mapping either */
		if (vm_flags(at, &flags)) {
			unfound(f, 0, "/proc/self/smaps cannot be read");
			return;
		}
		if (!(flags & VF_ME))
			used += sprintf(list + used, "%s\"%s\"", used ? ", " : "", kinds[i].kind);
	}
	found_text(f, "%s", list);
}

static void cap_sys_admin(struct finding *f, const struct ground *ground)
{
	(void)ground;
	found(f, has_capability(CAP_SYS_ADMIN_NUMBER));
}

static void cap_ipc_lock(struct finding *f, const struct ground *ground)
{
	(void)ground;
	found(f, has_capability(CAP_IPC_LOCK_NUMBER));
}

/* The soft limit; LLONG_MAX for none. */
static void memlock_bytes(struct finding *f, const struct ground *ground)
{
	struct rlimit limit;

	(void)ground;
	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		unfound(f, 0, "getrlimit: %s", strerror(errno));
	else
		found(f, limit.rlim_cur > INT64_MAX ? INT64_MAX : (long long)limit.rlim_cur);
}

const struct fact facts_of_machine[] = {
	{ "swap", FACT_BOOL, swap },
	{ "config_swap", FACT_BOOL, config_swap },
	{ "thp", FACT_TEXT, thp },
	{ "ksm_running", FACT_BOOL, ksm_running },
	{ "lru_gen", FACT_BOOL, lru_gen },
	{ "max_map_count", FACT_NUMBER, max_map_count },
	{ "memcg_reclaim", FACT_BOOL, reclaim },
	{ "fail_nth", FACT_BOOL, fail_nth },
	{ "overcommit", FACT_NUMBER, overcommit },
	{ "task_size", FACT_NUMBER, task_size },
	{ "disk_fs", FACT_TEXT, disk_fs },
	{ "disk_punch", FACT_BOOL, disk_punch },
	{ "noexec", FACT_LIST, noexec },
	{ "cap_sys_admin", FACT_BOOL, cap_sys_admin },
	{ "cap_ipc_lock", FACT_BOOL, cap_ipc_lock },
	{ "memlock_bytes", FACT_NUMBER, memlock_bytes },
	{ 0 },
};
