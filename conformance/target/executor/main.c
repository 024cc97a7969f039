// SPDX-License-Identifier: GPL-2.0-only
/*
 * The executor: runs programs of program/wire.py on this kernel.
 *
 * A doorbell on standard input names a part of the ring, its bytes and its
 * programs; the reply on standard output says the same of the outcomes.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "executor.h"
#include "facts.h"
#include "shim.h"

struct options options HOT_DATA = { .ring_fd = -1, .tmp = "/tmp", .deadline_ms = DEADLINE_MS };

#define LEAK_RUNS 5 /* of a batch that seems to leak: by chance a cache grows once or twice */

struct doorbell {
	u64 part, bytes, count;
};

/* One line on standard error, in one write, without the heap: children use it, too. */
static void say(const char *format, va_list list)
{
	char line[512] = "executor: ";
	int used = strlen(line);

	used += vsnprintf(line + used, sizeof(line) - used - 1, format, list);
	if (used > (int)sizeof(line) - 2)
		used = sizeof(line) - 2;
	line[used] = '\n';
	if (write(STDERR_FILENO, line, used + 1) < 0)
		return; /* there is nobody to tell */
}

void complain(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say(format, list);
	va_end(list);
}

void fail(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say(format, list);
	va_end(list);
	_exit(EXIT_HARNESS);
}

static bool read_doorbell(struct doorbell *bell)
{
	size_t got = 0;

	while (got < sizeof(*bell)) {
		ssize_t part = read(STDIN_FILENO, (u8 *)bell + got, sizeof(*bell) - got);

		if (!part && !got)
			return false;
		if (!part)
			fail("standard input ended inside a doorbell");
		if (part < 0 && errno != EINTR)
			fail("cannot read standard input: %m");
		if (part > 0)
			got += part;
	}
	return true;
}

static void reply(u64 part, u64 bytes, u64 count, u64 taint)
{
	struct doorbell bell = { part, bytes, count | taint << TAINT_SHIFT };

	if (write(STDOUT_FILENO, &bell, sizeof(bell)) != sizeof(bell))
		fail("cannot write a reply: %m");
}

/*
 * What the kernel has against itself: bits that an oops, a warning and the like leave behind. They
 * go with every reply, so that the other side knows which batch they came with.
 */
static u64 read_taint(void)
{
	static int fd = -2;
	char text[24] = "";

	if (fd == -2)
		fd = open("/proc/sys/kernel/tainted", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) < 1)
		return 0;
	return strtoul(text, NULL, 10);
}

/* Everything that children inherit. */
static void prepare(void)
{
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core); /* children may die of what they are given */
	if (sysconf(_SC_PAGESIZE) != PAGE)
		fail("base pages are not of %d bytes", PAGE);
	record_create();
	zone_create();
	fault_init();
	vmas_init();
	vvar_find();
	ilp32_find();
	remote_create();
	files_create();
	child_open_proc();
	pages_init(myself.pagemap);
	if (!options.no_bpf)
		bpf_create();
	shim_refuse_poison(!options.poison);
#ifndef MADVET_MUTANTS
	if (options.mutant)
		fail("this build has no mutants");
#endif
	shim_set_mutant(options.mutant);
	selftest();
	heirs_create();
	reclaim_open();
	race_init();
}

static void run_batch(const struct doorbell *bell, u64 *used, bool again)
{
	cover_batch(again);
	if (batch_run(ring_programs(bell->part, bell->bytes), bell->bytes, bell->count,
		      ring_outcomes(bell->part), ring_part_bytes(), used))
		fail("%lu programs are too many for the ring", (unsigned long)bell->count);
}

/* Growth that comes with each run of the batch is a leak; the last run is answered for. */
static void check_leaks(const struct doorbell *bell, u64 *used)
{
	u64 grown;

	leaks_begin();
	grown = leaks_look();
	alive();
	for (u32 run = 1; run < LEAK_RUNS && grown; run++) {
		run_batch(bell, used, true);
		grown &= leaks_look();
		alive();
	}
	leaks_end();
	leaks_tell(grown, LEAK_RUNS, bell->count);
}

