// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which bit of the kernel's vm_flags is which flag. Bits move between releases
 * and configurations, so nothing is taken for granted: at start, mappings that
 * show every flag that can be had are made, and read both ways. smaps names the
 * flags in the order of their bits, which pairs them off; a bit that is paired
 * with two names, or a VMA that looks different, switches BPF off. A bit that
 * turns up only later is not guessed at: that snapshot is read from smaps.
 */

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf.h"

#define SAMPLES_MAX 64
#define MADV_GUARD_INSTALL 102

static struct learned {
	bool ok;
	u64 known; /* raw bits */
	u64 flag[64]; /* of each raw bit; 0 for one that has no name in NAMES */
} *learned HOT_DATA; /* shared with the child that makes the mappings */

static u64 next_sample;

/* The kinds of mapping below differ in flags; whether each can be had does not matter. */
static u64 sample(int prot, int flags, int fd)
{
	u64 at = next_sample;
	long ret = sys(SYS_mmap, at, PAGE, prot, flags | MAP_FIXED, fd, 0);

	next_sample += 4 * PAGE; /* never side by side, or they might merge */
	return ret < 0 ? 0 : at;
}

static u64 anon(void)
{
	return sample(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void sample_protections(int fd, int read_only)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_EXEC };

	for (u32 i = 0; i < ARRAY_SIZE(prots); i++)
		sample(prots[i], MAP_PRIVATE | MAP_ANONYMOUS, -1);
	sample(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	sample(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	sample(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1);
	sample(PROT_READ | PROT_WRITE, 0x08 /* MAP_DROPPABLE */ | MAP_ANONYMOUS, -1);
	sample(PROT_READ | PROT_WRITE, MAP_PRIVATE, FD_DEV_ZERO);
	sample(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	sample(PROT_READ, MAP_SHARED, read_only);
	sample(PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
}

static void sample_advices(void)
{
	static const int advices[] = {
		MADV_RANDOM,   MADV_SEQUENTIAL, MADV_DONTFORK,	 MADV_DONTDUMP,	     MADV_WIPEONFORK,
		MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE, MADV_GUARD_INSTALL,
	};

	for (u32 i = 0; i < ARRAY_SIZE(advices); i++)
		sys(SYS_madvise, anon(), PAGE, advices[i]);
}

static void sample_special(void)
{
	u64 at = next_sample;

	sys(SYS_mlock, anon(), PAGE);
	sys(NR_MLOCK2, anon(), PAGE, MLOCK_ONFAULT);
	sys(NR_MSEAL, anon(), PAGE, 0);
	call_uffd(anon(), PAGE, false);
	call_uffd(anon(), PAGE, true);
	at = next_sample;
	next_sample += 4 * PAGE;
	call_map_secret(at, PAGE, PROT_READ | PROT_WRITE, true);
	at = next_sample;
	next_sample += 64 * PAGE;
	call_move_vvar(at);
	at = (next_sample + (1 << 21)) & ~((1ul << 21) - 1);
	sys(SYS_mmap, at, 1 << 21, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

/* Pair the raw bits of one VMA with the names smaps gives, lowest bit first. */
static bool pair(u64 raw, const char *names)
{
	u64 flag, bit;

	for (; raw; raw &= raw - 1) {
		bit = __builtin_ctzl(raw);
		if (!smaps_next_flag(&names, &flag))
			return false;
		if (learned->known & 1ul << bit && learned->flag[bit] != flag)
			return false;
		learned->known |= 1ul << bit;
		learned->flag[bit] = flag;
	}
	return !smaps_next_flag(&names, &flag);
}

static void compare(void)
{
	static char names[SAMPLES_MAX][SMAPS_NAMES];
	static struct vma vmas[SAMPLES_MAX];
	const struct raw_vma *raw = NULL;
	long count = bpf_read_raw(&raw);
	long wanted = smaps_read(child_smaps(), 0, ZONE_BASE, vmas, SAMPLES_MAX, names);

	if (count < 0 || count != wanted) {
		complain("BPF sees %ld mappings where smaps shows %ld", count, wanted);
		return;
	}
	for (long i = 0; i < count; i++) {
		if (raw[i].start != vmas[i].start || raw[i].end != vmas[i].end ||
		    raw[i].pgoff != vmas[i].pgoff || !pair(raw[i].raw_flags, names[i])) {
			complain("BPF sees flags %#lx and offset %#lx where smaps shows%s and %#lx",
				 (long)raw[i].raw_flags, (long)raw[i].pgoff, names[i],
				 (long)vmas[i].pgoff);
			return;
		}
	}
	learned->ok = true;
}

/* In a process of its own: some of these mappings cannot be undone. */
static _Noreturn void make_samples(void)
{
	int fd = memfd_create("sample", MFD_CLOEXEC);
	int read_only = reopen_read_only(fd);

	child_open_proc();
	next_sample = ARENA_BASE;
	sample_protections(fd, read_only);
	sample_advices();
	sample_special();
	compare();
	_exit(0);
}

bool bpf_learn(void)
{
	siginfo_t info;
	int pidfd = -1;
	pid_t pid;

	learned = shared_create(sizeof(*learned), "what BPF shows");
	pid = fork_raw(&pidfd);
	if (!pid)
		make_samples();
	if (pid < 0 || waitid(P_PIDFD, pidfd, &info, WEXITED))
		fail("cannot run a child: %m");
	close(pidfd);
	if (!learned->ok)
		complain("VmFlags are read from smaps, which takes longer");
	return learned->ok;
}

/* False when a bit is set that was never seen before. */
HOT bool bpf_translate(u64 raw_flags, u64 *flags)
{
	static u64 last_raw HOT_DATA, last_flags HOT_DATA;
	u64 found = 0;

	if (raw_flags == last_raw) {
		*flags = last_flags;
		return true;
	}
	if (raw_flags & ~learned->known)
		return false;
	for (u64 rest = raw_flags; rest; rest &= rest - 1)
		found |= learned->flag[__builtin_ctzl(rest)];
	last_raw = raw_flags;
	last_flags = found;
	*flags = found;
	return true;
}
