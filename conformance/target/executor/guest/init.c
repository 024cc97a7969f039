// SPDX-License-Identifier: GPL-2.0-only
/*
 * /init of a guest: makes the machine ready, then runs the executor as often as it is told to.
 *
 * It is spoken to over a serial line, the bell. Every message begins with three words of 64 bits:
 *
 *   guest  READY, version, 0                the machine is ready
 *   host   RUN, bytes of arguments, serve   the arguments follow, each ended by a zero byte
 *   guest  (serve)      whatever the executor says, then ENDED, its wait status, 0
 *          (otherwise)  ENDED, its wait status, bytes of output; the output follows
 *
 * The first argument is the name of the executor, or the path of another program.
 *
 * What the machine is to have is on the kernel's command line: madvet.bell, madvet.ring (devices),
 * madvet.huge (pages), madvet.swap (MiB), madvet.ksm (0 or 1), madvet.flush (the most pages whose
 * translations are forgotten one by one).
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define PAGE 4096
#define VERSION 1
#define READY 0x5944414552ul
#define RUN 0x4e5552ul
#define ENDED 0x4445444e45ul
#define ARGUMENT_BYTES_MAX 4096
#define ARGUMENTS_MAX 64
#define OUTPUT_BYTES_MAX 65536
#define DISK_BLOCKS "/disk.blocks" /* records of a block number and a block; written by the host */
#define DISK "/var/tmp"
#define CGROUP "/sys/fs/cgroup/madvet"

struct message {
	uint64_t what, first, second;
};

static char command_line[4096];
static int bell;

static void say(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	printf("init: ");
	vprintf(format, list);
	printf("\n");
	fflush(stdout);
	va_end(list);
}

/* There is nobody to report to: the host sees the console, and that nothing follows. */
static void give_up(const char *what)
{
	say("%s: %s", what, strerror(errno));
	for (;;)
		pause();
}

static void mount_at(const char *type, const char *at)
{
	if (mkdir(at, 0755) && errno != EEXIST)
		give_up(at);
	if (mount(type, at, type, 0, NULL) && errno != EBUSY)
		say("cannot mount %s: %s", at, strerror(errno));
}

static bool set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);

	if (fd >= 0)
		close(fd);
	return done;
}

/* The value of an option of the kernel's command line, or NULL. The caller must not keep two. */
static const char *option(const char *name)
{
	static char value[256];
	size_t length = strlen(name);

	for (const char *at = command_line; (at = strstr(at, name)); at += length) {
		if ((at != command_line && at[-1] != ' ') || at[length] != '=')
			continue;
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + length + 1, " \n"),
			 at + length + 1);
		return value;
	}
	return NULL;
}

static void read_command_line(void)
{
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, command_line, sizeof(command_line) - 1);

	if (size < 0)
		give_up("/proc/cmdline");
	close(fd);
}

/* A file system on the RAM disk, from the blocks of one that are not zero. */
static void make_disk(void)
{
	int from = open(DISK_BLOCKS, O_RDONLY | O_CLOEXEC), to = open("/dev/ram0", O_WRONLY | O_CLOEXEC);
	struct {
		uint64_t number;
		char block[PAGE];
	} __attribute__((packed)) record;
	bool whole = from >= 0 && to >= 0;

	while (whole && read(from, &record, sizeof(record)) == sizeof(record))
		whole = pwrite(to, record.block, PAGE, record.number * PAGE) == PAGE;
	if (to >= 0)
		close(to);
	if (from >= 0)
		close(from);
	unlink(DISK_BLOCKS);
	if (mkdir("/var", 0755) || mkdir(DISK, 0777))
		give_up(DISK);
	if (!whole || mount("/dev/ram0", DISK, "ext4", 0, NULL)) {
		say("no disk: %s", whole ? strerror(errno) : "no RAM disk, or no blocks for it");
		mount("tmpfs", DISK, "tmpfs", 0, NULL);
	}
	chmod(DISK, 01777);
}

/* The last page of struct swap_header that swapon() looks at, written as mkswap does. */
static void make_swap(const char *mib)
{
	unsigned long bytes = strtoul(mib, NULL, 10) << 20;
	struct {
		char boot[1024];
		uint32_t version, last_page, bad_pages;
		char rest[PAGE - 1024 - 12 - 10];
		char magic[10];
	} __attribute__((packed)) header = { .version = 1, .last_page = bytes / PAGE - 1 };
	char size[32];
	int fd;

	if (!bytes)
		return;
	snprintf(size, sizeof(size), "%lu", bytes);
	memcpy(header.magic, "SWAPSPACE2", sizeof(header.magic));
	if (!set("/sys/block/zram0/disksize", size)) {
		say("no swap: zram0 takes no size");
		return;
	}
	fd = open("/dev/zram0", O_RDWR | O_CLOEXEC);
	if (fd < 0 || write(fd, &header, PAGE) != PAGE || fsync(fd) || swapon("/dev/zram0", 0))
		say("no swap: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* All programs, and the executor, in a memory cgroup that can be told to reclaim. */
static void make_cgroup(void)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", getpid());
	if (mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL) ||
	    !set("/sys/fs/cgroup/cgroup.subtree_control", "+memory") || mkdir(CGROUP, 0755) ||
	    !set(CGROUP "/cgroup.procs", number) || setenv("MADVET_CGROUP", CGROUP, 1))
		say("no memory cgroup to reclaim from");
}