static int serve(void)
{
	struct doorbell bell;
	u64 hello = 0, used;

	ring_open();
	options.serve = true;
	prepare();
	if (bpf_works())
		hello |= HELLO_BPF;
	if (options.slabs && leaks_create(options.slabs))
		hello |= HELLO_LEAKS;
	reply(PROTOCOL_VERSION, hello, 0, read_taint());
	while (read_doorbell(&bell)) {
		bool look = !(bell.part & BELL_QUICK);

		bell.part &= ~BELL_QUICK;
		if (bell.part > 1 || bell.bytes > ring_part_bytes() || bell.bytes % 8)
			fail("a doorbell names no part of the ring");
		alive_begin();
		look = look && options.slabs && leaks_due(bell.count);
		record->residue_due = look;
		run_batch(&bell, &used, false);
		if (look)
			check_leaks(&bell, &used);
		ring_publish(bell.part, used);
		reply(bell.part, used, bell.count, read_taint());
	}
	return 0;
}

static u64 number(const char *option, const char *text)
{
	char *end;
	u64 value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || *end || end == text || *text == '-') {
		complain("%s takes a number, not \"%s\"", option, text);
		exit(EXIT_USAGE);
	}
	return value;
}

enum {
	RING = 256, RING_BYTES, GUEST, TMP, SHIM, MUTANT, NO_BPF, DEADLINE, POISON, LEAK_CHECK,
	FACTS, BENCH, SELFTEST,
};

static const struct option long_options[] = {
	{ "ring", required_argument, NULL, RING },
	{ "ring-bytes", required_argument, NULL, RING_BYTES },
	{ "guest", no_argument, NULL, GUEST },
	{ "tmp", required_argument, NULL, TMP },
	{ "shim", no_argument, NULL, SHIM },
	{ "mutant", required_argument, NULL, MUTANT },
	{ "no-bpf", no_argument, NULL, NO_BPF },
	{ "deadline-ms", required_argument, NULL, DEADLINE },
	{ "poison", no_argument, NULL, POISON },
	{ "leak-check", required_argument, NULL, LEAK_CHECK },
	{ "facts", no_argument, NULL, FACTS },
	{ "bench", no_argument, NULL, BENCH },
	{ "selftest", no_argument, NULL, SELFTEST },
	{ NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
	int mode = 0, option;

	if (argc == 2 && !strcmp(argv[1], HEIR_ARGUMENT))
		return heir_main(); /* of a process that may have changed what is usual */
	heirs_reserve();
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case RING:
			options.ring_fd = number("--ring", optarg);
			break;
		case RING_BYTES:
			options.ring_bytes = number("--ring-bytes", optarg);
			break;
		case GUEST:
			options.guest = true;
			break;
		case TMP:
			options.tmp = optarg;
			break;
		case SHIM:
			options.shim = true;
			break;
		case MUTANT:
			options.mutant = number("--mutant", optarg);
			break;
		case NO_BPF:
			options.no_bpf = true;
			break;
		case DEADLINE:
			options.deadline_ms = number("--deadline-ms", optarg);
			break;
		case POISON:
			options.poison = true;
			break;
		case LEAK_CHECK:
			options.slabs = optarg;
			break;
		case FACTS:
		case BENCH:
		case SELFTEST:
			mode = option;
			break;
		default:
			return EXIT_USAGE; /* getopt has said why */
		}
	}
	if (optind < argc) {
		complain("no argument is expected: \"%s\"", argv[optind]);
		return EXIT_USAGE;
	}
	if (mode == FACTS) {
		struct ground ground = { options.tmp, options.shim, options.poison };

		return facts_main(&ground);
	}
	if (mode)
		prepare();
	if (mode == BENCH)
		return bench();
	if (mode == SELFTEST)
		return printf("all is well%s\n", bpf_works() ? "" : ", without BPF") < 0;
	return serve();
}
