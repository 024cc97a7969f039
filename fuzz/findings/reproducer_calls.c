// SPDX-License-Identifier: GPL-2.0-only
/* More parts: structs in memory, files, other processes, and the frame around all of it. */

//@ zone guarded
/*
 * Where structs lie: all of it is 0xa5 but for them, and no call may change that. READ_ONLY is
 * memory that the call sees through a mapping without PROT_WRITE.
 */
#define ZONE 0x20000000UL
#define READ_ONLY 0x20100000UL
#define READ_ONLY_ALIAS 0x20200000UL
#define ZONE_BYTES (40 * PAGE)
#define OUTPUTS_MAX 64
#define NOT_PLACED 0x4e4f504cL /* no result: a struct could not be stored, so no call was made */

static unsigned char before[2][ZONE_BYTES];
static unsigned char poked[2][ZONE_BYTES / PAGE];
static struct {
	u64 at, size;
} outputs[OUTPUTS_MAX];
static int n_outputs;

static void make_zones(void)
{
	int fd = memfd_create("read-only", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, ZONE_BYTES) ||
	    mmap((void *)ZONE, ZONE_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ||
	    mmap((void *)READ_ONLY, ZONE_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED ||
	    mmap((void *)READ_ONLY_ALIAS, ZONE_BYTES, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		broken("cannot map memory for structs");
	close(fd);
}

static void begin_structs(void)
{
	memset((void *)ZONE, 0xa5, ZONE_BYTES);
	memset((void *)READ_ONLY_ALIAS, 0xa5, ZONE_BYTES);
	n_outputs = 0;
}

static void remember_structs(void)
{
	memcpy(before[0], (void *)ZONE, ZONE_BYTES);
	memcpy(before[1], (void *)READ_ONLY, ZONE_BYTES);
}

static u64 first_change(void)
{
	for (int zone = 0; zone < 2; zone++) {
		u64 base = zone ? READ_ONLY : ZONE;

		for (u64 i = 0; i < ZONE_BYTES; i++) {
			int is_output = 0;

			if (!poked[zone][i / PAGE] || *(unsigned char *)(base + i) == before[zone][i])
				continue;
			for (int k = 0; k < n_outputs; k++)
				is_output |= base + i - outputs[k].at < outputs[k].size;
			if (!is_output)
				return base + i;
		}
	}
	return 0;
}

/* Nothing but the outputs may change. expected: 0, or the address of the first change. */
static __attribute__((unused)) void expect_change(u64 expected, const char *rule)
{
	u64 saw = first_change();

	if (saw == expected)
		return;
	faults++;
	printf("%s: outside the structs: expected the first change at %#lx (0: none), saw %#lx [%s]\n",
	       *place, expected, saw, rule);
}

//@ copy zone
/* Bytes that may fault; how many were copied. */
static u64 copy(u64 to, u64 from, u64 size)
{
	static volatile u64 done;

	done = 0;
	if (!sigsetjmp(landing, 1)) {
		guarded = 1;
		for (; done < size; done++)
			((volatile unsigned char *)to)[done] = ((volatile unsigned char *)from)[done];
	}
	guarded = 0;
	return done;
}

//@ put copy
/* The pages that a struct lies on or near are looked at for changes. */
static void mark_poked(int zone, u64 offset, u64 size)
{
	u64 first = (offset > 64 ? offset - 64 : 0) / PAGE, last = (offset + size + 63) / PAGE;

	for (; first <= last && first < ZONE_BYTES / PAGE; first++)
		poked[zone][first] = 1;
}

/* Store a struct before a call; false when the memory there does not take it. */
static int put(u64 at, const void *data, u64 size)
{
	if (at >= ZONE && at < ZONE + ZONE_BYTES)
		mark_poked(0, at - ZONE, size);
	if (at >= READ_ONLY && at < READ_ONLY + ZONE_BYTES) {
		mark_poked(1, at - READ_ONLY, size);
		at += READ_ONLY_ALIAS - READ_ONLY;
	}
	return copy(at, (u64)data, size) == size;
}

//@ cover put pages
/* Of the memory that is advised, words with structs in them are no content. */
static int put_in_arena(u64 at, const void *data, u64 size)
{
	for (u64 word = (at - ARENA) / 8; size && word <= (at - ARENA + size - 1) / 8; word++)
		covered[word * 8 / PAGE][word % 512 / 8] |= 1 << word % 8;
	return put(at, data, size);
}

//@ output zone
static void may_write(u64 at, u64 size)
{
	outputs[n_outputs].at = at;
	outputs[n_outputs++].size = size;
}

//@ member
static void expect_member(const char *name, u64 saw, u64 expected, const char *rule)
{
	if (saw == expected)
		return;
	faults++;
	printf("%s: expected %s to be %ld (%#lx), saw %ld (%#lx) [%s]\n", *place, name,
	       (long)expected, expected, (long)saw, saw, rule);
}

#define EXPECT(member, value, rule) expect_member(#member, (u64)(member), (u64)(value), rule)

//@ bytes copy
static void expect_bytes(const char *name, u64 at, const void *expected, u64 size, u64 whole,
			 const char *rule)
{
	static unsigned char saw[1 << 16];
	u64 readable = copy((u64)saw, at, whole), i;

	for (i = 0; i < size && i < readable && saw[i] == ((const unsigned char *)expected)[i]; i++)
		;
	if (i == size && readable == size)
		return;
	faults++;
	if (i < size && i < readable)
		printf("%s: %s, byte %lu: expected %#04x, saw %#04x [%s]\n", *place, name, i,
		       ((const unsigned char *)expected)[i], saw[i], rule);
	else
		printf("%s: %s: expected %lu readable bytes, saw %lu [%s]\n", *place, name, size,
		       readable, rule);
}

//@ files content
static int files[8], read_only_files[8];

static void reopen_file(int slot)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", files[slot]);
	read_only_files[slot] = open(path, O_RDONLY | O_CLOEXEC);
	if (read_only_files[slot] < 0)
		broken("cannot open a file again");
}

//@ memfd files
static void make_memfd(int slot, u64 pages)
{
	files[slot] = memfd_create("file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (files[slot] < 0 || ftruncate(files[slot], pages * PAGE))
		lacking("a memfd");
	reopen_file(slot);
}

//@ file_in files
static void make_file(int slot, u64 pages, const char *folder)
{
	static u64 words[PAGE / 8];
	char path[4096];

	snprintf(path, sizeof(path), "%s/reproducer-XXXXXX", folder);
	files[slot] = mkostemp(path, O_CLOEXEC);
	if (files[slot] < 0)
		lacking(folder);
	unlink(path);
	for (u64 page = 0; page < pages; page++) {
		for (int i = 0; i < 3; i++)
			words[tagged_words[i]] = FILE_PAGE(slot, page);
		if (pwrite(files[slot], words, PAGE, page * PAGE) != PAGE)
			broken("cannot write a file");
	}
	reopen_file(slot);
}

//@ uffd
/* Faults in registered memory end in SIGBUS, so that nothing waits. One descriptor for all. */
static long watch_faults(void *start, u64 length, u64 mode)
{
	static int fd = -1;
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_SIGBUS };
	struct uffdio_register range = { .range = { (u64)start, length }, .mode = mode };

	if (fd < 0) {
		fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1); /* USER_MODE_ONLY */
		if (fd < 0)
			lacking("userfaultfd(), or the right to it");
		if (mode == UFFDIO_REGISTER_MODE_WP)
			api.features |= UFFD_FEATURE_PAGEFAULT_FLAG_WP;
		if (ioctl(fd, UFFDIO_API, &api))
			lacking("what userfaultfd() is to do");
	}
	return RETURNED(ioctl(fd, UFFDIO_REGISTER, &range));
}

//@ clear_soft_dirty
static long clear_soft_dirty(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	long result = fd < 0 ? -errno : RETURNED(write(fd, "4", 1));

	if (fd >= 0)
		close(fd);
	return result < 0 ? result : 0;
}

//@ reclaim
/*
 * Memory pressure: the kernel takes back what it can from the memory cgroup of this process, or
 * that named by MADVET_CGROUP. That less was found than asked for is no failure.
 */
static long reclaim(void)
{
	const char *folder = getenv("MADVET_CGROUP");
	FILE *own = fopen("/proc/self/cgroup", "re");
	char line[4096] = "", path[8192];
	long result;
	int fd;

	while (own && fgets(line, sizeof(line), own) && strncmp(line, "0::", 3))
		;
	if (own)
		fclose(own);
	line[strcspn(line, "\n")] = 0;
	if (folder)
		snprintf(path, sizeof(path), "%s/memory.reclaim", folder);
	else
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.reclaim", line[0] ? line + 3 : "");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		lacking("a memory cgroup of its own with memory.reclaim");
	result = RETURNED(write(fd, "64M", 3));
	close(fd);
	return result >= 0 || result == -EAGAIN ? 0 : result;
}

//@ secret
static long map_secret(void *start, u64 length, int prot, int flags)
{
	int fd = syscall(447 /* memfd_secret */, 0);
	long result;

	if (fd < 0)
		lacking("memfd_secret()");
	result = RETURNED(ftruncate(fd, length));
	if (!result)
		result = RETURNED(mmap(start, length, prot, flags, fd, 0));
	close(fd);
	return result;
}

//@ perf
/* The ring buffer of an event that counts nothing. */
static long map_perf(void *start, u64 length, int prot)
{
	struct perf_event_attr event = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(event),
		.config = PERF_COUNT_SW_DUMMY,
		.disabled = 1,
	};
	int fd = syscall(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	long result;

	if (fd < 0)
		lacking("perf events");
	result = RETURNED(mmap(start, length, prot, MAP_SHARED | MAP_FIXED, fd, 0));
	close(fd);
	return result;
}

//@ vvar
/* The kernel's own mapping of the clock's data, moved. */
static long move_vvar(void *to)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	u64 start, end, found = 0, size = 0;
	char line[4096];

	if (!maps)
		broken("cannot read /proc/self/maps");
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "[vvar]") && sscanf(line, "%lx-%lx", &start, &end) == 2) {
			found = start;
			size = end - start;
		}
	fclose(maps);
	if (!found)
		lacking("[vvar]");
	return RETURNED(mremap((void *)found, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to));
}

//@ own_pidfd
static int own_pidfd(void)
{
	int fd = syscall(434 /* pidfd_open */, getpid(), 0);

	if (fd < 0)
		lacking("pidfd_open()");
	return fd;
}

//@ ended_child
/* Of a child that has ended. reaped: and was waited for, so that nothing is left of it. */
static int ended_child(int reaped)
{
	pid_t pid = fork();
	siginfo_t info;
	int fd;

	if (!pid)
		_exit(0);
	fd = pid < 0 ? -1 : syscall(434 /* pidfd_open */, pid, 0);
	if (fd < 0)
		lacking("a child, or pidfd_open()");
	if (waitid(P_PID, pid, &info, WEXITED | (reaped ? 0 : WNOWAIT)))
		broken("cannot wait for a child");
	return fd;
}

//@ kernel_thread
static int kernel_thread(void)
{
	int fd = syscall(434 /* pidfd_open */, 2, 0);

	if (fd < 0)
		lacking("a kernel thread that can be seen (pid 2)");
	return fd;
}