/*
 * Let allocations fail that may sleep, too, and single pages: nearly all that a call makes. And
 * that one fails on purpose is no report of the kernel's. Where it can let none fail, there is
 * nothing to set.
 */
static void set_up_faults(void)
{
	static const char *const settings[][2] = {
		{ "failslab/ignore-gfp-wait", "N" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/verbose", "0" },
	};
	char path[128];

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", settings[i][0]);
		set(path, settings[i][1]);
	}
}

static void open_bell(void)
{
	const char *path = option("madvet.bell");
	struct termios line;

	bell = open(path ? path : "/dev/ttyS1", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (bell < 0 || tcgetattr(bell, &line))
		give_up("the bell");
	cfmakeraw(&line);
	cfsetspeed(&line, B115200);
	if (tcsetattr(bell, TCSANOW, &line))
		give_up("the bell");
}

/* A block device by its name, or the memory of the first PCI device that has some to share. */
static int open_ring(void)
{
	const char *path = option("madvet.ring");
	glob_t found;
	int fd = -1;

	if (path)
		return open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (glob("/sys/bus/pci/devices/*/resource2", 0, NULL, &found))
		return -1;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct stat stat;

		fd = open(found.gl_pathv[i], O_RDWR | O_CLOEXEC);
		if (fd >= 0 && !fstat(fd, &stat) && stat.st_size >= 1 << 20)
			break;
		close(fd);
		fd = -1;
	}
	globfree(&found);
	return fd;
}

static void hear(void *into, size_t size)
{
	for (size_t got = 0; got < size;) {
		ssize_t part = read(bell, (char *)into + got, size - got);

		if (part <= 0 && errno != EINTR)
			give_up("the bell fell silent");
		if (part > 0)
			got += part;
	}
}

static void ring(const void *from, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t part = write(bell, (const char *)from + done, size - done);

		if (part < 0 && errno != EINTR)
			give_up("the bell cannot be rung");
		if (part > 0)
			done += part;
	}
}

static _Noreturn void become(char *arguments, size_t size, bool serve, int output)
{
	char *argv[ARGUMENTS_MAX + 1], number[16];
	const char *program = *arguments == '/' ? arguments : "/executor";
	size_t count = 0;
	int fd = serve ? open_ring() : -1;

	if (serve && fd < 0)
		give_up("the ring");
	fcntl(fd, F_SETFD, 0);
	snprintf(number, sizeof(number), "%d", fd);
	for (size_t at = 0; at < size && count < ARGUMENTS_MAX; at += strlen(arguments + at) + 1)
		argv[count++] = strcmp(arguments + at, "@ring") ? arguments + at : number;
	argv[count] = NULL;
	dup2(serve ? bell : open("/dev/null", O_RDONLY), STDIN_FILENO);
	dup2(serve ? bell : output, STDOUT_FILENO);
	execv(program, argv);
	perror(program);
	_exit(127);
}

static void run(size_t size, bool serve)
{
	static char arguments[ARGUMENT_BYTES_MAX + 1], output[OUTPUT_BYTES_MAX];
	struct message ended = { .what = ENDED };
	int fd = open("/output", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), status = 0;
	pid_t pid, ended_pid;

	if (size > ARGUMENT_BYTES_MAX || fd < 0)
		give_up("too many arguments, or no file for output");
	hear(arguments, size);
	arguments[size] = 0;
	pid = fork();
	if (!pid)
		become(arguments, size, serve, fd);
	do {
		ended_pid = waitpid(-1, &status, 0); /* orphans end here, too */
		if (ended_pid < 0 && errno != EINTR)
			give_up("the executor");
	} while (ended_pid != pid);
	ended.first = status;
	if (!serve) {
		ssize_t got = pread(fd, output, sizeof(output), 0);

		ended.second = got < 0 ? 0 : got;
	}
	close(fd);
	ring(&ended, sizeof(ended));
	ring(output, ended.second);
}

int main(void)
{
	struct message message = { READY, VERSION, 0 };
	const char *value;

	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("devtmpfs", "/dev");
	mount_at("tmpfs", "/dev/shm");
	mount_at("tmpfs", "/tmp");
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	read_command_line();
	make_disk();
	value = option("madvet.huge");
	if (value && !set("/proc/sys/vm/nr_hugepages", value))
		say("no huge pages");
	value = option("madvet.ksm");
	if (value && !set("/sys/kernel/mm/ksm/run", value))
		say("no KSM");
	value = option("madvet.flush");
	if (value && !set("/sys/kernel/debug/x86/tlb_single_page_flush_ceiling", value))
		say("no limit of single flushes");
	set_up_faults();
	/* What khugepaged collapses while a program runs, nobody could predict. */
	set("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "4294967295");
	value = option("madvet.swap");
	if (value)
		make_swap(value);
	make_cgroup();
	open_bell();
	ring(&message, sizeof(message));
	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0) /* what the executor left behind */
			;
		hear(&message, sizeof(message));
		if (message.what != RUN)
			give_up("an unknown message");
		run(message.first, message.second);
	}
}
